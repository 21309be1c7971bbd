//! Provisioning targets: their settings and the rules these follow.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::filter::Filter;
use super::ids::{StoreId, TargetId};
use super::json::check_storable;
use super::status::words;
use super::subject::{FieldError, MAX_ATTRIBUTES};

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

words!(
    /// What runs of a target have in common.
    Isolation {
        /// Many runs at a time in one host process, with one set of module
        /// variables.
        Shared = "shared",
        /// One run at a time in a host process.
        Exclusive = "exclusive",
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

/// When removals wait for a person. What is absent is as the instance's
/// `limits.deletionGuardCount` and `limits.deletionGuardPercent` say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GuardSettings {
    /// So many removals always pass.
    pub count: Option<u32>,
    /// So many, in percent of what the target holds, pass as well; 100 switches
    /// the guard off.
    pub percent: Option<u32>,
}

/// A target as the store holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its id.
    pub id: TargetId,
    /// The store whose subjects it provisions.
    pub store: StoreId,
    /// What [`TargetSettings::depends_on`] names.
    pub needs: Vec<TargetId>,
    /// Counts changes of the settings, from 1.
    pub version: i64,
    /// What a person set.
    pub settings: TargetSettings,
    /// Work is held until resumed.
    pub paused: bool,
    /// How often a person has resumed it.
    pub resumes: i64,
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
    /// Names or ids of targets of the store that have to provision a subject
    /// first; read back as names.
    pub depends_on: Vec<String>,
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
    /// Where each secret may go, in the words of `egress_allow`, with `http://` in
    /// front for plain HTTP; one without an entry goes nowhere.
    pub secret_hosts: BTreeMap<String, Vec<String>>,
    /// Entries of `egress_allow` that somebody saved who may open what is not
    /// public; the others open public addresses only.
    pub egress_inside: Vec<String>,
    /// What a run may use up.
    pub limits: Limits,
    /// Who shares a host process.
    pub isolation: Isolation,
    /// When a failure is tried again.
    pub retry: RetryPolicy,
    /// When removals wait for a person.
    pub guard: GuardSettings,
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
            depends_on: Vec::new(),
            max_parallel_jobs: 5,
            filter: String::new(),
            egress_allow: Vec::new(),
            config: Map::new(),
            connection: Map::new(),
            secret_hosts: BTreeMap::new(),
            egress_inside: Vec::new(),
            limits: Limits::default(),
            isolation: Isolation::Shared,
            retry: RetryPolicy::default(),
            guard: GuardSettings::default(),
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

/// Shortest and longest name, in characters.
pub const NAME_LENGTH: std::ops::RangeInclusive<usize> = 3..=64;
/// Longest description, in characters.
pub const MAX_DESCRIPTION: usize = 1_024;
/// Most entries of `dependsOn`.
pub const MAX_DEPENDENCIES: usize = 16;
/// Most entries of `egressAllow`.
pub const MAX_EGRESS_ENTRIES: usize = 100;

impl TargetSettings {
    /// Every rule that the settings break; empty when they can be stored. The
    /// entries of `egressAllow` are judged by `egress`.
    pub fn errors(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        errors.extend(name_error(&self.name).map(|rule| FieldError::new("name", rule)));
        if self.description.chars().count() > MAX_DESCRIPTION || self.description.contains('\0') {
            let rule =
                format!("must not be longer than {MAX_DESCRIPTION} characters or contain NUL (U+0000)");
            errors.push(FieldError::new("description", rule));
        }
        check_range(&mut errors, "maxParallelJobs", self.max_parallel_jobs, 1..=100);
        if let Err(error) = Filter::parse(&self.filter) {
            errors.push(FieldError::new("filter", error.to_string()));
        }
        if self.depends_on.len() > MAX_DEPENDENCIES {
            let rule = format!("must not have more than {MAX_DEPENDENCIES} entries");
            errors.push(FieldError::new("dependsOn", rule));
        }
        if self.egress_allow.len() > MAX_EGRESS_ENTRIES {
            let rule = format!("must not have more than {MAX_EGRESS_ENTRIES} entries");
            errors.push(FieldError::new("egressAllow", rule));
        }
        for (field, members) in [("config", &self.config), ("connection.properties", &self.connection)] {
            errors.extend(object_error(field, members));
        }
        self.limit_errors(&mut errors);
        errors
    }

    fn limit_errors(&self, errors: &mut Vec<FieldError>) {
        check_range(errors, "limits.cpuMs", self.limits.cpu_ms, 10..=60_000);
        check_range(errors, "limits.wallMs", self.limits.wall_ms, 100..=600_000);
        check_range(errors, "limits.heapMib", self.limits.heap_mib, 16..=1_024);
        check_range(errors, "retry.maxAttempts", self.retry.max_attempts, 1..=100);
        check_range(errors, "retry.firstDelaySecs", self.retry.first_delay_secs, 1..=3_600);
        check_range(errors, "retry.maxDelaySecs", self.retry.max_delay_secs, 1..=604_800);
        check_range(errors, "guard.count", self.guard.count.unwrap_or(0), 0..=1_000_000_000);
        check_range(errors, "guard.percent", self.guard.percent.unwrap_or(0), 0..=100);
    }
}

fn name_error(name: &str) -> Option<String> {
    let (shortest, longest) = (NAME_LENGTH.start(), NAME_LENGTH.end());
    if !NAME_LENGTH.contains(&name.chars().count()) {
        Some(format!("must have {shortest} to {longest} characters"))
    } else if name.trim() != name {
        Some("must not begin or end with white space".into())
    } else if name.chars().any(char::is_control) {
        Some("must not contain control characters".into())
    } else if name.chars().all(|c| c.is_ascii_digit()) {
        Some("must not consist of digits alone, or it could be taken for an id".into())
    } else {
        None
    }
}

fn check_range(
    errors: &mut Vec<FieldError>,
    field: &str,
    value: u32,
    allowed: std::ops::RangeInclusive<u32>,
) {
    if !allowed.contains(&value) {
        let rule = format!("must lie within {} and {}", allowed.start(), allowed.end());
        errors.push(FieldError::new(field, rule));
    }
}

fn object_error(field: &str, members: &Map<String, Value>) -> Option<FieldError> {
    let value = Value::Object(members.clone());
    if let Err((path, rule)) = check_storable(&value) {
        return Some(FieldError::new(format!("{field}.{path}"), rule.to_string()));
    }
    let size = value.to_string().len();
    (size > MAX_ATTRIBUTES)
        .then(|| FieldError::new(field, format!("must not be larger than {MAX_ATTRIBUTES} bytes of JSON")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broken_rule_is_named() {
        assert_eq!(TargetSettings::named("crm").errors(), []);
        let bad = TargetSettings {
            description: "x".repeat(1_025),
            max_parallel_jobs: 101,
            limits: Limits { cpu_ms: 1, ..Limits::default() },
            ..TargetSettings::named("ab")
        };
        let fields: Vec<_> = bad.errors().into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["name", "description", "maxParallelJobs", "limits.cpuMs"]);
    }
}
