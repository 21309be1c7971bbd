//! Up to where the queue of a target has been worked off.
//!
//! Rows that are done leave entries in the index by which due ones are found.
//! Vacuum takes them away, but not while a report or a backup reads that began
//! before: then every claim would pass by all that was ever done since. So a
//! claim begins where the last one ended. What a slow transaction makes due
//! before that is found by who now and then begins at the beginning.

use chrono::{DateTime, TimeDelta, Utc};

/// Transactions that make work take less, from their beginning, whose time is
/// that of the work, to their commit.
const SLACK: TimeDelta = TimeDelta::seconds(1);

/// Nothing, or for each priority a time before which no row is expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed([Option<DateTime<Utc>>; 3]);

impl Passed {
    /// A row of this priority was claimed that was due then, and with it all
    /// those before.
    pub(super) fn note(&mut self, priority: i16, due: DateTime<Utc>) {
        let line = usize::try_from(priority).ok().and_then(|priority| self.0.get_mut(priority));
        if let Some(line) = line {
            *line = (*line).max(Some(due - SLACK));
        }
    }

    /// Where to begin in the line of this priority.
    pub(super) fn begin(self, priority: usize) -> Option<DateTime<Utc>> {
        self.0.get(priority).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_passed_up_to_its_latest_row() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let mut passed = Passed::default();
        for (line, due) in [(1, 10), (1, 20), (1, 15), (2, 5), (7, 1)] {
            passed.note(line, at(due));
        }
        assert_eq!([0, 1, 2, 3].map(|line| passed.begin(line)), [None, Some(at(19)), Some(at(4)), None]);
    }
}
