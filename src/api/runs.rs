//! The execution log.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::turns::Reads;
use super::{ApiState, Endpoint, long_list};
use crate::domain::ids::{RunId, SubjectId, TargetId};
use crate::domain::status::ProvisionStatus;
use crate::domain::timestamp::Timestamp;
use crate::http::auth::Viewer;
use crate::http::path::Id;
use crate::http::query::Query;
use crate::http::{Authorized, Kind, Page, Problem};
use crate::storage::runs::{self, Run, RunQuery};
use crate::storage::{Connection, Measured, replays, targets};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/targets/{id}/runs", list), Endpoint::get("/runs/{id}", show)]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunView {
    id: RunId,
    target_id: TargetId,
    subject_id: SubjectId,
    subject_version: i64,
    reason: String,
    trigger: String,
    attempt: i32,
    status_before: String,
    status: String,
    error_class: Option<String>,
    message: String,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    duration_ms: i64,
    logic_version: i32,
    log: Value,
    exchanges: Value,
    /// Only of a run that is looked at by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayable: Option<bool>,
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        let target_id = TargetId(run.target_id);
        Self {
            id: RunId { target: target_id, number: run.id },
            target_id,
            subject_id: SubjectId(run.subject_id),
            subject_version: run.subject_version,
            reason: run.reason,
            trigger: run.trigger,
            attempt: run.attempt,
            status_before: run.status_before,
            status: run.status,
            error_class: run.error_class,
            message: run.message,
            duration_ms: (run.finished_at - run.started_at).num_milliseconds(),
            started_at: run.started_at,
            finished_at: run.finished_at,
            logic_version: run.logic_version,
            log: run.log,
            exchanges: run.exchanges,
            replayable: None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filters {
    account: Option<SubjectId>,
    status: Option<ProvisionStatus>,
    since: Option<Timestamp>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// Bytes of lines and exchanges on a page: one with long exchanges has fewer runs
/// than were asked for.
const MOST_BYTES: i64 = 8 << 20;

async fn list(
    _: Authorized<Viewer>,
    reads: Reads,
    Id(id): Id<TargetId>,
    Query(filters): Query<Filters>,
) -> Result<HttpResponse, Problem> {
    let page = Page::read(filters.limit.as_deref(), filters.cursor.as_deref())?;
    let after = page.after_id()?;
    let query = RunQuery {
        subject: filters.account,
        status: filters.status,
        since: filters.since.map(|Timestamp(time)| time),
        before: (after > 0).then_some(after),
    };
    let find = move |connection: &mut Connection| {
        targets::find(connection, id)?;
        let rows = runs::sizes(connection, id, &query, page.fetch())?;
        let fitting = fitting(&rows);
        Ok(page.at_most(fitting).found(rows))
    };
    let fetch = move |connection: &mut Connection, numbers: &[i64]| {
        Ok(runs::load(connection, id, numbers)?.into_iter().map(RunView::from).collect())
    };
    long_list::answer::<RunView>(reads, find, fetch).await
}

/// How many runs, of which the first counts in any case, come to no more than a
/// page may have.
fn fitting(rows: &[Measured]) -> i64 {
    let mut left = MOST_BYTES;
    let fits = |row: &&Measured| {
        left -= row.size;
        left >= 0
    };
    i64::try_from(rows.iter().take_while(fits).count()).unwrap_or(i64::MAX).max(1)
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<RunId>,
) -> Result<HttpResponse, Problem> {
    let found = state.run(move |connection| {
        let run = find(connection, id)?;
        let replayable = replays::is_kept(connection, &run)?;
        Ok::<_, Problem>(RunView { replayable: Some(replayable), ..RunView::from(run) })
    });
    Ok(HttpResponse::Ok().json(found.await?))
}

/// A run, unless the log was cut.
pub(super) fn find(connection: &mut Connection, id: RunId) -> Result<Run, Problem> {
    let run = runs::find(connection, id)?;
    run.ok_or_else(|| Problem::new(Kind::NotFound, "there is no such run; the log may have been cut"))
}
