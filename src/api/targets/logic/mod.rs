//! The logic of a target: a draft, published versions, and a version on trial.

mod canary;
mod diff;
mod draft;
mod effect;
mod publish;
mod report;
mod versions;
mod view;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::{ApiState, Endpoint, EngineState};
use crate::domain::ids::TargetId;
use crate::domain::subject::FieldError;
use crate::domain::target::Target;
use crate::http::auth::Viewer;
use crate::http::etag::etag;
use crate::http::path::Id;
use crate::http::{Authorized, Kind, Problem};
use crate::js::CompileError;
use crate::logic::LogicError;
use crate::modules;
use crate::storage::{canaries, logic, targets};
use draft::tag_of;
pub(super) use draft::{build, lock_of};
pub(super) use view::CanaryView;
use view::DraftView;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints =
        vec![Endpoint::get("/targets/{id}/logic", show), Endpoint::get("/logic/types", types)];
    endpoints.extend(draft::endpoints());
    endpoints.extend(publish::endpoints());
    endpoints.extend(canary::endpoints());
    endpoints.extend(diff::endpoints());
    endpoints.extend(versions::endpoints());
    endpoints
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<TargetId>,
) -> Result<HttpResponse, Problem> {
    let shown = state
        .run(move |connection| {
            let target = targets::find(connection, id)?;
            let draft = logic::draft(connection, id)?;
            let artefact = draft.as_ref().and_then(|draft| draft.artefact.clone());
            let artefact = artefact.map(|id| logic::artefact(connection, &id)).transpose()?.flatten();
            let canary = canaries::latest(connection, id)?;
            let tag = etag(tag_of(draft.as_ref()));
            Ok::<_, Problem>((
                tag,
                json!({
                    "targetId": id,
                    "publishedVersion": target.logic_version,
                    "draft": draft.map(|draft| DraftView::of(draft, artefact.as_ref())),
                    "canary": canary.as_ref().map(CanaryView::of),
                    "versions": versions::newest(connection, id)?,
                }),
            ))
        })
        .await?;
    let (tag, shown) = shown;
    Ok(HttpResponse::Ok().insert_header(tag).json(shown))
}

/// TypeScript declarations of what logic can use, for editors.
async fn types(_: Authorized<Viewer>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/typescript; charset=utf-8"))
        .body(modules::TYPES)
}

async fn find(state: &ApiState, id: TargetId) -> Result<Target, Problem> {
    state.run(move |connection| targets::find(connection, id)).await
}

fn no_draft() -> Problem {
    Problem::new(Kind::State, "there is no draft: save some logic first")
}

fn changed_meanwhile() -> Problem {
    Problem::new(Kind::State, "the draft was changed meanwhile: try again")
}

/// What an author is told who wrote something that cannot be used.
fn refused(error: LogicError) -> Problem {
    match error {
        LogicError::Fields(errors) => Problem::validation(errors),
        LogicError::Compile(error) => does_not_load("code", &error),
        LogicError::Limit(_) => Problem::validation(vec![FieldError::new("code", error.to_string())]),
        LogicError::Registry(message) | LogicError::Machine(message) => {
            Problem::new(Kind::Unavailable, message)
        }
    }
}

/// The place in the author's code stands beside the rule.
pub(super) fn does_not_load(field: &str, error: &CompileError) -> Problem {
    let problem = Problem::validation(vec![FieldError::new(field, error.to_string())]);
    let place = [("line", error.line), ("column", error.column)];
    place.into_iter().fold(problem, |problem, (name, number)| match number {
        Some(number) => problem.with_member(name, number.into()),
        None => problem,
    })
}

/// Shortens what a person wrote about a change, and refuses what cannot be kept.
fn note(note: Option<String>) -> Result<String, Problem> {
    const MOST: usize = 1_024;
    let note = note.unwrap_or_default();
    if note.chars().count() > MOST || note.contains('\0') {
        let rule = format!("must not be longer than {MOST} characters or contain NUL (U+0000)");
        return Err(Problem::validation(vec![FieldError::new("note", rule)]));
    }
    Ok(note)
}
