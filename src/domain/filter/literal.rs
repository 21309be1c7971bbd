//! Literals: strings, numbers, `true`, `false` and `null` as JSON writes them
//! (RFC 7159 §§3, 6 and 7), the three words in any case.

use super::FilterError;
use super::ast::{Literal, Operator};
use super::lexer::{Parser, Token, quoted};
use super::text::Text;

/// Largest integer that attributes may hold, 2^53 − 1 (`domain::json`).
const MAX_NUMBER: f64 = 9_007_199_254_740_991.0;

impl Parser<'_> {
    /// Reads the value behind an operator.
    pub(super) fn literal(&mut self, operator: Operator) -> Result<Literal, FilterError> {
        let token = self.peek();
        let literal = match token {
            Token::Quote => return self.string().map(|raw| Literal::Text(Text::new(raw, operator))),
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            Token::Word(word) if word.eq_ignore_ascii_case("null") => Literal::Null,
            Token::Word(word) if word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                self.number(word)?
            }
            Token::Word(word) if word.starts_with(['\'', '“', '”', '„', '«', '‘', '’', '‚', '`']) =>
            {
                return Err(self.unexpected("a string in straight quotation marks (\")"));
            }
            _ => return Err(self.unexpected("a value such as \"text\", 5, true or null")),
        };
        self.take(token);
        Ok(literal)
    }

    fn number(&mut self, word: &str) -> Result<Literal, FilterError> {
        // A raw value checks the syntax alone, not the range.
        let syntax = serde_json::from_str::<&serde_json::value::RawValue>(word).ok();
        let number = syntax.and_then(|_| word.parse::<f64>().ok());
        match number {
            // Adding zero makes -0 into 0, which it equals.
            Some(number) if number.abs() <= MAX_NUMBER => Ok(Literal::Number(number + 0.0)),
            Some(_) => Err(self.unexpected("a number within ±(2^53 − 1), where all systems are exact")),
            None => Err(self.unexpected("a number such as 5, -1.5 or 1e3")),
        }
    }

    /// Reads a string from its opening quotation mark.
    fn string(&mut self) -> Result<String, FilterError> {
        let opened = self.at;
        let mut text = String::new();
        self.at += 1;
        loop {
            let rest = self.rest();
            match rest.chars().next() {
                None => {
                    return Err(
                        self.fault(opened, "expected a closing quotation mark, found none behind the one")
                    );
                }
                Some('"') => break,
                Some('\\') => text.push(self.escape()?),
                Some(c) if c < ' ' => return Err(self.fault(self.at, control(c))),
                Some(c) => {
                    text.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        self.at += 1;
        Ok(text)
    }

    /// Reads an escape sequence from its backslash.
    fn escape(&mut self) -> Result<char, FilterError> {
        let start = self.at;
        let character = match self.rest().chars().nth(1) {
            Some('u') => return self.unicode_escape(),
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            other => {
                let found = other.map_or("the end".into(), |c| quoted(&format!("\\{c}")));
                let expected = r#"expected an escape such as \", \\, \n or \u00e9"#;
                return Err(self.fault(start, format!("{expected}, found {found}")));
            }
        };
        self.at += 2;
        Ok(character)
    }

    /// Reads `\uXXXX`, or two of them that make one character (RFC 7159 §7).
    fn unicode_escape(&mut self) -> Result<char, FilterError> {
        let start = self.at;
        let first = self.code_unit(start)?;
        let character = if (0xd800..0xdc00).contains(&first) {
            let second = if self.rest().starts_with("\\u") { self.code_unit(start)? } else { 0 };
            char::decode_utf16([first, second]).next().and_then(Result::ok)
        } else {
            char::from_u32(u32::from(first))
        };
        match character {
            Some('\0') => {
                Err(self.fault(start, "expected a character that a value can hold, found NUL (\\u0000)"))
            }
            Some(character) => Ok(character),
            None => Err(self
                .fault(start, "expected both halves of a surrogate pair, such as \\ud83d\\ude00, found one")),
        }
    }

    fn code_unit(&mut self, start: usize) -> Result<u16, FilterError> {
        let digits =
            self.rest().get(2..6).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| {
            self.fault(start, "expected four hexadecimal digits behind \\u, found something else")
        })?;
        self.at += 6;
        Ok(unit)
    }
}

fn control(c: char) -> String {
    format!("expected the escape \\u{:04x}, found a bare control character", u32::from(c))
}
