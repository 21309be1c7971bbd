//! Failures that nothing will retry, in groups, and retrying them.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::preview::warnings_of_now;
use super::{ApiState, Endpoint, EngineState};
use crate::api::sweeps::SweepView;
use crate::api::turns::Reads;
use crate::domain::filter::Filter;
use crate::domain::ids::{SubjectId, TargetId};
use crate::domain::subject::FieldError;
use crate::domain::timestamp::Timestamp;
use crate::http::auth::{Operator, Viewer};
use crate::http::path::Id;
use crate::http::query::Query;
use crate::http::{Authorized, JsonBody, Kind, List, Page, Problem};
use crate::storage::dead_letters::{self, Group, Letter};
use crate::storage::sweeps::dead::{self, Selection};
use crate::storage::targets;

/// Most accounts that one request may name.
const MOST_ACCOUNTS: usize = 10_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/targets/{id}/deadletters", list),
        Endpoint::post("/targets/{id}/deadletters/retry", retry),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupView {
    fingerprint: String,
    error_class: Option<String>,
    /// The message of the newest of them.
    message: String,
    count: i64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        let Group { fingerprint, error_class, message, count, first_at, last_at } = group;
        Self { fingerprint, error_class, message, count, first_at, last_at }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LetterView {
    account_id: SubjectId,
    user_name: Option<String>,
    display_name: Option<String>,
    error_class: Option<String>,
    message: String,
    at: DateTime<Utc>,
}

impl From<Letter> for LetterView {
    fn from(letter: Letter) -> Self {
        let Letter { subject_id, user_name, display_name, message, error_class, at } = letter;
        Self { account_id: SubjectId(subject_id), user_name, display_name, error_class, message, at }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    fingerprint: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// The groups; with a fingerprint, a page of the accounts of one.
async fn list(
    _: Authorized<Viewer>,
    reads: Reads,
    Id(id): Id<TargetId>,
    Query(wanted): Query<Wanted>,
) -> Result<HttpResponse, Problem> {
    let page = Page::read(wanted.limit.as_deref(), wanted.cursor.as_deref())?;
    let Some(fingerprint) = wanted.fingerprint else { return groups(&reads, id).await };
    let (after, fetch) = (page.after_id()?, page.fetch());
    let letters = reads
        .run(move |connection| {
            targets::find(connection, id)?;
            Ok::<_, Problem>(dead_letters::page(connection, id, &fingerprint, after, fetch)?)
        })
        .await?;
    let list: List<LetterView> = page.list(letters, |letter| letter.subject_id.to_string());
    Ok(HttpResponse::Ok().json(list))
}

async fn groups(reads: &Reads, id: TargetId) -> Result<HttpResponse, Problem> {
    let groups = reads
        .run(move |connection| {
            targets::find(connection, id)?;
            Ok::<_, Problem>(dead_letters::groups(connection, id)?)
        })
        .await?;
    let items: Vec<GroupView> = groups.into_iter().map(GroupView::from).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": null })))
}

/// What to retry: those that meet every condition, or all.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RetryBody {
    fingerprint: Option<String>,
    accounts: Option<Vec<SubjectId>>,
    filter: Option<String>,
    since: Option<Timestamp>,
    all: bool,
}

impl RetryBody {
    fn read(self) -> Result<Selection, Problem> {
        let Self { fingerprint, accounts, filter, since, all } = self;
        let since = since.map(|Timestamp(time)| time);
        let selection = Selection { fingerprint, subjects: accounts, filter, since };
        let errors = errors(&selection, all);
        if errors.is_empty() { Ok(selection) } else { Err(Problem::validation(errors)) }
    }
}

fn errors(wanted: &Selection, all: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if all == (*wanted != Selection::default()) {
        let rule = "must be true, and alone, unless `fingerprint`, `accounts`, `filter` or `since` is given";
        errors.push(FieldError::new("all", rule));
    }
    if let Some(Err(error)) = wanted.filter.as_deref().map(Filter::parse) {
        errors.push(FieldError::new("filter", error.to_string()));
    }
    if wanted.subjects.as_ref().is_some_and(|ids| ids.is_empty() || ids.len() > MOST_ACCOUNTS) {
        errors.push(FieldError::new("accounts", "must name 1 to 10,000 accounts"));
    }
    if wanted.fingerprint.as_ref().is_some_and(|text| text.len() > 64 || text.contains('\0')) {
        errors.push(FieldError::new("fingerprint", "must be that of a group of dead letters"));
    }
    errors
}

/// Makes dead letters due again, in chunks, as a sweep.
async fn retry(
    _: Authorized<Operator>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
    JsonBody(body): JsonBody<RetryBody>,
) -> Result<HttpResponse, Problem> {
    let selection = body.read()?;
    let (sweep, warnings) = state
        .run(move |connection| {
            let target = targets::find(connection, id)?;
            if !target.settings.is_served() {
                return Err(Problem::new(Kind::State, "the target is not enabled: enable it, then retry"));
            }
            let filter = selection.filter.as_deref().unwrap_or_default();
            let warnings = warnings_of_now(connection, target.store, filter)?;
            Ok((dead::start(connection, &target, &selection)?, warnings))
        })
        .await?;
    engine.engine.sweep(id);
    let count = sweep.total;
    let sweep = SweepView::new(&sweep);
    Ok(HttpResponse::Accepted().json(json!({ "count": count, "sweep": sweep, "warnings": warnings })))
}
