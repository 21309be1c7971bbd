//! What the source acknowledged.

use std::time::Instant;

/// An account and everything that was acknowledged about it, oldest first.
#[derive(Debug, Clone)]
pub struct Account {
    pub id: String,
    /// The name that it has now.
    pub name: String,
    pub changes: Vec<Change>,
}

/// One state of an account.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub version: i64,
    /// The attribute `n`, different in every change.
    pub value: u64,
    /// The attribute `member`, which a filter looks at.
    pub member: bool,
    pub deleted: bool,
    /// When it was asked for.
    pub asked: Instant,
    /// When it was acknowledged, or seen in the source after an answer was lost.
    pub acknowledged: Instant,
}

impl Account {
    /// What is true now.
    pub fn now(&self) -> Change {
        *self.changes.last().unwrap()
    }
}

/// Which accounts a target wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Everybody,
    Members,
}

impl Scope {
    /// As a target's filter.
    pub const fn filter(self) -> &'static str {
        match self {
            Self::Everybody => "",
            Self::Members => "member eq true",
        }
    }

    pub const fn wants(self, change: &Change) -> bool {
        !change.deleted && (matches!(self, Self::Everybody) || change.member)
    }
}
