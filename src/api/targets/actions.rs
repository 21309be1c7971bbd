//! What a person does with a target: force, pause, resume, stop.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::{ApiState, Endpoint, EngineState, view};
use crate::api::sweeps::SweepView;
use crate::domain::ids::TargetId;
use crate::domain::status::Trigger;
use crate::http::auth::Operator;
use crate::http::path::Id;
use crate::http::{Authorized, Kind, Problem};
use crate::storage::sweeps::{self, SweepKind};
use crate::storage::targets;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/targets/{id}/force", force),
        Endpoint::post("/targets/{id}/pause", pause),
        Endpoint::post("/targets/{id}/resume", resume),
        Endpoint::post("/targets/{id}/stop", stop),
    ]
}

/// Schedules every account in scope.
async fn force(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
) -> Result<HttpResponse, Problem> {
    let sweep = state
        .run(move |connection| {
            let target = targets::find(connection, id)?;
            if !target.settings.is_served() {
                return Err(Problem::new(Kind::State, "the target is not enabled: enable it, then force it"));
            }
            Ok(sweeps::start(connection, &target, SweepKind::Force, Trigger::Force)?)
        })
        .await?;
    engine.engine.sweep(id);
    Ok(HttpResponse::Accepted().json(json!({ "targetId": id, "sweep": SweepView::new(&sweep) })))
}

async fn set_paused(
    state: &ApiState,
    engine: &EngineState,
    id: TargetId,
    paused: bool,
) -> Result<HttpResponse, Problem> {
    let view = state
        .change(move |connection| {
            let target = targets::set_paused(connection, id, paused)?;
            view(connection, &target)
        })
        .await?;
    engine.engine.look_round();
    Ok(HttpResponse::Ok().json(view))
}

async fn pause(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
) -> Result<HttpResponse, Problem> {
    set_paused(&state, &engine, id, true).await
}

async fn resume(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
) -> Result<HttpResponse, Problem> {
    set_paused(&state, &engine, id, false).await
}

/// Pauses the target and terminates the JavaScript that runs; interrupted runs
/// are due again when the target is resumed.
async fn stop(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
) -> Result<HttpResponse, Problem> {
    let answer = set_paused(&state, &engine, id, true).await?;
    engine.engine.stop_runs(id).await;
    Ok(answer)
}
