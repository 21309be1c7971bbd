//! From a subject and what somebody wants to see to a job.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::domain::ids::SubjectId;
use crate::domain::status::{ProvisionStatus, Reason, Trigger};
use crate::domain::subject::SubjectDraft;
use crate::egress::Script;
use crate::engine::job::Job;
use crate::engine::surroundings::Surroundings;
use crate::plan::{Decision, Known, Scope, Work, decide};
use crate::storage::claim::Claimed;
use crate::storage::trial::Situation;

/// For whom logic is tried.
#[derive(Debug, Clone)]
pub enum Who {
    /// An account of the target's store.
    Account(SubjectId),
    /// One that does not exist.
    MadeUp(Box<SubjectDraft>),
}

/// What somebody wants to see.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Otherwise what the filter says; `provision` for an account made up.
    pub reason: Option<Reason>,
    /// Otherwise as if a person had asked.
    pub trigger: Option<Trigger>,
    /// Attempts at the version, from 1.
    pub attempt: u32,
    /// Otherwise what the last run left.
    pub previous: Option<Previous>,
    /// Answers to requests that would have been sent.
    pub script: Script,
    /// Whether requests that only read are sent.
    pub reads: bool,
}

/// What the last run is to have left.
#[derive(Debug, Clone, Default)]
pub struct Previous {
    /// Its status.
    pub status: Option<ProvisionStatus>,
    /// The id in the external system.
    pub remote_id: Option<String>,
    /// What logic kept.
    pub metadata: Option<Value>,
}

/// How a subject stands before a run.
#[derive(Debug, Clone)]
pub(super) struct Before {
    pub status: ProvisionStatus,
    pub remote_id: Option<String>,
    pub metadata: Option<Value>,
    pub next_run_at: Option<DateTime<Utc>>,
    pub attributes: Map<String, Value>,
}

/// A subject whose run is tried.
pub(super) struct Case {
    /// As a worker gets it.
    pub job: Job,
    pub before: Before,
    /// It matches the filter.
    pub in_scope: bool,
    /// By itself the engine would not run logic for it.
    pub idle: bool,
}

impl Case {
    /// What would run for a subject.
    pub(super) fn of(around: &Surroundings, mut situation: Situation, wish: &Wish) -> Self {
        if let Some(previous) = &wish.previous {
            situation.pretend(previous);
        }
        let is_made_up = situation.subject.id == SubjectId(0);
        let scope = Scope {
            version: situation.subject.version,
            deleted: situation.subject.deleted_at.is_some(),
            matches: around.filter.matches(&situation.subject, Utc::now()),
        };
        let work = Work { trigger: Trigger::Manual, deprovision: false };
        let decision = decide(work, situation.known, scope);
        let asked = wish.reason.or(is_made_up.then_some(Reason::Provision));
        let (reason, trigger) = match (asked, decision) {
            (None, Decision::Run { reason, trigger }) => (reason, trigger),
            (asked, _) => (asked.unwrap_or(Reason::Deprovision), Trigger::Manual),
        };
        let before = Before {
            status: situation.known.status.unwrap_or(ProvisionStatus::Pending),
            remote_id: situation.remote_id.clone(),
            metadata: situation.metadata.clone(),
            next_run_at: situation.next_run_at,
            attributes: situation.subject.attributes.clone(),
        };
        let job = Job {
            reason,
            trigger: wish.trigger.unwrap_or(trigger),
            // Whoever asks for a reason asks for the scope that goes with it.
            wanted: asked.map_or(scope.is_wanted(), |reason| reason == Reason::Provision),
            dependencies: std::mem::take(&mut situation.dependencies),
            claimed: claimed(situation, wish.attempt),
        };
        let idle = asked.is_none() && !matches!(decision, Decision::Run { .. });
        Self { job, before, in_scope: scope.is_wanted(), idle }
    }
}

/// As a claim would have it; nothing of it is ever completed.
fn claimed(situation: Situation, attempt: u32) -> Claimed {
    Claimed {
        subject: situation.subject,
        work: Work { trigger: Trigger::Manual, deprovision: false },
        known: situation.known,
        remote_id: situation.remote_id,
        metadata: situation.metadata,
        last_run_at: situation.last_run_at,
        changes: situation.changes,
        change_seq: 0,
        fence: 0,
        attempt,
        kills: None,
        departure: None,
        priority: 0,
    }
}

impl Situation {
    fn pretend(&mut self, previous: &Previous) {
        use ProvisionStatus::{ProvisionFailed, ProvisionOngoing, Provisioned};
        let status = previous.status.unwrap_or(ProvisionStatus::Pending);
        self.known = Known {
            status: Some(status),
            present: matches!(status, Provisioned | ProvisionOngoing | ProvisionFailed),
            ..self.known
        };
        self.remote_id.clone_from(&previous.remote_id);
        self.metadata.clone_from(&previous.metadata);
    }
}
