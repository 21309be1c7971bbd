//! A run that failed, again and offline: with the context and the answers of
//! then, and other logic.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::act::act;
use super::case::{Before, Case};
use super::record::{Record, Trial};
use super::report::Report;
use super::stage::Stage;
use super::{Logic, TrialError, Trials};
use crate::domain::host_call::Exchange;
use crate::domain::ids::{RunId, SubjectId, TargetId};
use crate::domain::status::{ProvisionStatus, Reason, Trigger};
use crate::domain::subject::{Subject, SubjectKind, SubjectStatus};
use crate::egress::{Replay, Script, StoredRest};
use crate::engine::job::Job;
use crate::engine::surroundings::Surroundings;
use crate::plan::{Known, Work};
use crate::storage::claim::Claimed;
use crate::storage::dry_runs::Kind;
use crate::storage::replays::Kept;
use crate::storage::runs::Run;

/// What is read of a recorded context.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    reason: Reason,
    trigger: Trigger,
    attempt: u32,
    subject: SeenSubject,
    previous: SeenPrevious,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenSubject {
    id: SubjectId,
    kind: SubjectKind,
    external_id: Option<String>,
    user_name: Option<String>,
    display_name: Option<String>,
    status: SubjectStatus,
    attributes: Map<String, Value>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenPrevious {
    status: ProvisionStatus,
    remote_id: Option<String>,
    metadata: Option<Value>,
    last_run_at: Option<DateTime<Utc>>,
}

/// A replay whose logic is loaded. Dropping it, or its future, ends everything.
pub struct ReplayReady {
    around: Surroundings,
    stage: Stage,
    case: Case,
    context: String,
    tape: Arc<Replay>,
    run: Run,
    exchanges: Vec<Exchange>,
    record: Record,
    _turn: OwnedSemaphorePermit,
}

impl Trials {
    /// Gets everything ready to run a failed run again. Nothing of it is sent:
    /// there is no way out. `script` answers what was not recorded.
    ///
    /// # Errors
    /// A [`TrialError`] when it cannot begin; whatever logic does is no error.
    pub async fn replay(
        &self,
        run: Run,
        kept: Kept,
        logic: Logic,
        script: Script,
    ) -> Result<ReplayReady, TrialError> {
        let turn = self.turn()?;
        let unreadable = |error: serde_json::Error| TrialError::Recording(format!("the recording: {error}"));
        let seen: Seen = serde_json::from_str(&kept.context).map_err(unreadable)?;
        let exchanges: Vec<Exchange> = serde_json::from_value(run.exchanges.clone()).map_err(unreadable)?;
        let rest: StoredRest = serde_json::from_value(kept.rest).map_err(unreadable)?;
        let around = self.surroundings(TargetId(run.target_id)).await?;
        let context = around.egress.unlabel(&kept.context);
        let session = self.deps.egress.session(around.egress.clone());
        let tape = Arc::new(Replay::new(session, exchanges.clone(), &rest, script));
        let case = case(&around, seen, kept.present_before, kept.wanted);
        let (target, number) = (around.target.id, run.id);
        let (account, run_id) = (SubjectId(run.subject_id), RunId { target, number }.to_string());
        let trial =
            Trial { target, kind: Kind::Replay, logic: &logic, account: Some(account), run: Some(run_id) };
        let record = self.record(trial).await?;
        let mut stage = Stage::new(&self.deps.program, around.target.settings.limits, logic);
        stage.open().await?;
        Ok(ReplayReady { around, stage, case, context, tape, run, exchanges, record, _turn: turn })
    }
}

fn case(around: &Surroundings, seen: Seen, present: bool, wanted: bool) -> Case {
    let previous = seen.previous;
    let subject = seen.subject;
    let before = Before {
        status: previous.status,
        remote_id: previous.remote_id.clone(),
        metadata: previous.metadata.clone(),
        next_run_at: None,
        attributes: subject.attributes.clone(),
    };
    let subject = Subject {
        id: subject.id,
        store: around.target.store,
        kind: subject.kind,
        external_id: subject.external_id,
        user_name: subject.user_name,
        display_name: subject.display_name,
        status: subject.status,
        attributes: subject.attributes,
        version: subject.version,
        created_at: subject.created_at,
        updated_at: subject.updated_at,
        deleted_at: subject.deleted_at,
        // Logic gets them from the context.
        containers: Vec::new(),
    };
    let claimed = Claimed {
        subject,
        work: Work { trigger: seen.trigger, deprovision: seen.reason == Reason::Deprovision },
        known: Known { status: Some(previous.status), present, ..Known::default() },
        remote_id: previous.remote_id,
        metadata: previous.metadata,
        last_run_at: previous.last_run_at,
        changes: Vec::new(),
        change_seq: 0,
        fence: 0,
        attempt: seen.attempt,
        kills: None,
        departure: None,
        priority: 0,
    };
    let job = Job { claimed, reason: seen.reason, trigger: seen.trigger, wanted, dependencies: Vec::new() };
    Case { job, before, in_scope: wanted, idle: false }
}

impl ReplayReady {
    /// Runs logic and reports both runs side by side, as JSON.
    pub async fn run(mut self) -> Value {
        let way_out = (self.tape.clone(), &self.record);
        let act = act(&mut self.stage, &self.case, self.context, &self.around, way_out).await;
        self.record.finish().await;
        let mut differences = Vec::new();
        let status = act.conclusion.status;
        if status.as_str() != self.run.status {
            differences.push(json!({ "kind": "status", "recorded": self.run.status, "replayed": status }));
        } else if act.conclusion.message != self.run.message {
            let (then, now) = (&self.run.message, &act.conclusion.message);
            differences.push(json!({ "kind": "message", "recorded": then, "replayed": now }));
        }
        let class = act.conclusion.error_class.map(|class| class.as_str());
        let is_same_end = status.as_str() == self.run.status;
        if is_same_end && class != self.run.error_class.as_deref() {
            let (then, now) = (&self.run.error_class, class);
            differences.push(json!({ "kind": "errorClass", "recorded": then, "replayed": now }));
        }
        let requests = self.tape.differences();
        differences.extend(requests.iter().map(|difference| json!(difference)));
        let run = &self.run;
        json!({
            "recorded": {
                "status": run.status, "message": run.message, "errorClass": run.error_class,
                "logicVersion": run.logic_version, "startedAt": run.started_at,
                "console": run.log, "exchanges": self.exchanges,
            },
            "replayed": Report::of(&self.case, self.stage.logic.origin, act).json(),
            "differences": differences,
        })
    }
}
