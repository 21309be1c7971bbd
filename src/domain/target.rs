//! Provisioning targets: their settings and the rules these follow.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::{StoreId, TargetId};
use super::status::words;

words!(
    /// When a target runs (COmanage's provisioning modes).
    Mode {
        /// At every change.
        Immediate = "immediate",
        /// When a person asks.
        Manual = "manual",
        /// Never.
        Disabled = "disabled",
    }
);

/// What logic may use up in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// CPU time that logic may hold the host without yielding, in milliseconds.
    pub cpu_ms: u32,
    /// Wall time of a run, in milliseconds.
    pub wall_ms: u32,
    /// Heap of the host, in MiB, shared by the runs in flight.
    pub heap_mib: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu_ms: 2_000, wall_ms: 30_000, heap_mib: 128 }
    }
}

impl Limits {
    /// [`Limits::cpu_ms`] as a duration.
    pub const fn cpu(&self) -> Duration {
        Duration::from_millis(self.cpu_ms as u64)
    }

    /// [`Limits::wall_ms`] as a duration.
    pub const fn wall(&self) -> Duration {
        Duration::from_millis(self.wall_ms as u64)
    }
}

/// How often and when a failed version is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Attempts in all, the first one included; the last one that fails is a
    /// dead letter.
    pub max_attempts: u32,
    /// Seconds before the second attempt; each further wait is three times longer.
    pub first_delay_secs: u32,
    /// Longest wait, in seconds.
    pub max_delay_secs: u32,
}

impl Default for RetryPolicy {
    /// 5 s, 15 s, 45 s … 10 h: ten waits, 23.7 hours in all.
    fn default() -> Self {
        Self { max_attempts: 11, first_delay_secs: 5, max_delay_secs: 36_000 }
    }
}

/// A target as the store holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its id.
    pub id: TargetId,
    /// The store whose subjects it provisions.
    pub store: StoreId,
    /// Counts changes of the settings, from 1.
    pub version: i64,
    /// What a person set.
    pub settings: TargetSettings,
    /// Work is held until resumed.
    pub paused: bool,
    /// The published logic, `None` before the first publication.
    pub logic_version: Option<i32>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its settings last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a person sets on a target.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSettings {
    /// 3–64 characters, one of a kind in the store.
    pub name: String,
    /// At most 1,024 characters.
    pub description: String,
    /// Whether it works at all; false on creation.
    pub enabled: bool,
    /// When it works.
    pub mode: Mode,
    /// Lowest first.
    pub order: i32,
    /// Runs at one time, 1–100.
    pub max_parallel_jobs: u32,
    /// A SCIM filter; empty means every account.
    pub filter: String,
    /// `host`, `host:port`, `network` or `network:port`; empty means public
    /// addresses only, otherwise exactly these.
    pub egress_allow: Vec<String>,
    /// Handed to logic as `ctx.target.config`.
    pub config: Map<String, Value>,
    /// Handed to logic as `ctx.connection`.
    pub connection: Map<String, Value>,
    /// What a run may use up.
    pub limits: Limits,
    /// When a failure is tried again.
    pub retry: RetryPolicy,
}

impl TargetSettings {
    /// Settings of a target that only has a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            enabled: false,
            mode: Mode::Immediate,
            order: 0,
            max_parallel_jobs: 5,
            filter: String::new(),
            egress_allow: Vec::new(),
            config: Map::new(),
            connection: Map::new(),
            limits: Limits::default(),
            retry: RetryPolicy::default(),
        }
    }

    /// Whether the engine serves the target.
    pub fn is_served(&self) -> bool {
        self.enabled && self.mode != Mode::Disabled
    }

    /// Whether a change of a subject becomes work.
    pub fn follows_changes(&self) -> bool {
        self.enabled && self.mode == Mode::Immediate
    }
}
