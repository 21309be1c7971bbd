//! SCIM filters (RFC 7644 §3.4.2.2) over subjects: one tree, read here,
//! evaluated in memory here and compiled to SQL by `storage::filter_sql`. The
//! two evaluators are held equal by a property test on a real database.
//!
//! [`ast`] is what a filter says; `lexer`, `literal`, `path`, `check` and
//! `parse` read it; `evaluate` judges subjects; `print` writes it back; [`doubts`] tells what is
//! most likely a mistake.

pub mod ast;
mod check;
pub mod doubts;
mod evaluate;
mod lexer;
mod literal;
mod parse;
mod path;
mod print;
#[cfg(test)]
mod tests;
pub mod text;
pub mod time;

use chrono::{DateTime, Utc};

use self::ast::{Expression, SubjectTest};
use super::subject::Subject;

/// Longest filter, in characters.
pub const MAX_LENGTH: usize = 8_192;
/// How deep parentheses and brackets may be nested.
pub const MAX_DEPTH: usize = 32;
/// Most comparisons in one filter.
pub const MAX_TESTS: usize = 256;

/// A filter that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    source: String,
    expression: Option<Expression<SubjectTest>>,
    comparisons: usize,
}

/// Why a filter was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at position {position}")]
pub struct FilterError {
    /// Characters before the fault, from 0.
    pub position: usize,
    /// What was expected.
    pub message: String,
}

impl Filter {
    /// Reads a filter; an empty text matches everything.
    pub fn parse(source: &str) -> Result<Self, FilterError> {
        let (expression, comparisons) = parse::filter(source)?;
        Ok(Self { source: source.to_owned(), expression, comparisons })
    }

    /// The text that it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it says; `None` when it matches everything.
    pub fn expression(&self) -> Option<&Expression<SubjectTest>> {
        self.expression.as_ref()
    }

    /// How many comparisons it makes: what judging a subject costs.
    pub fn comparisons(&self) -> usize {
        self.comparisons
    }

    /// Whether a subject is in scope at `now`. The memberships of the subject
    /// are taken to be valid ones.
    pub fn matches(&self, subject: &Subject, now: DateTime<Utc>) -> bool {
        self.expression.as_ref().is_none_or(|expression| evaluate::subject(expression, subject, now))
    }
}
