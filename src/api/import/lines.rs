//! Cutting a stream of bytes into lines, in bounded memory.

use actix_web::web::{Bytes, BytesMut};

use crate::domain::encoding;

/// A piece of the stream that ends where a line ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawLine {
    /// Counts from 1, empty lines too, as an editor does.
    pub number: u64,
    /// The line without its end; `None` when it is over the cap.
    pub text: Option<Bytes>,
}

/// Cuts lines at line feeds. A line over the cap is skipped, not kept.
#[derive(Debug)]
pub(super) struct Lines {
    cap: usize,
    rest: BytesMut,
    skipping: bool,
    number: u64,
}

impl Lines {
    /// Cuts lines of at most `cap` bytes.
    pub(super) fn new(cap: usize) -> Self {
        Self { cap, rest: BytesMut::new(), skipping: false, number: 0 }
    }

    /// Takes bytes in and returns the lines that they end. Lines of nothing
    /// but white space are counted and left out.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<RawLine> {
        let mut lines = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.keep(piece);
            lines.extend(self.end());
        }
        self.keep(last);
        lines
    }

    /// The last line, when the stream does not end with a line feed.
    pub(super) fn finish(&mut self) -> Option<RawLine> {
        if self.rest.is_empty() && !self.skipping { None } else { self.end() }
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.skipping || self.rest.len() + piece.len() > self.cap {
            self.skipping = true;
            self.rest.clear();
        } else {
            self.rest.extend_from_slice(piece);
        }
    }

    fn end(&mut self) -> Option<RawLine> {
        self.number += 1;
        let text = self.rest.split().freeze();
        let skipped = std::mem::take(&mut self.skipping);
        // A byte order mark, as some exports begin with, means nothing; exports
        // that were put together have several.
        let text = text.slice_ref(encoding::unmarked(&text));
        if skipped {
            Some(RawLine { number: self.number, text: None })
        } else if text.trim_ascii().is_empty() {
            None
        } else {
            Some(RawLine { number: self.number, text: Some(text) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(cap: usize, pieces: &[&str]) -> Vec<(u64, Option<String>)> {
        let mut lines = Lines::new(cap);
        let mut cut: Vec<RawLine> = pieces.iter().flat_map(|piece| lines.push(piece.as_bytes())).collect();
        cut.extend(lines.finish());
        let text = |text: Bytes| String::from_utf8(text.to_vec()).unwrap();
        cut.into_iter().map(|line| (line.number, line.text.map(text))).collect()
    }

    #[test]
    fn pieces_do_not_matter() {
        let whole = [(1, Some("ab".to_owned())), (3, Some("c".to_owned()))];
        for pieces in [&["ab\n\nc"][..], &["a", "b", "\n", "\n", "c", "\n"], &["ab\n \r\nc\n"]] {
            assert_eq!(cut(10, pieces), whole, "{pieces:?}");
        }
        let marked = [(1, Some("a".to_owned())), (3, Some("b".to_owned()))];
        assert_eq!(cut(10, &["\u{feff}a\n\u{feff}\n", "\u{feff}b"]), marked);
        assert_eq!(cut(10, &[]), []);
    }

    #[test]
    fn a_long_line_is_skipped() {
        let expected = [(1, None), (2, Some("ok".to_owned())), (3, None)];
        assert_eq!(cut(4, &["abc", "def\nok\nlong", "er"]), expected);
    }
}
