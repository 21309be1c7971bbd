//! The execution log.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::ApiState;
use crate::domain::ids::{RunId, SubjectId, TargetId};
use crate::domain::status::ProvisionStatus;
use crate::http::{Authorized, Page, Path, Problem, Query, Viewer};
use crate::storage::runs::{self, Run, RunQuery};
use crate::storage::{Pool, targets};

/// The routes of the execution log, under `/api/v1`.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/targets/{id}/runs").route(web::get().to(list)))
        .service(web::resource("/runs/{id}").route(web::get().to(show)));
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
}

impl RunView {
    fn of(run: Run) -> Self {
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
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filters {
    account: Option<SubjectId>,
    status: Option<ProvisionStatus>,
    since: Option<DateTime<Utc>>,
    limit: Option<String>,
    cursor: Option<String>,
}

async fn list(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    id: Path<TargetId>,
    filters: Query<Filters>,
) -> Result<HttpResponse, Problem> {
    let (id, filters) = (id.into_inner(), filters.into_inner());
    let page = Page::read(filters.limit.as_deref(), filters.cursor.as_deref())?;
    let query = RunQuery {
        subject: filters.account,
        status: filters.status,
        since: filters.since,
        before: page.after,
    };
    let mut found = state
        .db
        .run(Pool::Api, move |connection| {
            targets::find(connection, id)?;
            Ok::<_, Problem>(runs::list(connection, id, &query, page.limit + 1)?)
        })
        .await?;
    let next = page.cut(&mut found, |run| run.id);
    let items: Vec<_> = found.into_iter().map(RunView::of).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": next })))
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    id: Path<RunId>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let run = state.db.run(Pool::Api, move |connection| runs::find(connection, id)).await?;
    let run = run.ok_or_else(|| Problem::not_found("there is no such run; the log may have been cut"))?;
    Ok(HttpResponse::Ok().json(RunView::of(run)))
}
