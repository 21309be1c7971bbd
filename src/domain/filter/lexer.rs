//! The text of a filter, cut into tokens as the parser asks for them.

use super::{FilterError, MAX_DEPTH, MAX_TESTS};

/// How much of a wrong word an error quotes, in characters.
const QUOTED: usize = 40;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A run of characters that are neither white space nor one of `()[]"`.
    Word(&'a str),
    /// The quotation mark that opens a string.
    Quote,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
    /// Nothing but white space is left.
    End,
}

impl Token<'_> {
    fn describe(self) -> String {
        match self {
            Self::Word(word) => quoted(word),
            Self::Quote => "a string".into(),
            Self::Open => quoted("("),
            Self::Close => quoted(")"),
            Self::OpenBracket => quoted("["),
            Self::CloseBracket => quoted("]"),
            Self::End => "the end".into(),
        }
    }
}

/// A word as errors show it: cut, control characters made visible.
pub(super) fn quoted(word: &str) -> String {
    let mut text: String = word.chars().take(QUOTED).collect();
    if text.len() < word.len() {
        text.push('…');
    }
    let visible = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() };
    format!("\"{}\"", text.chars().map(visible).collect::<String>())
}

/// The place that reading has come to, and what counts against the limits.
pub(super) struct Parser<'a> {
    source: &'a str,
    /// Bytes read.
    pub(super) at: usize,
    depth: usize,
    tests: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, at: 0, depth: 0, tests: 0 }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// Skips white space and looks at what follows.
    pub(super) fn peek(&mut self) -> Token<'a> {
        let rest = self.rest().trim_start();
        self.at = self.source.len() - rest.len();
        match rest.chars().next() {
            None => Token::End,
            Some('(') => Token::Open,
            Some(')') => Token::Close,
            Some('[') => Token::OpenBracket,
            Some(']') => Token::CloseBracket,
            Some('"') => Token::Quote,
            Some(_) => Token::Word(word(rest)),
        }
    }

    /// Goes past a token that [`Self::peek`] returned.
    pub(super) fn take(&mut self, token: Token<'_>) {
        self.at += match token {
            Token::Word(word) => word.len(),
            Token::End => 0,
            _ => 1,
        };
    }

    /// Goes past a keyword if it comes next (RFC 7644: in any case).
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        match self.peek() {
            token @ Token::Word(word) if word.eq_ignore_ascii_case(keyword) => {
                self.take(token);
                true
            }
            _ => false,
        }
    }

    /// An error at a byte offset.
    pub(super) fn fault(&self, at: usize, message: impl Into<String>) -> FilterError {
        let before = self.source.get(..at).unwrap_or(self.source);
        FilterError { position: before.chars().count(), message: message.into() }
    }

    /// An error about what comes next.
    pub(super) fn unexpected(&mut self, expected: &str) -> FilterError {
        let token = self.peek();
        self.fault(self.at, format!("expected {expected}, found {}", token.describe()))
    }

    /// Goes past an opening parenthesis or bracket, one level down.
    pub(super) fn descend(&mut self, opening: Token<'_>) -> Result<(), FilterError> {
        if self.depth == MAX_DEPTH {
            return Err(
                self.fault(self.at, format!("expected at most {MAX_DEPTH} nested levels, found another"))
            );
        }
        self.depth += 1;
        self.take(opening);
        Ok(())
    }

    /// Goes past the closing counterpart of what stands at `opened`.
    pub(super) fn ascend(&mut self, opened: usize, closing: Token<'_>) -> Result<(), FilterError> {
        if self.peek() != closing {
            let opening = self.fault(opened, "").position;
            let closing = closing.describe();
            return Err(
                self.unexpected(&format!("\"and\", \"or\" or the {closing} that closes position {opening}"))
            );
        }
        self.depth -= 1;
        self.take(closing);
        Ok(())
    }

    /// How many were counted.
    pub(super) fn comparisons(&self) -> usize {
        self.tests
    }

    /// Counts one more comparison.
    pub(super) fn count(&mut self) -> Result<(), FilterError> {
        self.tests += 1;
        match self.tests {
            ..=MAX_TESTS => Ok(()),
            _ => Err(self.fault(self.at, format!("expected at most {MAX_TESTS} comparisons, found another"))),
        }
    }
}

fn word(text: &str) -> &str {
    let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | '"');
    text.find(ends).and_then(|end| text.get(..end)).unwrap_or(text)
}
