//! The logic of a target: draft and published versions.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ApiState, EngineState};
use crate::domain::ids::TargetId;
use crate::domain::subject::FieldError;
use crate::domain::target::Target;
use crate::http::{Authorized, Editor, JsonBody, Path, Problem, Viewer};
use crate::logic::{LogicError, check};
use crate::storage::logic::{self, Draft, Version};
use crate::storage::{Pool, targets};

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/targets/{id}/logic").route(web::get().to(show)).route(web::put().to(save)),
        )
        .service(web::resource("/targets/{id}/logic/publish").route(web::post().to(publish)))
        .service(web::resource("/targets/{id}/logic/versions/{version}").route(web::get().to(show_version)));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LogicBody {
    code: String,
    #[serde(default)]
    package_dependencies: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DraftView {
    code: String,
    package_dependencies: Value,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionView {
    version: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    package_dependencies: Value,
    published_by: String,
    published_at: DateTime<Utc>,
}

impl DraftView {
    fn of(draft: Draft) -> Self {
        let Draft { code, package_dependencies, updated_at } = draft;
        Self { code, package_dependencies, updated_at }
    }
}

impl VersionView {
    fn of(version: Version, with_code: bool) -> Self {
        let Version { version, code, package_dependencies, published_by, published_at } = version;
        let code = with_code.then_some(code);
        Self { version, code, package_dependencies, published_by, published_at }
    }
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    id: Path<TargetId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let (target, draft, versions) = state
        .db
        .run(Pool::Api, move |connection| {
            let target = targets::find(connection, id)?;
            Ok::<_, Problem>((target, logic::draft(connection, id)?, logic::versions(connection, id)?))
        })
        .await?;
    let versions: Vec<_> = versions.into_iter().map(|version| VersionView::of(version, false)).collect();
    Ok(HttpResponse::Ok().json(json!({
        "targetId": target.id,
        "publishedVersion": target.logic_version,
        "draft": draft.map(DraftView::of),
        "versions": versions,
    })))
}

async fn show_version(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    path: Path<(TargetId, i32)>,
) -> Result<HttpResponse, Problem> {
    let (id, number) = path.into_inner();
    let found = state.db.run(Pool::Api, move |connection| logic::version(connection, id, number)).await?;
    let version = found.ok_or_else(|| Problem::not_found("there is no such version"))?;
    Ok(HttpResponse::Ok().json(VersionView::of(version, true)))
}

/// Saves the draft, if it loads.
async fn save(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    id: Path<TargetId>,
    body: JsonBody<LogicBody>,
) -> Result<HttpResponse, Problem> {
    let (id, body) = (id.into_inner(), body.into_inner());
    let target = find(&state, id).await?;
    if let Some(name) = body.package_dependencies.keys().next() {
        let rule = "cannot be used: this version of provisiond does not bundle packages yet";
        return Err(Problem::invalid(vec![FieldError::new(format!("packageDependencies.{name}"), rule)]));
    }
    check_code(&engine, &target, &body.code).await?;
    let draft = state
        .db
        .run(Pool::Api, move |connection| {
            logic::save_draft(connection, id, &body.code, &json!(body.package_dependencies))?;
            logic::draft(connection, id)
        })
        .await?;
    Ok(HttpResponse::Ok().json(json!({ "targetId": id, "draft": draft.map(DraftView::of) })))
}

async fn find(state: &ApiState, id: TargetId) -> Result<Target, Problem> {
    Ok(state.db.run(Pool::Api, move |connection| targets::find(connection, id)).await?)
}

async fn check_code(engine: &EngineState, target: &Target, code: &str) -> Result<(), Problem> {
    match check(&engine.program, code, &target.settings.limits).await {
        Ok(()) => Ok(()),
        Err(LogicError::Compile(error)) => Err(Problem::does_not_compile(&error)),
        Err(LogicError::Host(message)) => Err(Problem::unavailable(message)),
        Err(error) => Err(Problem::invalid(vec![FieldError::new("code", error.to_string())])),
    }
}

/// Makes the draft the next published version. Runs that are under way finish
/// on theirs; nothing is run again because of it.
async fn publish(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    id: Path<TargetId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let target = find(&state, id).await?;
    let draft = state.db.run(Pool::Api, move |connection| logic::draft(connection, id)).await?;
    let draft = draft.ok_or_else(no_draft)?;
    check_code(&engine, &target, &draft.code).await?;
    let by = editor.name().to_owned();
    let version = state.db.run(Pool::Api, move |connection| logic::publish(connection, id, &by)).await?;
    let version = version.ok_or_else(no_draft)?;
    engine.engine.look_round();
    Ok(HttpResponse::Ok().json(VersionView::of(version, true)))
}

fn no_draft() -> Problem {
    Problem::conflict("there is no draft to publish: PUT some logic first")
}
