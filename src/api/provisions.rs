//! How an account stands at every enabled target of its store, and syncing it
//! now.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::{ApiState, Endpoint, EngineState};
use crate::domain::filter::Filter;
use crate::domain::ids::{HeldId, SubjectId, TargetId};
use crate::domain::status::{ProvisionStatus, Reason, Trigger};
use crate::domain::subject::{Subject, SubjectKind};
use crate::domain::target::Target;
use crate::http::auth::{Operator, Viewer};
use crate::http::path::{Id, Path};
use crate::http::{Authorized, Kind, Problem};
use crate::plan::{Decision, Drift, Due, Known, Scope, Standing, Work, decide, standing, waits_for};
use crate::storage::gate::{self, Blocker};
use crate::storage::held::LotState;
use crate::storage::holders::{self, Blocker as Holder};
use crate::storage::state::{self, StateRow};
use crate::storage::{Connection, DbError, breakers, held, queue, subjects, targets};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/accounts/{id}/provisions", list),
        Endpoint::post("/accounts/{id}/provisions/{target}/sync", sync),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProvisionView {
    target: String,
    target_id: TargetId,
    status: ProvisionStatus,
    message: String,
    error_class: Option<String>,
    remote_id: Option<String>,
    metadata: Option<Value>,
    last_run_at: Option<DateTime<Utc>>,
    next_run_at: Option<DateTime<Utc>>,
    attempts: i32,
    why: String,
    /// The lot that the removal waits or waited in.
    held_id: Option<HeldId>,
    /// What it waits for: other targets by their names, other accounts at this one
    /// as `account 17`.
    blocked_by: Vec<String>,
    /// The accounts among them.
    blocked_by_accounts: Vec<SubjectId>,
}

async fn list(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
) -> Result<HttpResponse, Problem> {
    let items = state
        .run(move |connection| {
            let account = account(connection, id)?;
            let targets = targets::list(connection, Some(account.store))?;
            targets
                .iter()
                .filter(|target| target.settings.is_served())
                .map(|target| provision(connection, target, &account))
                .collect::<Result<Vec<_>, Problem>>()
        })
        .await?;
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": null })))
}

/// An account, deleted ones included: their removal is of interest.
fn account(connection: &mut Connection, id: SubjectId) -> Result<Subject, Problem> {
    let found = subjects::load(connection, &[id])?.pop();
    found
        .filter(|subject| subject.kind == SubjectKind::Account)
        .ok_or_else(|| Problem::new(Kind::NotFound, "there is no such account"))
}

fn provision(
    connection: &mut Connection,
    target: &Target,
    account: &Subject,
) -> Result<ProvisionView, Problem> {
    let row = state::find(connection, target.id, account.id)?;
    let filter = Filter::parse(&target.settings.filter)
        .map_err(|error| DbError::Corrupt(format!("filter of target {}: {error}", target.id)))?;
    let now = Utc::now();
    let scope = Scope {
        version: account.version,
        deleted: account.deleted_at.is_some(),
        matches: filter.matches(account, now),
    };
    let due = due(&row)?;
    let dead = row.dead.unwrap_or(false) && due.is_none();
    let waits = match due {
        Some(due) if !due.running && !target.paused => waits_for_breaker(connection, target)?,
        _ => None,
    };
    let mut standing = standing(target.settings.mode, target.paused, scope, known(&row)?, due, dead);
    if due.is_none() {
        let drift = Drift::of(&filter, account, known(&row)?.present, row.last_run_at, now);
        standing.why = drift.map_or(standing.why.clone(), |drift| drift.tell(&standing.why));
    }
    let held_id = row.held_id.map(HeldId);
    if let Some(lot) = held_id.map(|id| held::find(connection, id)).transpose()? {
        standing.why = lot.why();
        if lot.state == LotState::Open.as_str() {
            standing.status = ProvisionStatus::Pending;
        }
    }
    let blockers = blockers(connection, target, account, &row, scope)?;
    if !blockers.is_empty() {
        standing = waiting(connection, known(&row)?, &row, &blockers)?;
    }
    let holders = match row.waits {
        true => holders::waited_for(connection, target, account, returning(&row))?,
        false => Vec::new(),
    };
    if row.waits {
        standing = waiting_for_holders(known(&row)?, &row, &holders)?;
    }
    let mut blocked_by: Vec<String> =
        blockers.into_iter().map(|blocker| blocker.target.settings.name).collect();
    blocked_by.extend(holders.iter().map(|holder| format!("account {}", holder.subject)));
    Ok(ProvisionView {
        target: target.settings.name.clone(),
        target_id: target.id,
        status: standing.status,
        message: row.message.unwrap_or_default(),
        error_class: row.error_class,
        remote_id: row.remote_id,
        metadata: row.metadata,
        last_run_at: row.last_run_at,
        next_run_at: due.filter(|due| !due.running).map(|due| due.at),
        attempts: row.attempts.unwrap_or(0),
        why: waits.unwrap_or(standing.why),
        held_id,
        blocked_by,
        blocked_by_accounts: holders.iter().map(|holder| holder.subject).collect(),
    })
}

/// The targets that the due work waits for.
fn blockers(
    connection: &mut Connection,
    target: &Target,
    account: &Subject,
    row: &StateRow,
    scope: Scope,
) -> Result<Vec<Blocker>, DbError> {
    let (Some(by), Some(trigger)) = (&row.blocked_by, &row.trigger) else { return Ok(Vec::new()) };
    let trigger = trigger.parse().map_err(corrupt)?;
    let work = Work { trigger, deprovision: row.deprovision.unwrap_or(false) };
    let reason = match decide(work, known(row)?, scope) {
        Decision::Run { reason, .. } => reason,
        _ => Reason::Provision,
    };
    let by: Vec<TargetId> = by.iter().copied().map(TargetId).collect();
    gate::blockers(connection, target, account, reason, &by)
}

/// How a subject stands whose work waits for other targets.
fn waiting(
    connection: &mut Connection,
    known: Known,
    row: &StateRow,
    blockers: &[Blocker],
) -> Result<Standing, DbError> {
    let sentences: Vec<String> =
        blockers.iter().map(|blocker| sentence(connection, blocker)).collect::<Result<_, _>>()?;
    Ok(Standing { status: status_of_waiting(known, row)?, why: sentences.join("; ") })
}

fn status_of_waiting(known: Known, row: &StateRow) -> Result<ProvisionStatus, DbError> {
    let trigger: Option<Trigger> = row.trigger.as_deref().map(str::parse).transpose().map_err(corrupt)?;
    let continues = trigger.is_some_and(Trigger::continues);
    let status = if continues { known.status } else { None };
    Ok(status.unwrap_or(ProvisionStatus::Pending))
}

/// The same for other subjects that had its names here.
fn waiting_for_holders(known: Known, row: &StateRow, holders: &[Holder]) -> Result<Standing, DbError> {
    let sentences: Vec<String> = holders.iter().map(Holder::why).collect();
    let freed = || "waited for another account, and is about to be looked at again".to_owned();
    let why = if sentences.is_empty() { freed() } else { sentences.join("; ") };
    Ok(Standing { status: status_of_waiting(known, row)?, why })
}

/// The remote id of a link of which nothing is left.
fn returning(row: &StateRow) -> Option<&str> {
    row.remote_id.as_deref().filter(|_| row.present != Some(true))
}

/// What a blocker is waited for, and what keeps it as a whole from its work.
fn sentence(connection: &mut Connection, blocker: &Blocker) -> Result<String, DbError> {
    let Blocker { target, block, message } = blocker;
    let sentence = waits_for(&target.settings.name, block.map(|block| block.obstacle), message);
    if target.paused {
        return Ok(format!("{sentence} (it is paused)"));
    }
    let sick = waits_for_breaker(connection, target)?;
    let sick = sick.as_deref().map(|why| why.strip_prefix("waits: the target ").unwrap_or(why));
    Ok(sick.map_or(sentence.clone(), |why| format!("{sentence} (it {why})")))
}

/// Why the target's breaker keeps due work from running, if it does.
fn waits_for_breaker(connection: &mut Connection, target: &Target) -> Result<Option<String>, DbError> {
    let breaker = breakers::load(connection, target.id)?.and_then(|saved| saved.view(target));
    Ok(breaker.and_then(|breaker| breaker.why_waiting(Utc::now())))
}

fn corrupt(error: crate::domain::status::UnknownWord) -> DbError {
    DbError::Corrupt(error.to_string())
}

fn due(row: &StateRow) -> Result<Option<Due>, DbError> {
    let (Some(trigger), Some(at)) = (&row.trigger, row.due_at) else { return Ok(None) };
    let trigger = trigger.parse().map_err(corrupt)?;
    Ok(Some(Due { trigger, at, running: row.running.unwrap_or(false) }))
}

fn known(row: &StateRow) -> Result<Known, DbError> {
    Ok(Known {
        status: row.status.as_deref().map(str::parse).transpose().map_err(corrupt)?,
        present: row.present.unwrap_or(false),
        in_scope: row.status.is_some(),
        done_version: row.done_version.unwrap_or(0),
    })
}

/// Runs an account at a target ahead of the queue.
async fn sync(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Path((id, wanted)): Path<(SubjectId, String)>,
) -> Result<HttpResponse, Problem> {
    let (target, view) = state
        .change(move |connection| {
            let account = account(connection, id)?;
            let target = find_target(connection, &account, &wanted)?;
            if !target.settings.is_served() {
                return Err(Problem::new(
                    Kind::State,
                    "the target is not enabled: enable it, then sync the account",
                ));
            }
            queue::enqueue_manual(connection, target.id, id)?;
            provision(connection, &target, &account).map(|view| (target.id, view))
        })
        .await?;
    (engine.engine.nudge())(&[target]);
    Ok(HttpResponse::Accepted().json(view))
}

/// A target of the account's store by id or by name.
fn find_target(connection: &mut Connection, account: &Subject, wanted: &str) -> Result<Target, Problem> {
    let targets = targets::list(connection, Some(account.store))?;
    let same = |target: &&Target| {
        target.id.to_string() == wanted || target.settings.name.eq_ignore_ascii_case(wanted)
    };
    let found = targets.iter().find(same).cloned();
    found.ok_or_else(|| Problem::new(Kind::NotFound, "the account's store has no such target"))
}
