//! Sweeps: how far they are, and pausing, resuming and cancelling them.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{ApiState, Endpoint, EngineState};
use crate::domain::ids::{SweepId, TargetId};
use crate::engine::ObservableState;
use crate::http::auth::{Operator, Viewer};
use crate::http::path::Id;
use crate::http::{Authorized, List, Page, Problem};
use crate::plan::breaker::BreakerState;
use crate::plan::{Swept, progress};
use crate::storage::sweeps::control::{self, Action};
use crate::storage::sweeps::{self, Queued, Sweep, SweepState};
use crate::storage::targets;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/targets/{id}/sweeps", list),
        Endpoint::get("/sweeps/{id}", show),
        Endpoint::post("/sweeps/{id}/pause", pause),
        Endpoint::post("/sweeps/{id}/resume", resume),
        Endpoint::post("/sweeps/{id}/cancel", cancel),
    ]
}

/// How far a sweep is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SweepView {
    id: SweepId,
    target_id: TargetId,
    kind: String,
    trigger: String,
    /// `running` until the last of its work is done.
    state: String,
    /// Accounts in scope when it started.
    total: i64,
    /// Runs made due so far.
    enqueued: i64,
    /// Runs taken out of the queue again.
    removed: i64,
    /// Swept work that has been completed.
    done: i64,
    /// Swept work to come.
    remaining: i64,
    /// Swept removals that wait for a person.
    held: i64,
    per_second: Option<f64>,
    eta_seconds: Option<f64>,
    /// Nothing moves because the target is paused.
    target_paused: bool,
    started_at: DateTime<Utc>,
    /// When all its work was in the queue, or it was cancelled.
    finished_at: Option<DateTime<Utc>>,
    cancelled: bool,
}

impl SweepView {
    /// The view of a sweep that has just been started.
    pub(super) fn new(sweep: &Sweep) -> Self {
        Self::of(sweep, Queued::default(), None)
    }

    /// The view of a sweep with `queued` in the queue, whose target does `engine`
    /// on this node.
    pub(super) fn of(sweep: &Sweep, queued: Queued, engine: Option<&ObservableState>) -> Self {
        let running = sweep.state == SweepState::Running.as_str();
        let finished = sweep.state == SweepState::Finished.as_str();
        let target_paused = engine.is_some_and(|engine| engine.paused);
        let quarantined = engine.is_some_and(|engine| engine.breaker.state == BreakerState::Open);
        let swept = Swept {
            total: sweep.total,
            enqueued: sweep.enqueued,
            removed: sweep.removed,
            queued: queued.rows,
            held: queued.held,
            unfinished: sweep.finished_at.is_none() && !sweep.cancelled,
            moving: (running || finished) && !target_paused && !quarantined,
            age: (Utc::now() - sweep.created_at).to_std().unwrap_or(Duration::ZERO),
        };
        let seen = progress(&swept, engine.map(|engine| engine.per_second));
        let under_way = finished && queued.rows > 0;
        Self {
            id: SweepId(sweep.id),
            target_id: TargetId(sweep.target_id),
            kind: sweep.kind.clone(),
            trigger: sweep.trigger.clone(),
            state: if under_way { SweepState::Running.to_string() } else { sweep.state.clone() },
            total: sweep.total,
            enqueued: sweep.enqueued,
            removed: sweep.removed,
            done: seen.done,
            remaining: seen.remaining,
            held: queued.held,
            per_second: seen.per_second,
            eta_seconds: seen.eta_seconds,
            target_paused,
            started_at: sweep.created_at,
            finished_at: sweep.finished_at,
            cancelled: sweep.cancelled,
        }
    }
}

/// The sweeps of a target, newest first.
async fn list(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
    page: Page,
) -> Result<HttpResponse, Problem> {
    let (after, fetch) = (page.after_id()?, page.fetch());
    let sweeps = state
        .run(move |connection| {
            targets::find(connection, id)?;
            let sweeps = sweeps::list(connection, id, (after > 0).then_some(after), fetch)?;
            Ok::<_, Problem>(sweeps::with_queued(connection, id, sweeps)?)
        })
        .await?;
    let observed = engine.engine.observe(id).await;
    let list: List<(Sweep, Queued)> = page.list(sweeps, |(sweep, _)| sweep.id.to_string());
    let view = |(sweep, queued): &(Sweep, Queued)| SweepView::of(sweep, *queued, observed.as_ref());
    let items = list.items.iter().map(view).collect();
    Ok(HttpResponse::Ok().json(List { items, next: list.next }))
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<SweepId>,
) -> Result<HttpResponse, Problem> {
    view(&state, &engine, id).await
}

async fn view(state: &ApiState, engine: &EngineState, id: SweepId) -> Result<HttpResponse, Problem> {
    let (sweep, queued) = state
        .run(move |connection| {
            let sweep = control::find(connection, id)?;
            let queued = sweeps::queued(connection, &sweep)?;
            Ok::<_, Problem>((sweep, queued))
        })
        .await?;
    let observed = engine.engine.observe(TargetId(sweep.target_id)).await;
    Ok(HttpResponse::Ok().json(SweepView::of(&sweep, queued, observed.as_ref())))
}

/// Records what a person wants and carries it out to the end. A caller that
/// does not wait, and a daemon that dies, leave the rest to the engine.
async fn control(
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    id: SweepId,
    action: Action,
) -> Result<HttpResponse, Problem> {
    let sweep = state.run(move |connection| control::order(connection, id, action)).await?;
    let steps = state.clone();
    let carried_out = actix_web::rt::spawn(async move {
        while !steps.run(move |connection| control::step(connection, id)).await? {}
        Ok::<_, Problem>(())
    });
    carried_out.await.map_err(Problem::internal)??;
    let target = TargetId(sweep.target_id);
    engine.engine.sweep(target);
    state.wake(&[target]);
    view(&state, &engine, id).await
}

async fn pause(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<SweepId>,
) -> Result<HttpResponse, Problem> {
    control(state, engine, id, Action::Pause).await
}

async fn resume(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<SweepId>,
) -> Result<HttpResponse, Problem> {
    control(state, engine, id, Action::Resume).await
}

async fn cancel(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<SweepId>,
) -> Result<HttpResponse, Problem> {
    control(state, engine, id, Action::Cancel).await
}
