//! `/stores/{store}/accounts` and `/accounts/{id}`.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use chrono::Utc;
use serde::Deserialize;

use super::subject_json::{AccountBody, AccountPatch, AccountView, life};
use super::turns::Reads;
use super::{ApiState, Endpoint, PREFIX, long_list};
use crate::domain::filter::Filter;
use crate::domain::ids::SubjectId;
use crate::domain::subject::{Subject, SubjectDraft, SubjectKind};
use crate::http::auth::{Editor, Viewer};
use crate::http::etag::etag;
use crate::http::path::{Id, Path};
use crate::http::query::Query;
use crate::http::{Authorized, IfMatch, JsonBody, Page, Problem};
use crate::storage::subject_list::{self, Wanted};
use crate::storage::subjects::{self, SubjectPatch};
use crate::storage::{Connection, stores};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/stores/{store}/accounts", list),
        Endpoint::post("/stores/{store}/accounts", create),
        Endpoint::get("/accounts/{id}", show),
        Endpoint::put("/accounts/{id}", replace),
        Endpoint::patch("/accounts/{id}", patch),
        Endpoint::delete("/accounts/{id}", delete),
    ]
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
    filter: Option<String>,
    user_name: Option<String>,
    external_id: Option<String>,
    deleted: Option<String>,
}

impl ListQuery {
    fn wanted(self) -> Result<Wanted, Problem> {
        let filter = self.filter.as_deref().map(Filter::parse).transpose();
        let filter = filter.map_err(|error| Problem::parameter("filter", format!("is wrong: {error}")))?;
        Ok(Wanted {
            kind: SubjectKind::Account,
            user_name: self.user_name,
            external_id: self.external_id,
            filter,
            life: life(self.deleted.as_deref())?,
        })
    }
}

async fn list(
    _: Authorized<Viewer>,
    reads: Reads,
    Path(store): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<HttpResponse, Problem> {
    let page = Page::read(query.limit.as_deref(), query.cursor.as_deref())?;
    let (after, wanted) = (page.after_id()?, query.wanted()?);
    let life = wanted.life;
    let find = move |connection: &mut Connection| {
        let store = stores::find(connection, &store)?;
        let rows = subject_list::sizes(connection, store.id, &wanted, after, page.fetch(), Utc::now())?;
        Ok(page.found(rows))
    };
    let fetch = move |connection: &mut Connection, ids: &[i64]| {
        Ok(subject_list::load(connection, ids, life)?.into_iter().map(AccountView::from).collect())
    };
    long_list::answer::<AccountView>(reads, find, fetch).await
}

async fn create(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Path(store): Path<String>,
    JsonBody(body): JsonBody<AccountBody>,
) -> Result<HttpResponse, Problem> {
    let claimed = body.claimed();
    if !claimed.is_empty() {
        return Err(Problem::validation(claimed));
    }
    let draft = SubjectDraft::from(body);
    let written = state
        .run(move |connection| {
            let store = stores::find(connection, &store)?;
            Ok::<_, Problem>(subjects::create(connection, store.id, SubjectKind::Account, draft)?)
        })
        .await?;
    state.wake(&written.nudge);
    let location = format!("{PREFIX}/accounts/{}", written.subject.id);
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .insert_header(etag(written.subject.version))
        .json(AccountView::from(written.subject)))
}

fn answer(subject: Subject) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag(subject.version)).json(AccountView::from(subject))
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
) -> Result<HttpResponse, Problem> {
    let subject = state.run(move |connection| subjects::find(connection, SubjectKind::Account, id)).await?;
    Ok(answer(subject))
}

async fn replace(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<AccountBody>,
) -> Result<HttpResponse, Problem> {
    let draft = SubjectDraft::from(body);
    let written = state
        .run(move |connection| {
            subjects::replace(connection, SubjectKind::Account, id, draft, if_match.versions())
        })
        .await?;
    state.wake(&written.nudge);
    Ok(answer(written.subject))
}

async fn patch(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
    if_match: IfMatch,
    JsonBody(body): JsonBody<AccountPatch>,
) -> Result<HttpResponse, Problem> {
    let patch = SubjectPatch::from(body);
    let written = state
        .run(move |connection| {
            subjects::patch(connection, SubjectKind::Account, id, &patch, if_match.versions())
        })
        .await?;
    state.wake(&written.nudge);
    Ok(answer(written.subject))
}

async fn delete(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Id(id): Id<SubjectId>,
    if_match: IfMatch,
) -> Result<HttpResponse, Problem> {
    let written = state
        .run(move |connection| subjects::delete(connection, SubjectKind::Account, id, if_match.versions()))
        .await?;
    state.wake(&written.nudge);
    Ok(HttpResponse::NoContent().finish())
}
