//! Logic as a host runs it, and the way back to what its author wrote.

use std::fmt::Write as _;
use std::sync::Arc;

use super::load::LOGIC_MODULE;

/// The text that a host loads, and the source map of how it came about.
#[derive(Debug, Clone)]
pub struct Code {
    text: Arc<str>,
    map: Option<Arc<sourcemap::SourceMap>>,
}

/// A place in what somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// `logic.js`, `logic.ts`, `lodash/add.js`, `provisiond:mapping`.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

impl Place {
    /// Not a package's, and not one of provisiond's modules.
    pub fn is_authors(&self) -> bool {
        matches!(self.file.as_str(), "logic.js" | "logic.ts")
    }
}

impl From<&str> for Code {
    fn from(text: &str) -> Self {
        Self { text: text.into(), map: None }
    }
}

impl From<&Code> for Code {
    fn from(code: &Code) -> Self {
        code.clone()
    }
}

impl Code {
    /// Code, and its map if it was made of other code.
    pub fn new(text: &str, map: Option<&str>) -> Self {
        map.map_or_else(|| Self::from(text), |map| Self::mapped(text, map))
    }

    /// Code that was made of other code. A map (revision 3) that cannot be read
    /// is done without.
    pub fn mapped(text: &str, map: &str) -> Self {
        let map = sourcemap::SourceMap::from_slice(map.as_bytes());
        let map = map.inspect_err(|error| log::warn!("the source map of logic cannot be read: {error}"));
        Self { text: text.into(), map: map.ok().map(Arc::new) }
    }

    /// What a host loads.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where what stands at a place of the text comes from. Both count from 1.
    pub(super) fn place(&self, line: u32, column: u32) -> Option<Place> {
        let Some(map) = &self.map else {
            return Some(Place { file: "logic.js".into(), line, column });
        };
        let token = map.lookup_token(line.checked_sub(1)?, column.checked_sub(1)?)?;
        // The map's lines are sorted: a token of an earlier line is no answer.
        let source = token.get_source().filter(|_| token.get_dst_line() == line - 1)?;
        Some(Place { file: shown(source), line: token.get_src_line() + 1, column: token.get_src_col() + 1 })
    }

    /// A line of a stack as its author would have it, `None` when it is none of
    /// logic's.
    pub(super) fn frame(&self, line: &str) -> Option<String> {
        let start = line.find(LOGIC_MODULE)?;
        let rest = &line[start + LOGIC_MODULE.len()..];
        let end = rest.find(|c: char| c != ':' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let mut numbers = rest[..end].split(':').skip(1).map(str::parse::<u32>);
        let (row, column) = (numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or(1));
        let mut frame = line[..start].to_owned();
        match self.place(row, column) {
            // Writing to a String does not fail.
            Some(Place { file, line, column }) => _ = write!(frame, "{file}:{line}:{column}"),
            // Glue of the bundler's.
            None => return None,
        }
        frame.push_str(&rest[end..]);
        Some(frame)
    }
}

/// The name of a source: of a package's file, from the package's name on. What
/// lies in no folder is named as if it lay somewhere else.
fn shown(source: &str) -> String {
    source.rsplit("node_modules/").next().unwrap_or(source).trim_start_matches("../").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_plain_code_keep_their_places() {
        let code = Code::from("x");
        assert_eq!(code.frame("at f (file:///logic.js:3:5)").as_deref(), Some("at f (logic.js:3:5)"));
        assert_eq!(code.frame("at file:///logic.js:3").as_deref(), Some("at logic.js:3:1"));
        assert_eq!(code.frame("at ext:provisiond/run.js:1:1"), None);
    }

    #[test]
    fn frames_of_made_code_name_what_was_written() {
        let mut map = sourcemap::SourceMapBuilder::new(None);
        map.add(2, 0, 9, 4, Some("../../logic.ts"), None, false);
        map.add(4, 2, 1, 1, Some("node_modules/.store/a@1/node_modules/@s/a/x.js"), None, false);
        let mut text = Vec::new();
        map.into_sourcemap().to_writer(&mut text).unwrap();
        let code = Code::mapped("x", std::str::from_utf8(&text).unwrap());
        assert_eq!(code.frame("at f (file:///logic.js:3:5)").as_deref(), Some("at f (logic.ts:10:5)"));
        assert_eq!(code.frame("at g (file:///logic.js:5:9)").as_deref(), Some("at g (@s/a/x.js:2:2)"));
        assert_eq!(code.frame("at h (file:///logic.js:1:1)"), None);
        assert!(code.place(3, 1).is_some_and(|place| place.is_authors()));
    }

    #[test]
    fn a_broken_map_is_done_without() {
        assert!(Code::mapped("x", "{").map.is_none());
    }
}
