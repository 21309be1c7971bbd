//! How far a cohort is, while it goes on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

use super::act::Act;
use super::case::Case;
use super::report::{Origin, to_json};
use super::summary::Summary;
use crate::domain::status::{ErrorClass, ProvisionStatus};

/// After so many failures in a row by which the external system is not well, it
/// is left alone.
const FAILURES_IN_A_ROW: u32 = 20;

/// How far a cohort is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// It goes on.
    Running,
    /// Everybody was tried.
    Finished,
    /// It ended early; the reason says why.
    Stopped,
    /// A person ended it.
    Cancelled,
}

/// What has been found, while it goes on.
pub(super) struct Progress {
    logic: Origin,
    against: Option<Origin>,
    now: Mutex<Now>,
}

struct Now {
    state: State,
    reason: Option<String>,
    summary: Summary,
    bad_in_a_row: u32,
}

/// What is known of a cohort, on the wire.
#[derive(Serialize)]
struct View<'a> {
    logic: Origin,
    against: Option<Origin>,
    state: State,
    reason: Option<&'a str>,
    #[serde(flatten)]
    summary: &'a Summary,
}

impl Progress {
    /// Of a cohort that begins.
    pub(super) fn new(logic: Origin, against: Option<Origin>, total: i64) -> Self {
        let summary = Summary::new(total, against.is_some());
        let now = Now { state: State::Running, reason: None, summary, bad_in_a_row: 0 };
        Self { logic, against, now: Mutex::new(now) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        let now = self.now();
        let (logic, against) = (self.logic, self.against);
        let view =
            View { logic, against, state: now.state, reason: now.reason.as_deref(), summary: &now.summary };
        to_json(&view)
    }

    pub(super) fn is_running(&self) -> bool {
        self.now().state == State::Running
    }

    /// Ends it, unless it has ended.
    pub(super) fn end(&self, state: State, reason: Option<String>) {
        let mut now = self.now();
        if now.state == State::Running {
            (now.state, now.reason) = (state, reason);
        }
    }

    /// Notes a subject. An error says why it makes no sense to go on.
    pub(super) fn note(&self, tried: &Tried) -> Result<(), String> {
        let mut now = self.now();
        let Some(draft) = &tried.draft else {
            now.summary.note_idle();
            return Ok(());
        };
        now.summary.note(&tried.case, draft, tried.published.as_ref());
        now.bad_in_a_row = if is_bad(draft) { now.bad_in_a_row + 1 } else { 0 };
        if now.bad_in_a_row < FAILURES_IN_A_ROW {
            return Ok(());
        }
        let message = draft.conclusion.message.lines().next().unwrap_or_default();
        Err(format!(
            "{FAILURES_IN_A_ROW} runs in a row failed on the external system, the last with: {message}"
        ))
    }
}

/// A subject, and what was found.
pub(super) struct Tried {
    pub case: Case,
    /// `None` when nothing would run.
    pub draft: Option<Act>,
    /// What is published, to compare with.
    pub published: Option<Act>,
}

/// The external system is the cause, rather than the account or the logic.
fn is_bad(act: &Act) -> bool {
    use ErrorClass::{Auth, RateLimited, Transient};
    let class = act.conclusion.error_class;
    act.conclusion.status == ProvisionStatus::ProvisionFailed
        && matches!(class, Some(Transient | RateLimited | Auth))
}
