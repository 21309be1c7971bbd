//! Removals that wait for a person: what they are, and the person's word.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ApiState, Endpoint};
use crate::domain::ids::{HeldId, SubjectId, TargetId, TokenId};
use crate::domain::subject::FieldError;
use crate::http::auth::{Caller, Operator, Viewer};
use crate::http::json::BadJsonText;
use crate::http::path::Id;
use crate::http::query::Query;
use crate::http::{Authorized, Kind, List, Page, Problem, json};
use crate::storage::held::{self, HeldError, Lot, LotState, Member, Word};
use crate::storage::{Connection, DbError, targets};

/// Accounts that a lot shows.
const SAMPLE: i64 = 20;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/targets/{id}/held", list),
        Endpoint::get("/held/{id}", show),
        Endpoint::post("/held/{id}/approve", approve),
        Endpoint::post("/held/{id}/reject", reject),
    ]
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HeldView {
    id: HeldId,
    target_id: TargetId,
    state: String,
    /// One sentence.
    reason: String,
    trigger: String,
    /// How many were held in all.
    count: i64,
    /// How many still are.
    waiting: i64,
    /// What the target held at that time.
    of_present: i64,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    decided_by: Option<String>,
    decided_by_token_id: Option<TokenId>,
    decided_by_address: Option<String>,
    decided_at: Option<DateTime<Utc>>,
    /// Some of those that wait.
    sample: Vec<MemberView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberView {
    id: SubjectId,
    user_name: Option<String>,
    remote_id: Option<String>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self { id: SubjectId(member.id), user_name: member.user_name, remote_id: member.remote_id }
    }
}

fn view(connection: &mut Connection, lot: Lot) -> Result<HeldView, DbError> {
    let sample = held::sample(connection, HeldId(lot.id), SAMPLE)?;
    Ok(HeldView {
        id: HeldId(lot.id),
        target_id: TargetId(lot.target_id),
        reason: lot.reason(),
        state: lot.state,
        trigger: lot.trigger,
        count: lot.count,
        waiting: lot.waiting,
        of_present: lot.present,
        created_at: lot.created_at,
        expires_at: lot.expires_at,
        decided_by: lot.decided_by,
        decided_by_token_id: lot.decided_by_token.map(TokenId),
        decided_by_address: lot.decided_by_address,
        decided_at: lot.decided_at,
        sample: sample.into_iter().map(MemberView::from).collect(),
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filters {
    /// `open` when absent.
    state: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// The state asked for, `None` for all.
fn wanted(state: Option<&str>) -> Result<Option<LotState>, Problem> {
    match state {
        None => Ok(Some(LotState::Open)),
        Some("all") => Ok(None),
        Some(word) => word
            .parse()
            .map(Some)
            .map_err(|error| Problem::parameter("state", format!("must be `all` or a state: {error}"))),
    }
}

async fn list(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<TargetId>,
    Query(filters): Query<Filters>,
) -> Result<web::Json<List<HeldView>>, Problem> {
    let page = Page::read(filters.limit.as_deref(), filters.cursor.as_deref())?;
    let (after, fetch) = (page.after_id()?, page.fetch());
    let before = (after > 0).then_some(HeldId(after));
    let wanted = wanted(filters.state.as_deref())?;
    let views = state
        .run(move |connection| {
            targets::find(connection, id)?;
            let lots = held::list(connection, id, wanted, before, fetch)?;
            let views: Result<Vec<_>, _> = lots.into_iter().map(|lot| view(connection, lot)).collect();
            Ok::<_, Problem>(views?)
        })
        .await?;
    Ok(web::Json(page.list(views, |view: &HeldView| view.id.to_string())))
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<HeldId>,
) -> Result<web::Json<HeldView>, Problem> {
    let view = state
        .run(move |connection| {
            let lot = held::find(connection, id)?;
            Ok::<_, Problem>(view(connection, lot)?)
        })
        .await?;
    Ok(web::Json(view))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Seen {
    /// The `count` that the caller has seen.
    count: Option<i64>,
}

/// The body, which may be left out.
fn seen(body: &[u8]) -> Result<Option<i64>, Problem> {
    if body.is_empty() {
        return Ok(None);
    }
    let seen: Seen = json::read(body).map_err(|error| match error {
        BadJsonText::Syntax(_) => Problem::new(Kind::Malformed, error.to_string()),
        BadJsonText::Rule(error) => Problem::validation(vec![error]),
    })?;
    if seen.count.is_some_and(|count| count < 0) {
        return Err(Problem::validation(vec![FieldError::new("count", "must not be negative")]));
    }
    Ok(seen.count)
}

async fn decide(
    state: &ApiState,
    caller: Caller,
    id: HeldId,
    approved: bool,
    body: &[u8],
) -> Result<HttpResponse, Problem> {
    let word = Word { approved, by: caller.who(), seen: seen(body)? };
    let view = state
        .change(move |connection| {
            let lot = held::find(connection, id)?;
            let target = targets::find(connection, TargetId(lot.target_id))?;
            let lot = held::decide(connection, target.store, id, &word)?;
            Ok::<_, Problem>(view(connection, lot)?)
        })
        .await?;
    state.wake(&[view.target_id]);
    Ok(HttpResponse::Ok().json(view))
}

/// Lets the removals run.
async fn approve(
    operator: Authorized<Operator>,
    state: web::Data<ApiState>,
    Id(id): Id<HeldId>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    decide(&state, operator.caller, id, true, &body).await
}

/// Leaves the accounts where they are, until something about them changes.
async fn reject(
    operator: Authorized<Operator>,
    state: web::Data<ApiState>,
    Id(id): Id<HeldId>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    decide(&state, operator.caller, id, false, &body).await
}

impl From<HeldError> for Problem {
    fn from(error: HeldError) -> Self {
        match error {
            HeldError::NotFound => Self::new(Kind::NotFound, error.to_string()),
            HeldError::Decided(_) | HeldError::Grown(_) => Self::new(Kind::State, error.to_string()),
            HeldError::Db(error) => error.into(),
        }
    }
}
