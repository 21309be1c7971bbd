//! What a person does with a target: force, pause, resume, stop.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::status::SweepView;
use super::{ApiState, EngineState, target_view};
use crate::domain::ids::TargetId;
use crate::domain::status::Trigger;
use crate::http::{Authorized, Operator, Path, Problem};
use crate::storage::sweeps::{self, SweepKind};
use crate::storage::{Pool, targets};

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/targets/{id}/force").route(web::post().to(force)))
        .service(web::resource("/targets/{id}/pause").route(web::post().to(pause)))
        .service(web::resource("/targets/{id}/resume").route(web::post().to(resume)))
        .service(web::resource("/targets/{id}/stop").route(web::post().to(stop)));
}

/// Schedules every account in scope.
async fn force(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    id: Path<TargetId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let sweep = state
        .db
        .run(Pool::Api, move |connection| {
            let target = targets::find(connection, id)?;
            if !target.settings.is_served() {
                return Err(Problem::conflict("the target is not enabled: enable it, then force it"));
            }
            Ok(sweeps::start(connection, &target, SweepKind::Force, Trigger::Force)?)
        })
        .await?;
    engine.engine.sweep(id);
    Ok(HttpResponse::Accepted().json(json!({ "targetId": id, "sweep": SweepView::of(&sweep) })))
}

async fn set_paused(
    state: &ApiState,
    engine: &EngineState,
    id: TargetId,
    paused: bool,
) -> Result<HttpResponse, Problem> {
    let target =
        state.db.run(Pool::Api, move |connection| targets::set_paused(connection, id, paused)).await?;
    engine.engine.look_round();
    Ok(HttpResponse::Ok().json(target_view(state, Arc::new(target)).await?))
}

async fn pause(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    id: Path<TargetId>,
) -> Result<HttpResponse, Problem> {
    set_paused(&state, &engine, id.into_inner(), true).await
}

async fn resume(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    id: Path<TargetId>,
) -> Result<HttpResponse, Problem> {
    set_paused(&state, &engine, id.into_inner(), false).await
}

/// Pauses the target and terminates the JavaScript that runs; interrupted runs
/// are due again when the target is resumed.
async fn stop(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    id: Path<TargetId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let answer = set_paused(&state, &engine, id, true).await?;
    engine.engine.stop_runs(id).await;
    Ok(answer)
}
