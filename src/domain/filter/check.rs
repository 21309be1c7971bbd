//! Operators and literals, and what cannot be true of a field: refused when a
//! filter is read, so that nobody waits for a match that never comes.

use super::FilterError;
use super::ast::{Check, Field, Literal, Operator};
use super::lexer::{Parser, Token};
use super::text::Text;
use super::time::seems_relative;
use crate::domain::subject::SubjectStatus;

/// What a field can be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expects {
    /// An attribute: anything, as no schema is known.
    Anything,
    /// Text, of the field so named.
    Text(&'static str),
    /// One word of a closed vocabulary.
    Status,
    /// A time, of the field so named.
    Time(&'static str),
}

impl Expects {
    pub(super) fn of(field: Field) -> Self {
        match field {
            Field::CreatedAt | Field::UpdatedAt => Self::Time(field.as_str()),
            Field::Status => Self::Status,
            _ => Self::Text(field.as_str()),
        }
    }
}

impl Parser<'_> {
    /// Reads `pr`, or an operator and a literal.
    pub(super) fn check(&mut self, expects: Expects) -> Result<Check, FilterError> {
        if self.keyword("pr") {
            return Ok(Check::Present);
        }
        let operator_at = self.at;
        let operator = self.operator()?;
        if let (Expects::Time(name), true) = (expects, operator.searches()) {
            return Err(self.fault(
                operator_at,
                format!("expected eq, ne, gt, ge, lt, le or pr behind {name}, found \"{operator}\""),
            ));
        }
        self.peek();
        let literal_at = self.at;
        let literal = self.literal(operator)?;
        if matches!(literal, Literal::Bool(_) | Literal::Null) && !equality(operator) {
            return Err(
                self.fault(operator_at, format!("expected eq or ne with {literal}, found \"{operator}\""))
            );
        }
        match wanted(operator, &literal, expects) {
            None => Ok(Check::Compare(operator, literal)),
            Some(wanted) => Err(self.fault(literal_at, format!("expected {wanted}, found {literal}"))),
        }
    }

    fn operator(&mut self) -> Result<Operator, FilterError> {
        let token = self.peek();
        let known = match token {
            Token::Word(word) => Operator::ALL.iter().find(|known| word.eq_ignore_ascii_case(known.as_str())),
            _ => None,
        };
        let operator = *known.ok_or_else(|| self.unexpected("an operator such as eq"))?;
        self.take(token);
        Ok(operator)
    }
}

fn equality(operator: Operator) -> bool {
    matches!(operator, Operator::Eq | Operator::Ne)
}

/// What should stand behind the operator, if the literal never can.
fn wanted(operator: Operator, literal: &Literal, expects: Expects) -> Option<String> {
    match (literal, expects) {
        (Literal::Null, _) | (Literal::Bool(_), Expects::Anything) => None,
        (Literal::Text(text), _) => wanted_text(operator, text, expects),
        (Literal::Number(_), Expects::Anything) => {
            operator.searches().then(|| format!("a string behind {operator}"))
        }
        (_, Expects::Text(name)) => Some(format!("a string, as {name} is text")),
        (_, Expects::Status) => Some("a string, as status is text".into()),
        (_, Expects::Time(name)) => Some(a_time(name, operator)),
    }
}

fn wanted_text(operator: Operator, text: &Text, expects: Expects) -> Option<String> {
    let known = |word: &&SubjectStatus| word.as_str().eq_ignore_ascii_case(text.raw());
    match expects {
        Expects::Time(name) if text.moment().is_none() => Some(a_time(name, operator)),
        Expects::Status if equality(operator) && !SubjectStatus::ALL.iter().any(|word| known(&word)) => {
            let words: Vec<_> = SubjectStatus::ALL.iter().map(|word| word.as_str()).collect();
            Some(format!("one of {}", words.join(", ")))
        }
        Expects::Anything if operator.orders() && seems_relative(text.raw()) && text.moment().is_none() => {
            Some("a relative time such as \"now+7d\" (up to five digits and m, h, d or w)".into())
        }
        _ => None,
    }
}

fn a_time(name: &str, operator: Operator) -> String {
    let relative = if operator.orders() { " or \"now-7d\"" } else { "" };
    format!("a time behind {name} such as \"2024-01-31\", \"2024-01-31T12:00:00Z\"{relative}")
}
