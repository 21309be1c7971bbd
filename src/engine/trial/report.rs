//! A run that is not real, for people to read.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::act::Act;
use super::case::{Before, Case};
use super::diff::{Change, changes};
use crate::domain::host_call::{ConsoleLine, Exchange};
use crate::domain::ids::SubjectId;
use crate::domain::json::merge_members;
use crate::domain::status::{ErrorClass, ProvisionStatus, Reason, Trigger};
use crate::js::{RunOutcome, Thrown};
use crate::plan::Conclusion;

/// Where logic comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The target's draft.
    Draft,
    /// A published version.
    Version(i32),
    /// It came with the request.
    Unsaved,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Draft => f.write_str("draft"),
            Self::Unsaved => f.write_str("unsaved"),
            Self::Version(number) => number.fmt(f),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Draft => serializer.serialize_str("draft"),
            Self::Unsaved => serializer.serialize_str("unsaved"),
            Self::Version(number) => serializer.serialize_i32(*number),
        }
    }
}

/// One run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    account_id: Option<SubjectId>,
    user_name: Option<String>,
    /// `draft`, `unsaved` or the number of a version.
    logic: Origin,
    reason: Reason,
    trigger: Trigger,
    attempt: u32,
    in_scope: bool,
    /// False when the engine would not run logic for the account.
    ran: bool,
    outcome: Outcome,
    /// What logic returned.
    response: Option<Value>,
    thrown: Option<ThrownView>,
    /// The limit that was broken.
    limit: Option<String>,
    console: Vec<ConsoleLine>,
    exchanges: Vec<Exchange>,
    exchanges_left_out: usize,
    diff: Diff,
    cpu_ms: Option<u64>,
    wall_ms: u64,
}

/// What would be recorded.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    status: ProvisionStatus,
    message: String,
    error_class: Option<ErrorClass>,
    /// Seconds that the remote asked to wait.
    retry_after: Option<u64>,
    remote_id: Option<String>,
    metadata: Option<Value>,
    /// What logic writes back.
    attributes: Option<Map<String, Value>>,
    next_run_at: Option<DateTime<Utc>>,
    next_run_trigger: Option<Trigger>,
    /// A failure that nothing would retry.
    dead_letter: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ThrownView {
    message: String,
    stack: Option<String>,
    error_class: Option<ErrorClass>,
    retry_after: Option<u64>,
}

/// What would be another way afterwards; what stays is left out.
#[derive(Debug, Default, Serialize)]
struct Diff {
    /// Before and after, by name.
    state: BTreeMap<&'static str, [Value; 2]>,
    attributes: Vec<Change>,
}

impl Report {
    pub(super) fn of(case: &Case, logic: Origin, act: Act) -> Self {
        let diff = Diff::of(&case.before, &act.conclusion);
        let (response, thrown, limit) = match act.outcome {
            Some(RunOutcome::Returned(value)) => (Some(value), None, None),
            Some(RunOutcome::Threw(thrown)) => (None, Some(ThrownView::of(thrown)), None),
            Some(RunOutcome::Limit(limit) | RunOutcome::TimedOut(limit) | RunOutcome::Killed(limit)) => {
                (None, None, Some(limit))
            }
            Some(RunOutcome::Interrupted(_)) | None => (None, None, None),
        };
        Self {
            outcome: Outcome::of(&case.before, act.conclusion),
            response,
            thrown,
            limit,
            console: act.console,
            exchanges: act.exchanges,
            exchanges_left_out: act.left_out,
            diff,
            cpu_ms: act.cpu.map(millis),
            wall_ms: millis(act.wall),
            ..Self::idle(case, logic, true)
        }
    }

    /// Of a subject for which the engine would not run logic.
    pub(super) fn not_run(case: &Case, logic: Origin) -> Self {
        Self::idle(case, logic, false)
    }

    fn idle(case: &Case, logic: Origin, ran: bool) -> Self {
        let subject = &case.job.claimed.subject;
        Self {
            account_id: (subject.id != SubjectId(0)).then_some(subject.id),
            user_name: subject.user_name.clone(),
            logic,
            reason: case.job.reason,
            trigger: case.job.trigger,
            attempt: case.job.claimed.attempt,
            in_scope: case.in_scope,
            ran,
            outcome: Outcome::idle(&case.before),
            response: None,
            thrown: None,
            limit: None,
            console: Vec::new(),
            exchanges: Vec::new(),
            exchanges_left_out: 0,
            diff: Diff::default(),
            cpu_ms: None,
            wall_ms: 0,
        }
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        to_json(self)
    }
}

/// A value as JSON.
pub(super) fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|error| {
        log::error!("a report cannot be written as JSON: {error}");
        Value::Null
    })
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Outcome {
    /// With what stays known where logic says nothing.
    fn of(before: &Before, end: Conclusion) -> Self {
        Self {
            status: end.status,
            message: end.message,
            error_class: end.error_class,
            retry_after: end.retry_after.map(|wait| wait.as_secs()),
            remote_id: end.remote_id.or_else(|| before.remote_id.clone()),
            metadata: end.metadata.or_else(|| before.metadata.clone()),
            attributes: end.attributes,
            next_run_at: end.next.as_ref().map(|next| next.at),
            next_run_trigger: end.next.map(|next| next.trigger),
            dead_letter: end.dead,
        }
    }

    fn idle(before: &Before) -> Self {
        let kept = before.status == ProvisionStatus::Deprovisioned;
        Self {
            status: if kept { before.status } else { ProvisionStatus::ProvisionNotNeeded },
            message: "out of scope, and nothing to remove: logic would not run".into(),
            error_class: None,
            retry_after: None,
            remote_id: before.remote_id.clone(),
            metadata: before.metadata.clone(),
            attributes: None,
            next_run_at: None,
            next_run_trigger: None,
            dead_letter: false,
        }
    }
}

impl ThrownView {
    fn of(thrown: Thrown) -> Self {
        let Thrown { message, stack, error_class, retry_after } = thrown;
        Self { message, stack, error_class, retry_after: retry_after.map(|wait| wait.as_secs()) }
    }
}

impl Diff {
    fn of(before: &Before, end: &Conclusion) -> Self {
        let mut state = BTreeMap::new();
        let mut note = |name, before: Value, after: Value| {
            if before != after {
                state.insert(name, [before, after]);
            }
        };
        note("status", json!(before.status), json!(end.status));
        let kept = |new: Option<Value>, old: Value| new.unwrap_or(old);
        let remote_id = json!(before.remote_id);
        note("remoteId", remote_id.clone(), kept(end.remote_id.as_ref().map(|id| json!(id)), remote_id));
        let metadata = json!(before.metadata);
        note("metadata", metadata.clone(), kept(end.metadata.clone(), metadata));
        note("nextRunAt", json!(before.next_run_at), json!(end.next.as_ref().map(|next| next.at)));
        let mut after = before.attributes.clone();
        if let Some(patch) = &end.attributes {
            merge_members(&mut after, patch);
        }
        Self { state, attributes: changes(&json!(before.attributes), &json!(after)) }
    }
}
