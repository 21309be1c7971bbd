//! The breaker as it is written down and as people see it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::status::{ErrorClass, words};
use crate::domain::target::Target;

words!(
    /// How much of its work a target gets.
    BreakerState {
        /// All of it.
        Closed = "closed",
        /// One run at a time.
        Slowed = "slowed",
        /// None: the target is quarantined.
        Open = "open",
        /// One run, which decides.
        Probing = "probing",
    }
);

/// Why a target is slowed or quarantined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// Of the last failure.
    pub class: ErrorClass,
    /// What the last failure said, one line.
    pub message: String,
    /// Failures …
    pub failures: usize,
    /// … of so many runs.
    pub window: usize,
}

/// What a breaker was formed under: when any of it differs, somebody has done
/// something about the target, and it gets another chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Basis {
    /// The version of the settings.
    pub version: i64,
    /// The published logic.
    pub logic_version: Option<i32>,
    /// How often a person has resumed the target.
    pub resumes: i64,
}

impl Basis {
    /// That of a target as it is now.
    pub fn of(target: &Target) -> Self {
        Self { version: target.version, logic_version: target.logic_version, resumes: target.resumes }
    }

    /// It may be another system that is called.
    pub fn settings_differ(self, before: Self) -> bool {
        self.version != before.version
    }
}

/// A breaker that is not simply closed, as the target's row keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// `open` for a probe that runs, since a restart ends it.
    pub state: BreakerState,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Absent when closed.
    pub cause: Option<Cause>,
    /// When open.
    pub next_probe_at: Option<DateTime<Utc>>,
    /// The wait before that probe, in milliseconds.
    pub wait_ms: u64,
    /// Runs at a time.
    pub concurrency: u32,
    /// No run before, as the system asked.
    pub held_until: Option<DateTime<Utc>>,
    /// The credentials are known to work, so that one refusal is one account's.
    pub auth_proven: bool,
    /// See [`Basis`].
    pub basis: Basis,
}

impl Saved {
    pub(super) fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }

    /// The breaker for people, when it holds for `target` as it is now.
    pub fn view(&self, target: &Target) -> Option<BreakerView> {
        (self.basis == Basis::of(target)).then(|| {
            let (failures, window) = self.cause.as_ref().map_or((0, 0), |c| (c.failures, c.window));
            let mut view = BreakerView {
                state: self.state,
                since: self.since,
                reason: None,
                next_probe_at: self.next_probe_at,
                held_until: self.held_until,
                concurrency: self.concurrency,
                cap: target.settings.max_parallel_jobs,
                failures,
                window,
            };
            view.reason = super::sentence::sentence(&view, self.cause.as_ref());
            view
        })
    }
}

/// The breaker for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerView {
    /// How much of its work the target gets.
    pub state: BreakerState,
    /// Since when.
    pub since: DateTime<Utc>,
    /// One sentence; absent when all is well.
    pub reason: Option<String>,
    /// When the next run is let through, if the target is quarantined.
    pub next_probe_at: Option<DateTime<Utc>>,
    /// No run before, as the system asked with Retry-After.
    pub held_until: Option<DateTime<Utc>>,
    /// Runs at a time; 0 when quarantined.
    pub concurrency: u32,
    /// The most that settings allow.
    pub cap: u32,
    /// Failures among the latest runs.
    pub failures: usize,
    /// The latest runs, one a subject.
    pub window: usize,
}

impl BreakerView {
    /// Of a target that nothing is known against.
    pub fn closed(target: &Target) -> Self {
        let cap = target.settings.max_parallel_jobs;
        Self {
            state: BreakerState::Closed,
            since: target.updated_at,
            reason: None,
            next_probe_at: None,
            held_until: None,
            concurrency: cap,
            cap,
            failures: 0,
            window: 0,
        }
    }

    /// Why due work does not run, `None` when the breaker lets it.
    pub fn why_waiting(&self, now: DateTime<Utc>) -> Option<String> {
        let held = self.held_until.is_some_and(|until| until > now);
        let reason = self.reason.as_deref()?;
        match self.state {
            BreakerState::Open | BreakerState::Probing => {
                let rest = reason.strip_prefix("quarantined ").unwrap_or(reason);
                Some(format!("waits: the target is quarantined ({rest})"))
            }
            _ if held => Some(format!("waits: {reason}")),
            BreakerState::Closed | BreakerState::Slowed => None,
        }
    }
}
