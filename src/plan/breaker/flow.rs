//! How many runs at a time: additive up, multiplicative down.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Longest time that a system may hold all work with Retry-After; the account
/// that was told it waits the full time in any case.
pub(super) const LONGEST_HOLD: Duration = Duration::from_secs(900);

/// Parallelism under a cap.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    cap: u32,
    limit: u32,
    /// Successes since the limit last changed.
    good: u32,
    /// Doubles each round, after a quarantine, until the first cut.
    ramping: bool,
    /// Counts the cuts: what started before one cannot cause another.
    round: u64,
    held_until: Option<DateTime<Utc>>,
}

impl Flow {
    pub(super) fn new(cap: u32) -> Self {
        Self { cap, limit: cap, good: 0, ramping: false, round: 0, held_until: None }
    }

    pub(super) fn cap(&self) -> u32 {
        self.cap
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) fn round(&self) -> u64 {
        self.round
    }

    /// A new cap; a limit that stood at the old one moves with it.
    pub(super) fn set_cap(&mut self, cap: u32) {
        let full = self.limit == self.cap;
        self.limit = if full { cap } else { self.limit.min(cap) };
        self.cap = cap;
    }

    /// A run went well: a whole round of them adds one, or doubles after a
    /// quarantine.
    pub(super) fn good(&mut self) {
        if self.limit == self.cap {
            return;
        }
        self.good += 1;
        if self.good < self.limit {
            return;
        }
        self.good = 0;
        let more = if self.ramping { self.limit } else { 1 };
        self.limit = (self.limit + more).min(self.cap);
        self.ramping &= self.limit < self.cap;
    }

    /// The system asked to go slower in answer to a run of `round`. True when
    /// something changed.
    pub(super) fn cut(&mut self, round: u64, wait: Option<Duration>, now: DateTime<Utc>) -> bool {
        let mut changed = false;
        if round == self.round {
            self.round += 1;
            self.good = 0;
            self.ramping = false;
            changed = self.limit > 1;
            self.limit = (self.limit / 2).max(1);
        }
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            let until = later(now, wait.min(LONGEST_HOLD));
            if self.held_until.is_none_or(|held| held < until) {
                (self.held_until, changed) = (Some(until), true);
            }
        }
        changed
    }

    /// After a quarantine: one at a time, then twice as many each round.
    pub(super) fn ramp(&mut self) {
        (self.limit, self.good, self.ramping) = (1, 0, self.cap > 1);
        self.round += 1;
    }

    /// Goes on from a limit and a hold that were written down.
    pub(super) fn restore(&mut self, limit: u32, held_until: Option<DateTime<Utc>>) {
        self.limit = limit.clamp(1, self.cap);
        self.held_until = held_until;
    }

    pub(super) fn release(&mut self) {
        self.held_until = None;
    }

    /// Until when nothing may start; forgets a hold that is over, or that the
    /// clock, set back, put out of reach.
    pub(super) fn held(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let over = |until: &DateTime<Utc>| *until > now && *until <= later(now, LONGEST_HOLD);
        self.held_until = self.held_until.filter(over);
        self.held_until
    }

    /// The same without forgetting.
    pub(super) fn hold(&self) -> Option<DateTime<Utc>> {
        self.held_until
    }
}

pub(super) fn later(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::days(366));
    now.checked_add_signed(wait).unwrap_or(now)
}
