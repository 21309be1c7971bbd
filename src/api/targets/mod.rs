//! Targets: settings, life cycle, actions.

mod actions;
mod body;
mod dead_letters;
mod logic;
mod logic_to_run;
mod preview;
mod secrets;
mod status;
mod trial;
mod trial_body;
mod walls;

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use body::{PlainSecrets, TargetBody, TargetView};
pub(super) use logic_to_run::{ChoiceBody, logic_to_run};
pub(super) use trial::{asker, problem};
pub(super) use trial_body::{AnswerBody, script};

use super::{ApiState, Endpoint, EngineState};
use crate::domain::encoding;
use crate::domain::ids::{StoreId, TargetId};
use crate::domain::json::merge_patch;
use crate::domain::subject::FieldError;
use crate::domain::target::{Target, TargetSettings};
use crate::http::auth::{Editor, Viewer};
use crate::http::etag::etag;
use crate::http::path::{Id, Path};
use crate::http::{Authorized, IfMatch, JsonBody, Kind, Problem, json};
use crate::storage::targets::NewSecrets;
use crate::storage::{Connection, stores, targets};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get("/stores/{store}/targets", list),
        Endpoint::post("/stores/{store}/targets", create),
        Endpoint::get("/targets/{id}", show),
        Endpoint::patch("/targets/{id}", change),
        Endpoint::delete("/targets/{id}", delete),
    ];
    endpoints.extend(actions::endpoints());
    endpoints.extend(dead_letters::endpoints());
    endpoints.extend(logic::endpoints());
    endpoints.extend(preview::endpoints());
    endpoints.extend(status::endpoints());
    endpoints.extend(trial::endpoints());
    endpoints
}

async fn list(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Path(store): Path<String>,
) -> Result<HttpResponse, Problem> {
    let items = state
        .run(move |connection| {
            let store = stores::find(connection, &store)?;
            let targets = targets::list(connection, Some(store.id))?;
            targets.iter().map(|target| view(connection, target)).collect::<Result<Vec<_>, Problem>>()
        })
        .await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "items": items, "next": null })))
}

fn view(connection: &mut Connection, target: &Target) -> Result<TargetView, Problem> {
    let names = targets::secrets(connection, target.id)?.into_keys().collect();
    Ok(TargetView::of(target, names))
}

/// Reads a body into settings; a broken rule is a 422 that lists all of them.
fn read(body: TargetBody) -> Result<(TargetSettings, PlainSecrets), Problem> {
    body.read().map_err(Problem::validation)
}

async fn create(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Path(store): Path<String>,
    JsonBody(body): JsonBody<TargetBody>,
) -> Result<HttpResponse, Problem> {
    let (settings, secrets) = read(body)?;
    if settings.enabled {
        let rule = "cannot be true on creation: publish logic first, then enable the target";
        return Err(Problem::validation(vec![FieldError::new("enabled", rule)]));
    }
    let change = walls::Change {
        role: editor.caller.role,
        ceiling: &engine.ceiling,
        before: None,
        secrets: &secrets,
        properties: Some(&settings.connection),
        says_egress: true,
    };
    let settings = change.settings(settings.clone())?;
    let (sealer, most) = (engine.sealer.clone(), engine.most_targets);
    let target = state
        .change(move |connection| {
            let store = stores::find(connection, &store)?;
            let warnings = preview::warnings(connection, store.id, &settings.filter)?;
            let target = targets::create(connection, store.id, &settings, most)?;
            let values = secrets::values_of(&secrets);
            let new = NewSecrets { sealer: &sealer, values: &values };
            targets::save_secrets(connection, target.id, &new)?;
            secrets::judge(connection, target.id, &settings.secret_hosts)?;
            view(connection, &target).map(|view| (target, view.with(warnings)))
        })
        .await?;
    let (target, view) = target;
    Ok(HttpResponse::Created()
        .insert_header(("Location", format!("/api/v1/targets/{}", target.id)))
        .insert_header(etag(target.version))
        .json(view))
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<TargetId>,
) -> Result<HttpResponse, Problem> {
    let (version, view) = state
        .run(move |connection| {
            let target = targets::find(connection, id)?;
            view(connection, &target).map(|view| (target.version, view))
        })
        .await?;
    Ok(HttpResponse::Ok().insert_header(etag(version)).json(view))
}

/// JSON merge patch (RFC 7396) of the settings. Secrets are merged by name.
async fn change(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
    if_match: IfMatch,
    JsonBody(patch): JsonBody<Value>,
) -> Result<HttpResponse, Problem> {
    let (sealer, ceiling) = (engine.sealer.clone(), engine.ceiling.clone());
    let changed = state
        .change(move |connection| {
            let before = targets::find(connection, id)?;
            let (settings, plain) = patched(&before.settings, &patch)?;
            let warnings = preview::warnings(connection, before.store, &settings.filter)?;
            let values = secrets::values_of(&plain);
            let new = NewSecrets { sealer: &sealer, values: &values };
            let mut judged = !plain.is_empty();
            let target =
                targets::update::<Problem>(connection, id, if_match.versions(), Some(&new), |settings| {
                    let change = walls::Change {
                        role: editor.caller.role,
                        ceiling: &ceiling,
                        before: Some(settings),
                        secrets: &plain,
                        properties: patch.pointer("/connection/properties").and_then(Value::as_object),
                        says_egress: patch.get("egressAllow").is_some(),
                    };
                    let after = change.settings(patched(settings, &patch)?.0)?;
                    judged |= after.secret_hosts != settings.secret_hosts;
                    *settings = after;
                    Ok(())
                })?;
            if judged {
                secrets::judge(connection, id, &target.settings.secret_hosts)?;
            }
            let beside = beside(connection, target.store)?;
            view(connection, &target).map(|view| (target.version, view.with(warnings), beside))
        })
        .await?;
    engine.engine.look_round();
    (engine.engine.nudge())(&changed.2);
    Ok(HttpResponse::Ok().insert_header(etag(changed.0)).json(changed.1))
}

/// The targets of a store: what waited for one of them may be due after a change.
fn beside(connection: &mut Connection, store: StoreId) -> Result<Vec<TargetId>, Problem> {
    Ok(targets::list(connection, Some(store))?.into_iter().map(|target| target.id).collect())
}

fn patched(settings: &TargetSettings, patch: &Value) -> Result<(TargetSettings, PlainSecrets), Problem> {
    let mut patch = patch.clone();
    // `null` removes a secret; a merge would only drop the member.
    let secrets = patch.pointer_mut("/connection/secrets").map(Value::take);
    let mut body = serde_json::to_value(TargetBody::of(settings)).map_err(Problem::internal)?;
    merge_patch(&mut body, &patch);
    if let (Some(secrets), Some(Value::Object(connection))) = (secrets, body.pointer_mut("/connection")) {
        connection.insert("secrets".into(), secrets);
    }
    read(json::read(&serde_json::to_vec(&body).map_err(Problem::internal)?)?)
}

/// Deletes a target. The body (or the query) must give its name.
async fn delete(
    _: Authorized<Editor>,
    request: HttpRequest,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let confirmed = confirmed_name(&request, &body)?;
    let beside = state
        .change(move |connection| {
            let target = targets::find(connection, id)?;
            let name = target.settings.name;
            if confirmed.as_deref() != Some(name.as_str()) {
                let rule =
                    format!("must be the target's name, `{name}`, to confirm that it is deleted for good");
                return Err(Problem::validation(vec![FieldError::new("name", rule)]));
            }
            targets::delete(connection, id)?;
            beside(connection, target.store)
        })
        .await?;
    engine.engine.look_round();
    (engine.engine.nudge())(&beside);
    Ok(HttpResponse::NoContent().finish())
}

/// The name from `?name=…`, `?confirm=…` or a body `{"name": …}`.
fn confirmed_name(request: &HttpRequest, body: &[u8]) -> Result<Option<String>, Problem> {
    let query: BTreeMap<String, String> = web::Query::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|error| Problem::new(Kind::Malformed, format!("the query cannot be read: {error}")))?;
    if let Some(name) = query.get("name").or_else(|| query.get("confirm")) {
        return Ok(Some(name.clone()));
    }
    if body.is_empty() {
        return Ok(None);
    }
    let body: Value = serde_json::from_slice(encoding::unmarked(body))
        .map_err(|error| Problem::new(Kind::Malformed, format!("the body is not JSON: {error}")))?;
    let name = body.get("name").or_else(|| body.get("confirm")).and_then(Value::as_str);
    Ok(name.map(str::to_owned))
}
