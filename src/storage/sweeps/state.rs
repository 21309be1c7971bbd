//! The states of a sweep and how they follow each other.
//!
//! ```text
//!   running ──► finished            running: makes work; finished: all is made
//!      │            │
//!      └─► pausing ─┴─► paused ─► resuming ─► running | finished
//!   any of these ─► cancelling ─► cancelled
//! ```

use crate::domain::status::words;

words!(
    /// Where a sweep stands.
    SweepState {
        /// It makes work.
        Running = "running",
        /// It has made all its work; some may still be in the queue.
        Finished = "finished",
        /// Its work in the queue is being parked.
        Pausing = "pausing",
        /// It makes no work, and what is in the queue waits.
        Paused = "paused",
        /// Its work in the queue is being made due again.
        Resuming = "resuming",
        /// Its work is being taken out of the queue.
        Cancelling = "cancelling",
        /// A person ended it, or a newer sweep took its place.
        Cancelled = "cancelled",
    }
);

impl SweepState {
    /// Whether a person's word is being carried out.
    pub const fn is_ordered(self) -> bool {
        matches!(self, Self::Pausing | Self::Resuming | Self::Cancelling)
    }

    /// Whether its work leaves the queue.
    pub const fn is_cancel(self) -> bool {
        matches!(self, Self::Cancelling | Self::Cancelled)
    }

    /// What an order comes to; `made_all` says that no work is left to make.
    pub const fn outcome(self, made_all: bool) -> Self {
        match self {
            Self::Pausing => Self::Paused,
            Self::Cancelling => Self::Cancelled,
            Self::Resuming if made_all => Self::Finished,
            Self::Resuming => Self::Running,
            other => other,
        }
    }

    /// Whether this is what the order `doing` comes to.
    pub const fn follows(self, doing: Self) -> bool {
        matches!((doing, self), (Self::Pausing, Self::Paused) | (Self::Cancelling, Self::Cancelled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_ends() {
        for state in SweepState::ALL.iter().filter(|state| state.is_ordered()) {
            assert!(!state.outcome(true).is_ordered() && !state.outcome(false).is_ordered());
        }
        assert_eq!(SweepState::Resuming.outcome(false), SweepState::Running);
        assert!(SweepState::Paused.follows(SweepState::Pausing));
        assert!(!SweepState::Running.follows(SweepState::Resuming));
    }
}
