//! The latest runs of a target, one entry a subject, and what they tell.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::ids::SubjectId;
use crate::domain::status::ErrorClass;

/// Runs that are remembered.
const LENGTH: usize = 40;
/// Runs that tell something whenever they were.
const ENOUGH: usize = 20;
/// Fewer runs tell something when they span [`SPAN`].
const FEW: usize = 5;
/// See [`FEW`].
const SPAN: TimeDelta = TimeDelta::seconds(60);
/// Older runs say nothing of today.
const OLDEST: TimeDelta = TimeDelta::minutes(10);
/// More failures than this share, in percent, are the target's fault.
const ILL_PERCENT: usize = 40;
/// Logic may fail for single accounts; beyond this share, in percent, it is
/// logic itself or what the target answers to everyone.
const ILL_LOGIC_PERCENT: usize = 90;

/// How a run counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The target did its part.
    Good,
    /// Logic failed; whose fault it is shows by the number only.
    Logic,
    /// The target's fault.
    Bad,
}

impl Kind {
    pub(super) fn of(class: Option<ErrorClass>) -> Self {
        match class {
            None | Some(ErrorClass::Permanent) => Self::Good,
            Some(ErrorClass::Logic) => Self::Logic,
            Some(ErrorClass::Transient | ErrorClass::RateLimited | ErrorClass::Auth) => Self::Bad,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: DateTime<Utc>,
    subject: SubjectId,
    kind: Kind,
}

/// The latest runs. A subject counts once, however often it is tried: one bad
/// account says nothing of the target.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
}

impl Window {
    pub(super) fn push(&mut self, subject: SubjectId, kind: Kind, at: DateTime<Utc>) {
        if let Some(earlier) = self.entries.iter().position(|entry| entry.subject == subject) {
            self.entries.remove(earlier);
        }
        let full = self.entries.len() == LENGTH;
        if full || self.entries.front().is_some_and(|entry| at - entry.at > OLDEST) {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { at, subject, kind });
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn count(&self, kind: Kind) -> usize {
        self.entries.iter().filter(|entry| entry.kind == kind).count()
    }

    /// Failures of the kind that the window is ill with, else those that would
    /// count against the target.
    pub(super) fn failures(&self) -> usize {
        let (bad, logic) = (self.count(Kind::Bad), self.count(Kind::Logic));
        if self.too_much_logic() { bad + logic } else { bad }
    }

    /// Whether there are enough runs, or few ones over a long time, to judge a
    /// target that is well.
    pub(super) fn tells(&self) -> bool {
        self.tells_by(ENOUGH, FEW)
    }

    /// The same with numbers of one's own.
    pub(super) fn tells_by(&self, enough: usize, few: usize) -> bool {
        let span = match (self.entries.front(), self.entries.back()) {
            (Some(first), Some(last)) => last.at - first.at,
            _ => TimeDelta::zero(),
        };
        self.len() >= enough || (self.len() >= few && span >= SPAN)
    }

    /// The target fails too often.
    pub(super) fn is_ill(&self) -> bool {
        self.count(Kind::Bad) * 100 > ILL_PERCENT * self.len()
    }

    /// Nearly everything fails, logic included.
    pub(super) fn too_much_logic(&self) -> bool {
        (self.count(Kind::Bad) + self.count(Kind::Logic)) * 100 > ILL_LOGIC_PERCENT * self.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() == LENGTH
    }
}
