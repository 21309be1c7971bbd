//! Logic as a host runs it, and the way back to what its author wrote.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use super::load::LOGIC_MODULE;

/// How the files of the host itself are called in stacks.
const OWN_MODULES: &str = "ext:";

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
        let (frame, places) = self.with_places(line);
        (places.known > 0 && places.unknown == 0).then_some(frame)
    }

    /// A text that may hold stacks, as logic's author would have it: with places
    /// in what was written, without frames of the host's own.
    pub(super) fn readable<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !text.contains(LOGIC_MODULE) && !text.contains(OWN_MODULES) {
            return text.into();
        }
        let line = |line: &'a str| match line.trim_start().starts_with("at ") {
            true if line.contains(LOGIC_MODULE) => self.frame(line).map(Cow::from),
            true if line.contains(OWN_MODULES) => None,
            _ => Some(self.with_places(line).0.into()),
        };
        text.split('\n').filter_map(line).collect::<Vec<_>>().join("\n").into()
    }

    /// A text whose places are those of what was written, as far as they are
    /// known: some code is glue of the bundler's.
    fn with_places(&self, text: &str) -> (String, Places) {
        let (mut out, mut places, mut rest) = (String::new(), Places::default(), text);
        while let Some(start) = rest.find(LOGIC_MODULE) {
            let after = &rest[start + LOGIC_MODULE.len()..];
            let end = after.find(|c: char| c != ':' && !c.is_ascii_digit()).unwrap_or(after.len());
            out.push_str(&rest[..start]);
            rest = match self.written_at(&after[..end]) {
                Some(Place { file, line, column }) => {
                    places.known += 1;
                    // Writing to a String does not fail.
                    _ = write!(out, "{file}:{line}:{column}");
                    &after[end..]
                }
                None => {
                    places.unknown += 1;
                    out.push_str(LOGIC_MODULE);
                    after
                }
            };
        }
        out.push_str(rest);
        (out, places)
    }

    /// The place at `:line:column`; without a column, at the line's beginning.
    fn written_at(&self, position: &str) -> Option<Place> {
        let mut numbers = position.split(':').skip(1).map(str::parse::<u32>);
        let (line, column) = (numbers.next()?.ok()?, numbers.next().and_then(Result::ok).unwrap_or(1));
        self.place(line, column)
    }
}

/// How many places of a text are known.
#[derive(Default)]
struct Places {
    known: usize,
    unknown: usize,
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
    fn stacks_in_texts_are_made_readable() {
        let code = Code::from("x");
        let text = "caught: Error: e\n    at f (file:///logic.js:3:5)\n    at drive (ext:provisiond/run.js:1:1)\nend";
        assert_eq!(code.readable(text), "caught: Error: e\n    at f (logic.js:3:5)\nend");
        assert_eq!(
            code.readable("file:///logic.js:1:2 and file:///logic.js, ext:x"),
            "logic.js:1:2 and file:///logic.js, ext:x"
        );
        assert!(matches!(code.readable("at noon\n"), Cow::Borrowed("at noon\n")));
    }

    #[test]
    fn a_broken_map_is_done_without() {
        assert!(Code::mapped("x", "{").map.is_none());
    }
}
