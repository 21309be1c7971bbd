//! A target at a glance.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{ApiState, Endpoint, EngineState};
use crate::api::sweeps::SweepView;
use crate::domain::ids::TargetId;
use crate::domain::target::{Mode, Target};
use crate::engine::ObservableState;
use crate::http::auth::Viewer;
use crate::http::path::Id;
use crate::http::{Authorized, Problem};
use crate::storage::dead_letters;
use crate::storage::state::{self, Backlog, StatusCount};
use crate::storage::sweeps::{self, Sweep};
use crate::storage::targets;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/targets/{id}/status", show)]
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusView {
    target_id: TargetId,
    name: String,
    enabled: bool,
    mode: Mode,
    paused: bool,
    logic_version: Option<i32>,
    /// Due now or running, and what an unfinished sweep has not come to yet is
    /// not counted.
    backlog: i64,
    running: i64,
    /// Waiting for their time: retries, polls, schedules.
    scheduled: i64,
    oldest_pending_at: Option<DateTime<Utc>>,
    oldest_pending_seconds: Option<f64>,
    /// Subjects by the status of their last run.
    counts: BTreeMap<String, i64>,
    /// Failures that nothing will retry.
    dead_letters: i64,
    per_second: f64,
    sweep: Option<SweepView>,
    engine: Option<ObservableState>,
}

struct Stored {
    target: Target,
    backlog: Backlog,
    counts: Vec<StatusCount>,
    dead_letters: i64,
    sweep: Option<(Sweep, i64)>,
}

async fn show(
    _: Authorized<Viewer>,
    api: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
) -> Result<HttpResponse, Problem> {
    let stored = api
        .run(move |connection| {
            let newest = sweeps::list(connection, id, None, 1)?;
            Ok::<_, Problem>(Stored {
                target: targets::find(connection, id)?,
                backlog: state::backlog(connection, id)?,
                counts: state::counts(connection, id)?,
                dead_letters: dead_letters::count(connection, id)?,
                sweep: sweeps::with_queued(connection, id, newest)?.pop(),
            })
        })
        .await?;
    let observed = engine.engine.observe(id).await;
    Ok(HttpResponse::Ok().json(view(stored, observed)))
}

fn view(stored: Stored, engine: Option<ObservableState>) -> StatusView {
    let Stored { target, backlog, counts, dead_letters, sweep } = stored;
    StatusView {
        target_id: target.id,
        name: target.settings.name,
        enabled: target.settings.enabled,
        mode: target.settings.mode,
        paused: target.paused,
        logic_version: target.logic_version,
        backlog: backlog.due,
        running: backlog.running,
        scheduled: backlog.later,
        oldest_pending_at: backlog.oldest,
        oldest_pending_seconds: backlog.oldest_age.map(|age| age.max(0.0)),
        counts: counts.into_iter().map(|count| (count.status, count.count)).collect(),
        dead_letters,
        per_second: engine.as_ref().map_or(0.0, |engine| engine.per_second),
        sweep: sweep.map(|(sweep, queued)| SweepView::of(&sweep, queued, engine.as_ref())),
        engine,
    }
}
