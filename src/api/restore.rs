//! `/subjects/{id}/restore`: what was deleted lives again.

use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::subject_json::{AccountView, ContainerView};
use super::{ApiState, Endpoint};
use crate::domain::ids::SubjectId;
use crate::domain::subject::{Subject, SubjectKind};
use crate::http::auth::Editor;
use crate::http::etag::etag;
use crate::http::path::Id;
use crate::http::{Authorized, IfMatch, Problem};
use crate::storage::subjects;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::post("/subjects/{id}/restore", restore)]
}

/// A subject as its own resource shows it.
#[derive(Serialize)]
#[serde(untagged)]
enum SubjectView {
    Account(Box<AccountView>),
    Container(Box<ContainerView>),
}

impl From<Subject> for SubjectView {
    fn from(subject: Subject) -> Self {
        match subject.kind {
            SubjectKind::Account => Self::Account(Box::new(subject.into())),
            _ => Self::Container(Box::new(subject.into())),
        }
    }
}

async fn restore(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
    if_match: IfMatch,
) -> Result<HttpResponse, Problem> {
    let written = state.run(move |connection| subjects::restore(connection, id, if_match.versions())).await?;
    state.wake(&written.nudge);
    let tag = etag(written.subject.version);
    Ok(HttpResponse::Ok().insert_header(tag).json(SubjectView::from(written.subject)))
}
