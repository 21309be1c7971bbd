//! SCIM filters (RFC 7644 §3.4.2.2).

use super::subject::Subject;

/// A filter that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    source: String,
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
        Ok(Self { source: source.to_owned() })
    }

    /// The text that it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether a subject is in scope.
    pub fn matches(&self, _subject: &Subject, _now: chrono::DateTime<chrono::Utc>) -> bool {
        true
    }
}
