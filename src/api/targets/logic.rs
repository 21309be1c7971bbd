//! The logic of a target: draft and published versions.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ApiState, Endpoint, EngineState};
use crate::domain::ids::TargetId;
use crate::domain::subject::FieldError;
use crate::domain::target::Target;
use crate::http::auth::{Editor, Viewer};
use crate::http::path::{Id, Path};
use crate::http::{Authorized, JsonBody, Kind, Problem};
use crate::js::CompileError;
use crate::logic::{LogicError, check};
use crate::storage::logic::{self, Draft, Version};
use crate::storage::targets;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/targets/{id}/logic", show),
        Endpoint::put("/targets/{id}/logic", save),
        Endpoint::post("/targets/{id}/logic/publish", publish),
        Endpoint::get("/targets/{id}/logic/versions/{version}", show_version),
    ]
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
    Id(id): Id<TargetId>,
) -> Result<HttpResponse, Problem> {
    let (target, draft, versions) = state
        .run(move |connection| {
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
    Path((id, number)): Path<(TargetId, i32)>,
) -> Result<HttpResponse, Problem> {
    let found = state.run(move |connection| logic::version(connection, id, number)).await?;
    let version = found.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such version"))?;
    Ok(HttpResponse::Ok().json(VersionView::of(version, true)))
}

/// Saves the draft, if it loads.
async fn save(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
    JsonBody(body): JsonBody<LogicBody>,
) -> Result<HttpResponse, Problem> {
    let (id, body) = (id, body);
    let target = find(&state, id).await?;
    if let Some(name) = body.package_dependencies.keys().next() {
        let rule = "cannot be used: this version of provisiond does not bundle packages yet";
        return Err(Problem::validation(vec![FieldError::new(format!("packageDependencies.{name}"), rule)]));
    }
    check_code(&engine, &target, &body.code).await?;
    let draft = state
        .run(move |connection| {
            logic::save_draft(connection, id, &body.code, &json!(body.package_dependencies))?;
            logic::draft(connection, id)
        })
        .await?;
    Ok(HttpResponse::Ok().json(json!({ "targetId": id, "draft": draft.map(DraftView::of) })))
}

async fn find(state: &ApiState, id: TargetId) -> Result<Target, Problem> {
    state.run(move |connection| targets::find(connection, id)).await
}

async fn check_code(engine: &EngineState, target: &Target, code: &str) -> Result<(), Problem> {
    match check(&engine.program, code, &target.settings.limits).await {
        Ok(()) => Ok(()),
        Err(LogicError::Compile(error)) => Err(does_not_load(&error)),
        Err(LogicError::Host(message)) => Err(Problem::new(Kind::Unavailable, message)),
        Err(error) => Err(Problem::validation(vec![FieldError::new("code", error.to_string())])),
    }
}

/// Makes the draft the next published version. Runs that are under way finish
/// on theirs; nothing is run again because of it.
async fn publish(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
) -> Result<HttpResponse, Problem> {
    let target = find(&state, id).await?;
    let draft = state.run(move |connection| logic::draft(connection, id)).await?;
    let draft = draft.ok_or_else(no_draft)?;
    check_code(&engine, &target, &draft.code).await?;
    let by = editor.caller.name.clone();
    let version = state.run(move |connection| logic::publish(connection, id, &by)).await?;
    let version = version.ok_or_else(no_draft)?;
    engine.engine.look_round();
    Ok(HttpResponse::Ok().json(VersionView::of(version, true)))
}

fn no_draft() -> Problem {
    Problem::new(Kind::State, "there is no draft to publish: PUT some logic first")
}

/// The place in the author's code stands beside the rule.
fn does_not_load(error: &CompileError) -> Problem {
    let problem = Problem::validation(vec![FieldError::new("code", error.to_string())]);
    let place = [("line", error.line), ("column", error.column)];
    place.into_iter().fold(problem, |problem, (name, number)| match number {
        Some(number) => problem.with_member(name, number.into()),
        None => problem,
    })
}
