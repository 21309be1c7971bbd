//! Saving and validating the draft.

use actix_web::{HttpResponse, web};
use chrono::{SubsecRound as _, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::report::report;
use super::{ApiState, Endpoint, EngineState, changed_meanwhile, find, no_draft, refused};
use crate::api::targets::logic::view::DraftView;
use crate::api::turns::Making;
use crate::domain::ids::TargetId;
use crate::domain::target::Target;
use crate::domain::who::Who;
use crate::http::auth::Editor;
use crate::http::etag::etag;
use crate::http::path::Id;
use crate::http::{Authorized, IfMatch, JsonBody, Kind, OptionalJsonBody, Problem};
use crate::js::Code;
use crate::logic::{Built, Dependencies, Language, LogicError, Source, TestResult};
use crate::storage::logic::{self, Artefact, Draft};
use crate::storage::targets;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::put("/targets/{id}/logic", save), Endpoint::post("/targets/{id}/logic/validate", validate)]
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LogicBody {
    code: String,
    language: Option<Language>,
    package_dependencies: Option<Dependencies>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ValidateBody {
    /// Packages are chosen anew, where the ranges allow newer ones.
    update: bool,
}

/// Saves the draft, if it builds and loads. When the registry cannot be reached
/// it is kept all the same, to be validated later.
async fn save(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    making: Making,
    Id(id): Id<TargetId>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<LogicBody>,
) -> Result<HttpResponse, Problem> {
    let target = find(&state, id).await?;
    let before = state.run(move |connection| logic::draft(connection, id)).await?;
    expect(&if_match, before.as_ref())?;
    let lock = lock_of(&state, before.as_ref()).await?;
    let LogicBody { code, language, package_dependencies: dependencies } = body;
    let source = Source::new(&code, language, dependencies.unwrap_or_default());
    let by = editor.caller.who();
    let made = making.run(id, make(&engine, &target, &source, lock.as_ref(), &by)).await?;
    let made = state
        .change(move |connection| {
            targets::lock(connection, id)?;
            expect(&if_match, logic::draft(connection, id)?.as_ref())?;
            logic::save_draft(connection, id, &made.draft, made.artefact.as_ref())?;
            Ok::<_, Problem>(made)
        })
        .await?;
    Ok(answer(id, made))
}

/// The version of a draft for `ETag` and `If-Match`: when it was saved, in
/// microseconds; 0 for none.
pub(super) fn tag_of(draft: Option<&Draft>) -> i64 {
    draft.map_or(0, |draft| draft.updated_at.timestamp_micros())
}

/// Refuses to go on about another draft than the caller has seen.
pub(super) fn expect(if_match: &IfMatch, draft: Option<&Draft>) -> Result<(), Problem> {
    match if_match.versions().is_none_or(|versions| versions.contains(&tag_of(draft))) {
        true => Ok(()),
        false => Err(Problem::new(Kind::VersionMismatch, "the draft is not the one that `If-Match` names")),
    }
}

/// Builds and tries the draft again.
async fn validate(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    making: Making,
    Id(id): Id<TargetId>,
    OptionalJsonBody(body): OptionalJsonBody<ValidateBody>,
) -> Result<HttpResponse, Problem> {
    let target = find(&state, id).await?;
    let draft = state.run(move |connection| logic::draft(connection, id)).await?.ok_or_else(no_draft)?;
    let kept = lock_of(&state, Some(&draft)).await?;
    let lock = kept.as_ref().filter(|_| !body.update);
    let (source, by) = (source_of(&draft), editor.caller.who());
    let mut made = making.run(id, make(&engine, &target, &source, lock, &by)).await?;
    made.stays_of(&draft);
    if made.artefact.is_none() {
        // Nothing was chosen anew.
        made.draft.lock = kept;
    }
    Ok(answer(id, keep(&state, id, &draft, made).await?))
}

/// A draft and what it was built to.
pub(super) struct Made {
    pub draft: Draft,
    pub artefact: Option<Artefact>,
}

impl Made {
    /// Whoever builds a draft again has not written it.
    pub fn stays_of(&mut self, draft: &Draft) {
        self.draft.saved_by.clone_from(&draft.saved_by);
        self.draft.saved_by_token = draft.saved_by_token;
        self.draft.saved_by_address.clone_from(&draft.saved_by_address);
    }
}

/// Keeps what was found about a draft that nobody has replaced meanwhile.
pub(super) async fn keep(state: &ApiState, id: TargetId, draft: &Draft, made: Made) -> Result<Made, Problem> {
    let saved_at = draft.updated_at;
    state
        .run(move |connection| {
            match logic::save_validated(connection, id, saved_at, &made.draft, made.artefact.as_ref())? {
                true => Ok(made),
                false => Err(changed_meanwhile()),
            }
        })
        .await
}

fn answer(id: TargetId, made: Made) -> HttpResponse {
    let tag = etag(tag_of(Some(&made.draft)));
    let view = DraftView::of(made.draft, made.artefact.as_ref());
    HttpResponse::Ok().insert_header(tag).json(json!({ "targetId": id, "draft": view }))
}

/// Builds and tries; only what is the author's to mend is an error.
pub(super) async fn make(
    engine: &EngineState,
    target: &Target,
    source: &Source,
    lock: Option<&Value>,
    by: &Who,
) -> Result<Made, Problem> {
    let built = match engine.workshop.build(source, lock).await {
        Ok(built) => built,
        Err(LogicError::Registry(message)) => return Ok(unvalidated(source, lock, message, by)),
        Err(error) => return Err(refused(error)),
    };
    let tests = engine.workshop.try_out(&built, &target.settings.limits).await.map_err(refused)?;
    Ok(validated(source, built, &tests, by))
}

/// Builds what is tried and not kept.
pub(in crate::api::targets) async fn build(
    engine: &EngineState,
    source: &Source,
    lock: Option<&Value>,
) -> Result<Code, Problem> {
    engine.workshop.build(source, lock).await.map(|built| built.code()).map_err(refused)
}

/// What is not known is not made up: the language that nobody said is found out
/// later, and the packages that were chosen stay chosen.
fn unvalidated(source: &Source, lock: Option<&Value>, problem: String, by: &Who) -> Made {
    let draft = draft(source, source.language, json!({ "problem": problem }), by);
    Made { draft: Draft { lock: lock.cloned(), ..draft }, artefact: None }
}

fn validated(source: &Source, built: Built, tests: &[TestResult], by: &Who) -> Made {
    let report = report(&built.warnings, tests);
    let artefact = Some(built.artefact.id.clone());
    let draft = draft(source, Some(built.language), report, by);
    Made { draft: Draft { artefact, ..draft }, artefact: Some(built.artefact) }
}

/// Not built.
fn draft(source: &Source, language: Option<Language>, report: Value, by: &Who) -> Draft {
    Draft {
        code: source.code.clone(),
        language: language.map(|language| language.as_str().into()),
        package_dependencies: json!(source.dependencies),
        artefact: None,
        lock: None,
        report,
        saved_by: by.name.clone(),
        saved_by_token: by.token_number(),
        saved_by_address: by.address_text(),
        // As exactly as the database keeps it.
        updated_at: Utc::now().trunc_subsecs(6),
    }
}

/// What a draft was made from.
pub(super) fn source_of(draft: &Draft) -> Source {
    Source {
        code: draft.code.clone(),
        language: draft.language.as_deref().and_then(Language::parse),
        dependencies: serde_json::from_value(draft.package_dependencies.clone()).unwrap_or_default(),
    }
}

/// Which packages were chosen for the draft of before.
pub(in crate::api::targets) async fn lock_of(
    state: &ApiState,
    draft: Option<&Draft>,
) -> Result<Option<Value>, Problem> {
    let Some(draft) = draft else { return Ok(None) };
    let Some(id) = draft.artefact.clone() else { return Ok(draft.lock.clone()) };
    let artefact = state.run(move |connection| logic::artefact(connection, &id)).await?;
    Ok(artefact.map(|artefact| artefact.lock))
}
