//! Targets: settings, life cycle, actions.

mod actions;
mod body;
mod dead_letters;
mod logic;
mod logic_to_run;
mod status;
mod trial;
mod trial_body;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use body::{PlainSecrets, TargetBody, TargetView};
pub(super) use logic_to_run::{ChoiceBody, logic_to_run};
pub(super) use trial::problem;
pub(super) use trial_body::{AnswerBody, script};

use super::subject_json::AccountView;
use super::{ApiState, Endpoint, EngineState};
use crate::api::turns::Reads;
use crate::domain::encoding;
use crate::domain::filter::Filter;
use crate::domain::ids::{StoreId, TargetId};
use crate::domain::json::merge_patch;
use crate::domain::subject::FieldError;
use crate::domain::target::{Target, TargetSettings};
use crate::http::auth::{Editor, Viewer};
use crate::http::etag::etag;
use crate::http::path::{Id, Path};
use crate::http::{Authorized, IfMatch, JsonBody, Kind, Problem, json};
use crate::security::{Role, Sealer, Secret};
use crate::storage::targets::{self, SealedSecrets};
use crate::storage::{Connection, preview, stores};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get("/stores/{store}/targets", list),
        Endpoint::post("/stores/{store}/targets", create),
        Endpoint::get("/targets/{id}", show),
        Endpoint::patch("/targets/{id}", change),
        Endpoint::delete("/targets/{id}", delete),
        Endpoint::post("/targets/{id}/filter/preview", preview_filter),
    ];
    endpoints.extend(actions::endpoints());
    endpoints.extend(dead_letters::endpoints());
    endpoints.extend(logic::endpoints());
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

fn seal(sealer: &Sealer, target: TargetId, secrets: &PlainSecrets) -> Result<SealedSecrets, Problem> {
    let owner = format!("target:{target}");
    let seal_one = |(name, value): (&String, &Option<String>)| {
        let sealed = match value {
            Some(value) => {
                Some(sealer.seal(&owner, name, &Secret::new(value.clone())).map_err(Problem::internal)?)
            }
            None => None,
        };
        Ok((name.clone(), sealed))
    };
    secrets.iter().map(seal_one).collect()
}

/// Setting secrets, and where they may go, needs a role of its own.
fn may_set(editor: &Authorized<Editor>, touches_secrets: bool) -> Result<(), Problem> {
    let (needed, role) = (Role::SecretsAdmin, editor.caller.role);
    if !touches_secrets || role.allows(needed) {
        return Ok(());
    }
    let detail =
        format!("the role `{needed}` is needed to set secrets and where they may go, the token has `{role}`");
    Err(Problem::new(Kind::Forbidden, detail))
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
    may_set(&editor, !secrets.is_empty() || !settings.secret_hosts.is_empty())?;
    let (sealer, most) = (engine.sealer.clone(), engine.most_targets);
    let target = state
        .run(move |connection| {
            let store = stores::find(connection, &store)?;
            let target = targets::create(connection, store.id, &settings, most)?;
            targets::save_secrets(connection, target.id, &seal(&sealer, target.id, &secrets)?)?;
            view(connection, &target).map(|view| (target, view))
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
    let sealer = engine.sealer.clone();
    let changed = state
        .run(move |connection| {
            let secrets = patched(&targets::find(connection, id)?.settings, &patch)?.1;
            may_set(&editor, !secrets.is_empty())?;
            let sealed = seal(&sealer, id, &secrets)?;
            let target =
                targets::update::<Problem>(connection, id, if_match.versions(), &sealed, |settings| {
                    let after = patched(settings, &patch)?.0;
                    may_set(&editor, after.secret_hosts != settings.secret_hosts)?;
                    *settings = after;
                    Ok(())
                })?;
            let beside = beside(connection, target.store)?;
            view(connection, &target).map(|view| (target.version, view, beside))
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
        .run(move |connection| {
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

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviewBody {
    /// The saved filter when absent.
    filter: Option<String>,
}

async fn preview_filter(
    _: Authorized<Viewer>,
    reads: Reads,
    Id(id): Id<TargetId>,
    JsonBody(body): JsonBody<PreviewBody>,
) -> Result<HttpResponse, Problem> {
    let wanted = body.filter;
    let preview = reads
        .run(move |connection| {
            let target = targets::find(connection, id)?;
            let source = wanted.unwrap_or(target.settings.filter);
            let filter = Filter::parse(&source)
                .map_err(|error| Problem::validation(vec![FieldError::new("filter", error.to_string())]))?;
            Ok::<_, Problem>(preview::preview(connection, target.store, id, &filter)?)
        })
        .await?;
    let sample: Vec<_> = preview.sample.into_iter().map(AccountView::from).collect();
    Ok(HttpResponse::Ok().json(serde_json::json!({
        "total": preview.total,
        "entering": preview.entering,
        "leaving": preview.leaving,
        "judged": preview.judged,
        "margin": preview.margin,
        "sample": sample,
    })))
}

/// Shared by the actions that answer with the target.
async fn target_view(state: &ApiState, target: Arc<Target>) -> Result<TargetView, Problem> {
    state.run(move |connection| view(connection, &target)).await
}
