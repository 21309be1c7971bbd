//! A target at a glance.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::logic::CanaryView;
use super::{Endpoint, EngineState};
use crate::api::sweeps::SweepView;
use crate::api::turns::Reads;
use crate::domain::ids::TargetId;
use crate::domain::target::{Mode, Target};
use crate::engine::ObservableState;
use crate::http::auth::Viewer;
use crate::http::path::Id;
use crate::http::{Authorized, Problem};
use crate::plan::breaker::{BreakerView, Saved};
use crate::storage::breakers;
use crate::storage::canaries::{self, CanaryRow};
use crate::storage::dead_letters;
use crate::storage::held::{self, HeldCounts};
use crate::storage::state::{self, Backlog, StatusCount};
use crate::storage::sweeps::{self, Queued, Sweep};
use crate::storage::targets;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/targets/{id}/status", show)]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    target_id: TargetId,
    name: String,
    enabled: bool,
    mode: Mode,
    paused: bool,
    logic_version: Option<i32>,
    /// Due now or claimed, and what an unfinished sweep has not come to yet is
    /// not counted.
    backlog: i64,
    /// Runs under way: what is claimed waits for its turn before, and for being
    /// written down after. Of a target that another node serves it is what that
    /// has claimed.
    running: i64,
    /// Waiting for their time: retries, polls, schedules.
    scheduled: i64,
    /// Waiting for other targets.
    blocked: i64,
    oldest_pending_at: Option<DateTime<Utc>>,
    oldest_pending_seconds: Option<f64>,
    /// Subjects by the status of their last run.
    counts: BTreeMap<String, i64>,
    /// Failures that nothing will retry.
    dead_letters: i64,
    held: HeldView,
    per_second: f64,
    /// How much of its work the target gets, and why.
    breaker: BreakerView,
    /// The version that some run first, or that did.
    canary: Option<CanaryView>,
    sweep: Option<SweepView>,
    engine: Option<ObservableState>,
}

/// What a guard keeps from running.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HeldView {
    /// Lots for someone to approve or reject.
    lots: i64,
    /// Removals in them.
    waiting: i64,
    /// Removals that someone rejected or nobody approved in time.
    rejected: i64,
}

struct Stored {
    target: Target,
    backlog: Backlog,
    counts: Vec<StatusCount>,
    dead_letters: i64,
    held: HeldCounts,
    sweep: Option<(Sweep, Queued)>,
    breaker: Option<Saved>,
    canary: Option<CanaryRow>,
}

async fn show(
    _: Authorized<Viewer>,
    reads: Reads,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
) -> Result<HttpResponse, Problem> {
    let stored = reads
        .run(move |connection| {
            let newest = sweeps::list(connection, id, None, 1)?;
            Ok::<_, Problem>(Stored {
                target: targets::find(connection, id)?,
                breaker: breakers::load(connection, id)?,
                canary: canaries::latest(connection, id)?,
                backlog: state::backlog(connection, id)?,
                counts: state::counts(connection, id)?,
                dead_letters: dead_letters::count(connection, id)?,
                held: held::counts(connection, id)?,
                sweep: sweeps::with_queued(connection, id, newest)?.pop(),
            })
        })
        .await?;
    let observed = engine.engine.observe(id).await;
    Ok(HttpResponse::Ok().json(view(stored, observed)))
}

fn view(stored: Stored, engine: Option<ObservableState>) -> StatusView {
    let Stored { target, backlog, counts, dead_letters, held, sweep, breaker, canary } = stored;
    // The engine knows best; a target that runs elsewhere, or not at all, is
    // as it was written down.
    let live = engine.as_ref().map(|engine| engine.breaker.clone());
    let breaker = live
        .or_else(|| breaker.and_then(|saved| saved.view(&target)))
        .unwrap_or_else(|| BreakerView::closed(&target));
    let running = match &engine {
        Some(engine) => i64::try_from(engine.busy).unwrap_or(i64::MAX),
        None => backlog.running,
    };
    StatusView {
        target_id: target.id,
        name: target.settings.name,
        enabled: target.settings.enabled,
        mode: target.settings.mode,
        paused: target.paused,
        logic_version: target.logic_version,
        backlog: backlog.due,
        running,
        scheduled: backlog.later,
        blocked: backlog.blocked,
        oldest_pending_at: backlog.oldest,
        oldest_pending_seconds: backlog.oldest_age.map(|age| age.max(0.0)),
        counts: counts.into_iter().map(|count| (count.status, count.count)).collect(),
        dead_letters,
        held: HeldView { lots: held.lots, waiting: held.waiting, rejected: held.rejected },
        per_second: engine.as_ref().map_or(0.0, |engine| engine.per_second),
        breaker,
        canary: canary.as_ref().map(CanaryView::of),
        sweep: sweep.map(|(sweep, queued)| SweepView::of(&sweep, queued, engine.as_ref())),
        engine,
    }
}
