//! One piece of claimed work, from decision to completion.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::context::context;
use super::dead_letter::fingerprint_of;
use super::redacted::{credentials, names, redacted};
use super::runtime::Runtime;
use crate::domain::host_call::{ConsoleLine, Exchange};
use crate::domain::ids::{SubjectId, TargetId};
use crate::domain::response::{Response, cut_message};
use crate::domain::status::{ErrorClass, ProvisionStatus, Reason, Trigger};
use crate::egress::{Egress, Failure, Rest};
use crate::js::{RunEnd, RunOutcome, StartError, Thrown};
use crate::plan::{Conclusion, Decision, Ending, Kills, Policy, RunFacts, Scope, conclude, decide};
use crate::storage::JsonText;
use crate::storage::claim::Claimed;
use crate::storage::complete::{Completion, ReplayLog, RunLog};
use crate::storage::gate::{Candidate, Dependency};
use crate::storage::guard::{Judged, Leaver, Removal};

/// Work that logic must do.
#[derive(Debug, Clone)]
pub struct Job {
    /// What was claimed.
    pub claimed: Claimed,
    /// Why logic runs.
    pub reason: Reason,
    /// What made it run.
    pub trigger: Trigger,
    /// The subject is in scope.
    pub wanted: bool,
    /// What the targets have left that this one depends on.
    pub dependencies: Vec<Dependency>,
}

/// What a claim comes to.
#[derive(Debug)]
pub enum Planned {
    /// A worker's job.
    Run(Box<Job>),
    /// Nothing to run: only to be recorded.
    Record(Box<Completion>),
}

impl Job {
    fn status_before(&self) -> ProvisionStatus {
        self.claimed.known.status.unwrap_or(ProvisionStatus::Pending)
    }
}

impl Judged for Planned {
    fn removal(&self) -> Option<Removal> {
        let Self::Run(job) = self else { return None };
        let claimed = &job.claimed;
        let removes = job.reason == Reason::Deprovision && claimed.known.present;
        removes.then_some(Removal {
            subject: claimed.subject.id,
            fence: claimed.fence,
            trigger: job.trigger,
            departure: claimed.departure,
        })
    }

    fn candidate(&self) -> Option<Candidate<'_>> {
        let Self::Run(job) = self else { return None };
        let Claimed { subject, fence, remote_id, known, .. } = &job.claimed;
        let returning = remote_id.as_deref().filter(|_| !known.present);
        Some(Candidate { subject, fence: *fence, reason: job.reason, returning })
    }

    fn leaver(&self) -> Option<Leaver<'_>> {
        let Self::Run(job) = self else { return None };
        let removal = self.removal()?;
        Some(Leaver { subject: removal.subject, remote_id: job.claimed.remote_id.as_deref() })
    }

    fn settle(&mut self, target: TargetId, why: String) {
        if let Self::Run(job) = self {
            let conclusion = Conclusion {
                message: why,
                forgets_remote_id: true,
                ..recorded(ProvisionStatus::Deprovisioned, false)
            };
            let completion = completion(target, &job.claimed, false, conclusion, None);
            *self = Self::Record(Box::new(completion));
        }
    }

    fn inform(&mut self, dependencies: Vec<Dependency>) {
        if let Self::Run(job) = self {
            job.dependencies = dependencies;
        }
    }
}

/// Decides about a claimed row.
pub fn plan(runtime: &Runtime, claimed: Claimed, now: DateTime<Utc>) -> Planned {
    let scope = Scope {
        version: claimed.subject.version,
        deleted: claimed.subject.deleted_at.is_some(),
        matches: runtime.around.filter.matches(&claimed.subject, now),
    };
    let status = claimed.known.status;
    match decide(claimed.work, claimed.known, scope) {
        Decision::Run { reason, trigger } => {
            let wanted = scope.is_wanted();
            Planned::Run(Box::new(Job { claimed, reason, trigger, wanted, dependencies: Vec::new() }))
        }
        Decision::NotNeeded => {
            let kept = status.filter(|status| *status == ProvisionStatus::Deprovisioned);
            let status = kept.unwrap_or(ProvisionStatus::ProvisionNotNeeded);
            Planned::Record(Box::new(record(runtime, claimed, status, false)))
        }
        Decision::Settled => {
            let status = status.unwrap_or(ProvisionStatus::Provisioned);
            Planned::Record(Box::new(record(runtime, claimed, status, true)))
        }
    }
}

impl Planned {
    /// Whose work it is, and the fence of its claim.
    pub fn lease(&self) -> (SubjectId, i64) {
        match self {
            Self::Run(job) => (job.claimed.subject.id, job.claimed.fence),
            Self::Record(completion) => (completion.subject, completion.fence),
        }
    }
}

fn record(runtime: &Runtime, claimed: Claimed, status: ProvisionStatus, in_scope: bool) -> Completion {
    let conclusion = recorded(status, claimed.known.present);
    completion(runtime.around.target.id, &claimed, in_scope, conclusion, None)
}

/// What is concluded where nothing ran.
fn recorded(status: ProvisionStatus, present: bool) -> Conclusion {
    Conclusion {
        status,
        message: String::new(),
        error_class: None,
        present,
        done: true,
        dead: false,
        remote_id: None,
        forgets_remote_id: false,
        metadata: None,
        attributes: None,
        next: None,
        retry_after: None,
        kills: 0,
    }
}

fn completion(
    target: TargetId,
    claimed: &Claimed,
    in_scope: bool,
    conclusion: Conclusion,
    run: Option<RunLog>,
) -> Completion {
    Completion {
        target,
        subject: claimed.subject.id,
        fence: claimed.fence,
        change_seq: claimed.change_seq,
        version: claimed.subject.version,
        in_scope,
        fingerprint: fingerprint_of(claimed, &conclusion),
        conclusion,
        takes_remote_id: false,
        refused: None,
        run,
    }
}

/// What came of a job, and for how much longer the remote asked to go slower, if it
/// did: whatever became of the run.
pub struct Ran {
    /// To be recorded.
    pub completion: Completion,
    /// For the breaker.
    pub slower: Option<Duration>,
}

/// Runs logic for a job and concludes. `jitter` lies in `0.0..=1.0`.
pub async fn run(runtime: &Runtime, egress: &Egress, job: &Job, worker: usize, jitter: f64) -> Ran {
    let started_at = Utc::now();
    let (served, _) = runtime.logic.of(job.claimed.subject.id);
    let session = Arc::new(egress.session(runtime.around.egress.clone()));
    let end = match context(&runtime.around, job) {
        Ok(context) => served.hosts.run(worker, context, session.clone()).await,
        Err(error) => Err(StartError::Spawn(format!("the context cannot be written: {error}"))),
    };
    let (end, console) = match end {
        Ok(end) => {
            let (more, names) = (credentials(&job.claimed, Some(&end)), names(&job.claimed));
            let hider = session.hider(more, &names);
            let RunEnd { outcome, console } = redacted(end, &runtime.around.egress, hider.as_deref());
            (ending(outcome, job.reason, session.failure()), console)
        }
        Err(error) => (start_failed(&error), Vec::new()),
    };
    let (exchanges, rest) = session.take();
    let completion = finish(runtime, job, end, Log { started_at, console, exchanges, rest }, jitter);
    Ran { completion, slower: session.slower() }
}

/// The completion of a job that ended outside logic's power.
pub fn abandoned(runtime: &Runtime, job: &Job, message: &str) -> Completion {
    let end = Ending::Failed { message: message.into(), class: ErrorClass::Transient, retry_after: None };
    let (console, exchanges, rest) = (Vec::new(), Vec::new(), Rest::default());
    finish(runtime, job, end, Log { started_at: Utc::now(), console, exchanges, rest }, 0.5)
}

struct Log {
    started_at: DateTime<Utc>,
    console: Vec<ConsoleLine>,
    exchanges: Vec<Exchange>,
    rest: Rest,
}

fn finish(runtime: &Runtime, job: &Job, end: Ending, log: Log, jitter: f64) -> Completion {
    let now = Utc::now();
    let made_calls = !log.exchanges.is_empty();
    let claimed = &job.claimed;
    let (served, canary) = runtime.logic.of(claimed.subject.id);
    let kills = Kills::before(claimed.kills, claimed.subject.version, served.version, job.reason);
    let policy = &runtime.around.policy;
    let conclude = |end| concluded(policy, job, end, (made_calls, kills), now, jitter);
    let conclusion = conclude(end);
    let takes_remote_id = takes_remote_id(claimed, &conclusion);
    let refused = (takes_remote_id || conclusion.attributes.is_some())
        .then(|| Box::new(conclude(fail(String::new(), ErrorClass::Logic, None))));
    let failed = conclusion.status == ProvisionStatus::ProvisionFailed;
    let run = RunLog {
        reason: job.reason,
        trigger: job.trigger,
        attempt: claimed.attempt,
        status_before: job.status_before(),
        logic_version: served.version,
        canary,
        started_at: log.started_at,
        finished_at: now.max(log.started_at),
        log: JsonText::of(&log.console),
        exchanges: JsonText::of(&log.exchanges),
        replay: if failed && runtime.keeps_replays { replay(runtime, job, &log.rest) } else { None },
    };
    let target = runtime.around.target.id;
    Completion { takes_remote_id, refused, ..completion(target, claimed, job.wanted, conclusion, Some(run)) }
}

/// Whether the run names a remote id that the link did not have, or had while
/// nothing was there.
fn takes_remote_id(claimed: &Claimed, conclusion: &Conclusion) -> bool {
    let is_new = claimed.remote_id != conclusion.remote_id || !claimed.known.present;
    conclusion.remote_id.is_some() && is_new
}

/// What the run comes to, by what was known before it: `kills` counts the runs
/// before it that brought their hosts down.
pub(super) fn concluded(
    policy: &Policy,
    job: &Job,
    end: Ending,
    (made_calls, kills): (bool, u32),
    now: DateTime<Utc>,
    jitter: f64,
) -> Conclusion {
    let facts = RunFacts {
        reason: job.reason,
        trigger: job.trigger,
        attempt: job.claimed.attempt,
        status_before: job.status_before(),
        present_before: job.claimed.known.present,
        wanted: job.wanted,
        made_calls,
        kills,
    };
    conclude(&facts, end, policy, now, jitter)
}

/// Only for a run that failed, so that others pay nothing: the context is made
/// again.
fn replay(runtime: &Runtime, job: &Job, rest: &Rest) -> Option<ReplayLog> {
    // Texts in it are looked through, and not the text of all: a secret of digits
    // may be part of a number.
    let mut context: Value = serde_json::from_str(&context(&runtime.around, job).ok()?).ok()?;
    let policy = &runtime.around.egress;
    policy.redact_value(&mut context);
    Some(ReplayLog {
        context: context.to_string(),
        rest: JsonText::of(&rest.store(policy)),
        present_before: job.claimed.known.present,
        wanted: job.wanted,
    })
}

/// What a run's end means. `failed` is what its exchanges say of a failure that does
/// not say where it came from: see [`Session::failure`](crate::egress::Session::failure).
pub(super) fn ending(outcome: RunOutcome, reason: Reason, failed: Option<Failure>) -> Ending {
    match outcome {
        RunOutcome::Returned(value) => match Response::read(&value, reason) {
            Ok(mut response) => {
                response.error_class = response.error_class.or(failed.map(|(class, _)| class));
                Ending::Answered { response, retry_after: failed.and_then(|(_, wait)| wait) }
            }
            Err(error) => fail(error.to_string(), ErrorClass::Logic, None),
        },
        RunOutcome::Threw(thrown) => threw(thrown, failed),
        RunOutcome::Limit(message) => fail(message, ErrorClass::Logic, None),
        // Calls that were given up with it are among those that failed.
        RunOutcome::TimedOut(message) => {
            let (class, wait) = failed.unwrap_or((ErrorClass::Logic, None));
            fail(message, class, wait)
        }
        RunOutcome::Killed(message) => Ending::Killed(message),
        RunOutcome::Interrupted(message) => Ending::Interrupted(message),
    }
}

/// An error that came of a host call or of an answer carries its class; any other gets
/// that of the exchanges that failed, since `if (!response.ok) throw …` is how most
/// logic reports one.
fn threw(thrown: Thrown, remote: Option<Failure>) -> Ending {
    let class = thrown.error_class.or(remote.map(|(class, _)| class)).unwrap_or(ErrorClass::Logic);
    let retry_after = thrown.retry_after.or(remote.and_then(|(_, wait)| wait));
    let message = match thrown.stack {
        Some(stack) if !stack.is_empty() => format!("{}\n{stack}", thrown.message),
        _ => thrown.message,
    };
    fail(message, class, retry_after)
}

fn fail(message: String, class: ErrorClass, retry_after: Option<Duration>) -> Ending {
    Ending::Failed { message: cut_message(&message), class, retry_after }
}

pub(super) fn start_failed(error: &StartError) -> Ending {
    let class = match error {
        StartError::Spawn(_) => ErrorClass::Transient,
        _ => ErrorClass::Logic,
    };
    fail(error.to_string(), class, None)
}
