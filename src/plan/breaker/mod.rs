//! The breaker of a target: how much of its work a target gets that fails, and
//! how many runs at a time one that asks to go slower.
//!
//! ```text
//!   closed ──> 40 % of the latest runs fail──► slowed ──it goes on──► open
//!     ▲  └──────────────refused credentials (auth)───────────────────►│ ▲
//!     │                                                     time, or   │ │ fails: wait
//!     └──the probe succeeds: 1, 2, 4 … runs at a time──── probing ◄────┘ │ twice as long
//!                                                            └───────────┘
//! ```
//!
//! Pure: the end of each run and the time come in. Permanent failures are the
//! account's own, and a subject counts once however often it is tried.

mod flow;
mod record;
mod saved;
mod sentence;
#[cfg(test)]
mod tests;
mod window;

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::ids::SubjectId;
use crate::domain::status::ErrorClass;
use flow::{Flow, LONGEST_HOLD, later};
pub use saved::{Basis, BreakerState, BreakerView, Cause, Saved};
use sentence::first_line;
use window::{Kind, Window};

/// Runs of a slowed target that all fail before it is quarantined …
const SLOWED_STREAK: usize = 5;
/// … or so many of which too many fail.
const SLOWED_ENOUGH: usize = 10;
/// Fewer, when they take long.
const SLOWED_FEW: usize = 3;
/// Refusals in a row that count once the credentials are known to work.
const PROVEN_STREAK: u32 = 3;

/// When probes are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Wait before the first probe.
    pub first_probe: Duration,
    /// Longest wait; each is twice the one before.
    pub longest_probe: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { first_probe: Duration::from_secs(5), longest_probe: Duration::from_secs(600) }
    }
}

/// The end of a run.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// Whose.
    pub subject: SubjectId,
    /// The class of a failure.
    pub class: Option<ErrorClass>,
    /// Says nothing about the target: interrupted.
    pub neutral: bool,
    /// What the remote asked for.
    pub retry_after: Option<Duration>,
    /// For how much longer it asked to go slower, if it did, whatever became of the
    /// run; zero when it did not say.
    pub slower: Option<Duration>,
    /// Of a failure.
    pub message: &'a str,
}

/// Given to a run at its start: what was known then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    epoch: u64,
    round: u64,
}

/// What follows from the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// The target is the cause: the attempt does not count.
    pub give_back: bool,
    /// To be written down.
    pub changed: bool,
}

#[derive(Debug, Clone)]
enum Phase {
    Closed,
    Slowed(Cause),
    Open {
        cause: Cause,
        next_probe: DateTime<Utc>,
        wait: Duration,
    },
    /// `wait` is absent when a person asked for it.
    Probing {
        cause: Cause,
        wait: Option<Duration>,
    },
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Breaker {
    timing: Timing,
    phase: Phase,
    since: DateTime<Utc>,
    /// Counts the phases: a run that started in an earlier one is no evidence.
    epoch: u64,
    window: Window,
    flow: Flow,
    last: Option<(ErrorClass, String)>,
    auth_streak: u32,
    auth_proven: bool,
    /// The last wait, until the target has proved well again.
    relapse: Option<Duration>,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(cap: u32, timing: Timing, now: DateTime<Utc>) -> Self {
        Self {
            timing,
            phase: Phase::Closed,
            since: now,
            epoch: 0,
            window: Window::default(),
            flow: Flow::new(cap.max(1)),
            last: None,
            auth_streak: 0,
            auth_proven: false,
            relapse: None,
        }
    }

    /// How many runs may be under way now.
    pub fn allowance(&mut self, now: DateTime<Utc>) -> u32 {
        if self.flow.held(now).is_some() {
            return 0;
        }
        let furthest = later(now, self.timing.longest_probe.max(LONGEST_HOLD));
        match &mut self.phase {
            Phase::Closed => self.flow.limit(),
            Phase::Slowed(_) | Phase::Probing { .. } => 1,
            Phase::Open { next_probe, .. } => {
                // The clock may have been set back.
                *next_probe = (*next_probe).min(furthest);
                u32::from(*next_probe <= now)
            }
        }
    }

    /// How long until [`Breaker::allowance`] may rise from 0 by itself.
    pub fn wait(&self, now: DateTime<Utc>) -> Duration {
        let probe = match self.phase {
            Phase::Open { next_probe, .. } => Some(next_probe),
            _ => None,
        };
        let until = probe.into_iter().chain(self.flow.hold()).max();
        until.and_then(|until| (until - now).to_std().ok()).unwrap_or_default()
    }

    /// A run starts that was allowed; in quarantine it is the probe.
    pub fn start(&mut self) -> Ticket {
        if let Phase::Open { cause, wait, .. } = &self.phase {
            self.phase = Phase::Probing { cause: cause.clone(), wait: Some(*wait) };
            self.epoch += 1;
        }
        Ticket { epoch: self.epoch, round: self.flow.round() }
    }

    /// Nothing but probes is let through.
    pub fn is_quarantined(&self) -> bool {
        matches!(self.phase, Phase::Open { .. } | Phase::Probing { .. })
    }

    /// A run has ended.
    pub fn ended(&mut self, ticket: Ticket, end: &End<'_>, now: DateTime<Utc>) -> Effect {
        let epoch = self.epoch;
        let mut changed = self.feel(ticket, end, now);
        let refused = end.class == Some(ErrorClass::Auth) && matches!(self.phase, Phase::Slowed(_));
        if ticket.epoch == epoch || refused {
            match self.phase.clone() {
                Phase::Closed | Phase::Slowed(_) => self.watch(end, now),
                Phase::Probing { cause, wait } => self.probed(cause, wait, end, now),
                Phase::Open { .. } => {}
            }
        }
        changed |= self.epoch != epoch;
        Effect { give_back: self.is_quarantined() && self.explains(end), changed }
    }

    /// The failure is of the kind that the quarantine is for.
    fn explains(&self, end: &End<'_>) -> bool {
        let (Phase::Open { cause, .. } | Phase::Probing { cause, .. }) = &self.phase else { return false };
        end.class.is_some_and(|class| Kind::of(Some(class)) == Kind::Bad || class == cause.class)
    }

    /// Concurrency. True when there is something to write down.
    fn feel(&mut self, ticket: Ticket, end: &End<'_>, now: DateTime<Utc>) -> bool {
        if end.slower.is_some() {
            return self.flow.cut(ticket.round, end.slower.max(end.retry_after), now);
        }
        match end.class {
            None if !end.neutral => self.flow.good(),
            Some(ErrorClass::RateLimited) => {
                return self.flow.cut(ticket.round, end.retry_after, now);
            }
            Some(ErrorClass::Transient) if end.retry_after.is_some() => {
                return self.flow.cut(ticket.round, end.retry_after, now);
            }
            _ => {}
        }
        false
    }

    fn watch(&mut self, end: &End<'_>, now: DateTime<Utc>) {
        if end.neutral {
            return;
        }
        let kind = Kind::of(end.class);
        if let Some(class) = end.class.filter(|_| kind != Kind::Good) {
            self.last = Some((class, first_line(end.message)));
        }
        self.window.push(end.subject, kind, now);
        match (end.class, kind) {
            (Some(ErrorClass::Auth), _) => self.auth_streak += 1,
            (_, Kind::Good) => self.auth_streak = 0,
            _ => {}
        }
        if self.auth_streak >= if self.auth_proven { PROVEN_STREAK } else { 1 } {
            let streak = self.auth_streak as usize;
            let cause = Cause { failures: streak, window: streak, ..self.cause() };
            return self.open(cause, now);
        }
        match self.phase {
            Phase::Slowed(_) => self.watch_slowed(now),
            _ => self.watch_closed(now),
        }
    }

    fn watch_closed(&mut self, now: DateTime<Utc>) {
        if !self.window.tells() {
            return;
        }
        if self.window.is_ill() || (self.window.is_full() && self.window.too_much_logic()) {
            let cause = self.cause();
            self.turn(Phase::Slowed(cause), now);
        } else {
            self.relapse = None;
        }
    }

    fn watch_slowed(&mut self, now: DateTime<Utc>) {
        let ill = self.window.is_ill() || self.window.too_much_logic();
        let all_failed = self.window.len() >= SLOWED_STREAK && self.window.failures() == self.window.len();
        if all_failed || (ill && self.window.tells_by(SLOWED_ENOUGH, SLOWED_FEW)) {
            let cause = self.cause();
            self.open(cause, now);
        } else if self.window.tells_by(SLOWED_ENOUGH, SLOWED_FEW) {
            self.close(now);
        }
    }

    fn probed(&mut self, cause: Cause, wait: Option<Duration>, end: &End<'_>, now: DateTime<Utc>) {
        let failed = end.neutral || Kind::of(end.class) != Kind::Good;
        if !failed {
            self.auth_proven |= cause.class == ErrorClass::Auth;
            return self.close(now);
        }
        let mut cause = cause;
        let wait = match (end.class, wait) {
            (Some(class), wait) => {
                (cause.class, cause.message) = (class, first_line(end.message));
                wait.map_or(self.timing.first_probe, |wait| self.longer(wait))
            }
            (None, wait) => wait.unwrap_or(self.timing.first_probe),
        };
        self.relapse = Some(wait);
        let next_probe = later(now, wait.max(end.retry_after.unwrap_or_default().min(LONGEST_HOLD)));
        self.phase = Phase::Open { cause, next_probe, wait };
        self.epoch += 1;
    }

    fn longer(&self, wait: Duration) -> Duration {
        wait.saturating_mul(2).min(self.timing.longest_probe)
    }

    fn cause(&self) -> Cause {
        let (class, message) = self.last.clone().unwrap_or((ErrorClass::Transient, String::new()));
        Cause { class, message, failures: self.window.failures(), window: self.window.len() }
    }

    fn turn(&mut self, phase: Phase, now: DateTime<Utc>) {
        (self.phase, self.since) = (phase, now);
        self.epoch += 1;
        self.auth_streak = 0;
        self.window.clear();
    }

    fn open(&mut self, cause: Cause, now: DateTime<Utc>) {
        let wait = self.relapse.map_or(self.timing.first_probe, |wait| self.longer(wait));
        self.relapse = Some(wait);
        self.turn(Phase::Open { cause, next_probe: later(now, wait), wait }, now);
    }

    fn close(&mut self, now: DateTime<Utc>) {
        self.turn(Phase::Closed, now);
        self.flow.ramp();
    }

    /// Somebody has done something about the target: it gets another chance at
    /// once, one run first. A system that asked for no calls until some time means
    /// it, whoever is impatient here, unless the settings may lead to another.
    pub fn reset(&mut self, other_settings: bool, now: DateTime<Utc>) {
        if other_settings {
            self.flow.release();
        }
        (self.relapse, self.auth_proven) = (None, false);
        match self.phase.clone() {
            Phase::Closed => self.turn(Phase::Closed, now),
            Phase::Slowed(cause) | Phase::Open { cause, .. } | Phase::Probing { cause, .. } => {
                self.turn(Phase::Probing { cause, wait: None }, now);
            }
        }
    }

    /// The setting has changed.
    pub fn set_cap(&mut self, cap: u32) {
        self.flow.set_cap(cap.max(1));
    }
}
