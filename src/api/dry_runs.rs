//! What was tried: who did it, with which code, and whom it talked to.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{ApiState, Endpoint};
use crate::domain::ids::{DryRunId, SubjectId, TargetId, TokenId};
use crate::http::auth::Viewer;
use crate::http::path::Id;
use crate::http::{Authorized, Kind, List, Page, Problem};
use crate::storage::dry_runs::{self, DryRun};
use crate::storage::targets;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/targets/{id}/dry-runs", list), Endpoint::get("/dry-runs/{id}", show)]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DryRunView {
    id: DryRunId,
    target_id: TargetId,
    kind: String,
    state: String,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    token_id: Option<TokenId>,
    token_name: String,
    /// `draft`, `unsaved` or the number of a version.
    logic: Value,
    code_hash: String,
    account_id: Option<SubjectId>,
    run_id: Option<String>,
    runs: i64,
    hosts: Vec<String>,
    exchange_count: i64,
    /// Only of one that is looked at by itself, as are the exchanges.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchanges: Option<Value>,
}

impl From<DryRun> for DryRunView {
    fn from(row: DryRun) -> Self {
        Self {
            id: DryRunId(row.id),
            target_id: TargetId(row.target_id),
            kind: row.kind,
            state: row.state,
            started_at: row.started_at,
            finished_at: row.finished_at,
            token_id: row.token_id.map(TokenId),
            token_name: row.token_name,
            logic: row.logic.parse::<i32>().map_or(Value::String(row.logic), Value::from),
            code_hash: row.code_hash,
            account_id: row.subject_id.map(SubjectId),
            run_id: row.run_id,
            runs: row.runs,
            hosts: row.hosts.into_iter().flatten().collect(),
            exchange_count: row.exchange_count,
            code: None,
            exchanges: None,
        }
    }
}

async fn list(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<TargetId>,
    page: Page,
) -> Result<web::Json<List<DryRunView>>, Problem> {
    let (after, fetch) = (page.after_id()?, page.fetch());
    let found = state.run(move |connection| {
        targets::find(connection, id)?;
        Ok::<_, Problem>(dry_runs::list(connection, id, (after > 0).then_some(after), fetch)?)
    });
    Ok(web::Json(page.list(found.await?, |row| row.id.to_string())))
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Id(id): Id<DryRunId>,
) -> Result<HttpResponse, Problem> {
    let found = state.run(move |connection| dry_runs::find(connection, id)).await?;
    let gone = || Problem::new(Kind::NotFound, "there is no such dry run; the log may have been cut");
    let (row, code, exchanges) = found.ok_or_else(gone)?;
    let view = DryRunView { code: Some(code), exchanges: Some(exchanges), ..DryRunView::from(row) };
    Ok(HttpResponse::Ok().json(view))
}
