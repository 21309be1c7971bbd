//! Publishing the draft, and going back to an earlier version.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::canary::{self, CanaryBody, choose};
use super::draft::{expect, keep, lock_of, make, source_of};
use super::view::VersionView;
use super::{
    ApiState, Endpoint, EngineState, changed_meanwhile, effect, find, no_draft, note, refused, report,
};
use crate::api::turns::Making;
use crate::domain::ids::TargetId;
use crate::domain::subject::FieldError;
use crate::domain::target::Target;
use crate::domain::who::Who;
use crate::http::auth::Editor;
use crate::http::path::Id;
use crate::http::{Authorized, IfMatch, Kind, OptionalJsonBody, Problem};
use crate::js::Code;
use crate::logic::TestResult;
use crate::storage::canaries::CanaryRow;
use crate::storage::logic::{self, Artefact, By, Draft, Version};
use crate::storage::{Connection, canaries, targets};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/targets/{id}/logic/publish", publish),
        Endpoint::post("/targets/{id}/logic/rollback", roll_back),
    ]
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PublishBody {
    note: Option<String>,
    /// Every account in scope runs at once; otherwise none does because of it.
    force: bool,
    /// Some run it first.
    canary: Option<CanaryBody>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RollbackBody {
    /// The one before the published one when absent.
    version: Option<i32>,
    note: Option<String>,
    force: bool,
}

/// Makes the draft the next published version. Runs that are under way finish
/// on theirs.
async fn publish(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    making: Making,
    Id(id): Id<TargetId>,
    if_match: IfMatch,
    OptionalJsonBody(body): OptionalJsonBody<PublishBody>,
) -> Result<HttpResponse, Problem> {
    let target = find(&state, id).await?;
    effect::may_force(&target, body.force)?;
    let (why, force) = (note(body.note)?, body.force);
    let canary = body.canary.map(|canary| canary.read()).transpose()?;
    if canary.is_some() && force {
        return Err(Problem::new(Kind::State, "a version that some run first cannot be forced on all"));
    }
    let by = editor.caller.who();
    let draft = state.run(move |connection| logic::draft(connection, id)).await?.ok_or_else(no_draft)?;
    expect(&if_match, Some(&draft))?;
    let tested = making.run(id, ready(&state, &engine, &target, &draft, &by)).await?;
    let (version, trial, effect) = state
        .change(move |connection| {
            let by = By { who: &by, note: &why };
            let effect = effect::begin(connection, &target, force)?;
            let chosen = canary.map(|wanted| choose(connection, &target, wanted)).transpose()?;
            let target = targets::lock(connection, id)?;
            let version = logic::publish(connection, id, &tested, by)?.ok_or_else(changed_meanwhile)?;
            let trial = match chosen {
                Some(chosen) => Some(canary::begin(connection, &target, version.version, chosen, by.who)?),
                None => {
                    go_live(connection, id, version.version, by.who)?;
                    None
                }
            };
            Ok::<_, Problem>((version, trial, effect))
        })
        .await?;
    answer(version, trial.as_ref(), effect::tell(&engine, id, &effect))
}

fn answer(
    version: Version,
    trial: Option<&CanaryRow>,
    after: Map<String, Value>,
) -> Result<HttpResponse, Problem> {
    let view = VersionView::of(version, None, trial);
    let mut view = serde_json::to_value(view).map_err(Problem::internal)?;
    if let Value::Object(view) = &mut view {
        view.extend(after);
    }
    Ok(HttpResponse::Ok().json(view))
}

/// The draft, built, loaded and with all its tests passed.
async fn ready(
    state: &ApiState,
    engine: &EngineState,
    target: &Target,
    draft: &Draft,
    by: &Who,
) -> Result<String, Problem> {
    let (artefact, code) = match found(state, draft).await? {
        Some(artefact) => (artefact.id.clone(), Code::new(&artefact.code, artefact.source_map.as_deref())),
        None => return validated_now(state, engine, target, draft, by).await,
    };
    let tests = engine.workshop.try_code(code, &target.settings.limits).await.map_err(refused)?;
    passed(&tests)?;
    Ok(artefact)
}

async fn found(state: &ApiState, draft: &Draft) -> Result<Option<Artefact>, Problem> {
    let Some(id) = draft.artefact.clone() else { return Ok(None) };
    state.run(move |connection| logic::artefact(connection, &id)).await
}

/// A draft that could not be validated when it was saved.
async fn validated_now(
    state: &ApiState,
    engine: &EngineState,
    target: &Target,
    draft: &Draft,
    by: &Who,
) -> Result<String, Problem> {
    let lock = lock_of(state, Some(draft)).await?;
    let mut made = make(engine, target, &source_of(draft), lock.as_ref(), by).await?;
    made.stays_of(draft);
    let Some(id) = made.draft.artefact.clone() else {
        let problem = made.draft.report["problem"].as_str().unwrap_or("the draft cannot be validated");
        return Err(Problem::new(Kind::Unavailable, problem));
    };
    let tests: Vec<TestResult> =
        serde_json::from_value(made.draft.report["tests"].clone()).unwrap_or_default();
    passed(&tests)?;
    keep(state, target.id, draft, made).await?;
    Ok(id)
}

fn passed(tests: &[TestResult]) -> Result<(), Problem> {
    let failed: Vec<_> = tests.iter().filter(|test| !test.passed).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let names = failed.iter().map(|test| format!("\"{}\"", test.name)).collect::<Vec<_>>().join(", ");
    let sentence = format!("{} of {} tests failed: {names}", failed.len(), tests.len());
    let rule = FieldError::new("code", sentence);
    Err(Problem::validation(vec![rule]).with_member("tests", json!(report::cut(tests).0)))
}

/// A trial that is running ends: all run this version now.
fn go_live(connection: &mut Connection, target: TargetId, version: i32, by: &Who) -> Result<(), Problem> {
    canaries::roll_back(connection, target, by, &format!("version {version} was published"))?;
    Ok(logic::run_version(connection, target, version)?)
}

/// Publishes an earlier version again, as the next one.
async fn roll_back(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
    OptionalJsonBody(body): OptionalJsonBody<RollbackBody>,
) -> Result<HttpResponse, Problem> {
    if body.version.is_some_and(|version| version < 1) {
        return Err(Problem::validation(vec![FieldError::new("version", "must be 1 or more")]));
    }
    let (why, by) = (note(body.note)?, editor.caller.who());
    let (version, effect) = state
        .change(move |connection| {
            let target = targets::find(connection, id)?;
            let effect = effect::begin(connection, &target, body.force)?;
            let target = targets::lock(connection, id)?;
            let earlier = match body.version {
                Some(version) => version,
                None => before_published(connection, &target)?,
            };
            let by = By { who: &by, note: &why };
            let restored = logic::restore(connection, id, earlier, by)?
                .ok_or_else(|| Problem::new(Kind::NotFound, format!("there is no version {earlier}")))?;
            go_live(connection, id, restored.version, by.who)?;
            Ok::<_, Problem>((restored, effect))
        })
        .await?;
    answer(version, None, effect::tell(&engine, id, &effect))
}

/// The version that all ran before the published one. While another one is on
/// trial, who wants to go back most likely means that one.
fn before_published(connection: &mut Connection, target: &Target) -> Result<i32, Problem> {
    if let Some(trial) = canaries::running(connection, target.id)? {
        let version = trial.canary().version;
        let sentence = format!(
            "version {version} is on trial: take it back with `logic/canary/rollback`, or name the `version` \
             that all are to run"
        );
        return Err(Problem::new(Kind::State, sentence));
    }
    let earlier = match target.logic_version {
        Some(published) => logic::before(connection, target.id, published)?,
        None => None,
    };
    earlier.ok_or_else(|| Problem::new(Kind::State, "there is no earlier version to go back to"))
}
