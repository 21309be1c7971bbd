//! What a filter would select, and what may be wrong about it.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};

use super::Endpoint;
use crate::api::subject_json::AccountView;
use crate::api::turns::Reads;
use crate::domain::filter::Filter;
use crate::domain::filter::doubts::Doubt;
use crate::domain::ids::{StoreId, TargetId};
use crate::domain::subject::FieldError;
use crate::http::auth::Viewer;
use crate::http::path::Id;
use crate::http::{Authorized, JsonBody, Problem};
use crate::storage::{Connection, doubts, preview, targets};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::post("/targets/{id}/filter/preview", preview_filter)]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviewBody {
    /// The saved filter when absent.
    filter: Option<String>,
}

/// What is most likely a mistake, and no error.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WarningView {
    code: &'static str,
    detail: String,
}

/// What may be wrong about a filter that is looked at only now.
pub(super) fn warnings_of_now(
    connection: &mut Connection,
    store: StoreId,
    filter: &str,
) -> Result<Vec<WarningView>, Problem> {
    let mut warnings = warnings(connection, store, filter)?;
    warnings.retain(|warning| warning.code != Doubt::Clock.code());
    Ok(warnings)
}

/// What may be wrong about a filter, by the accounts of the store.
pub(super) fn warnings(
    connection: &mut Connection,
    store: StoreId,
    filter: &str,
) -> Result<Vec<WarningView>, Problem> {
    let filter = parse(filter)?;
    let sample = doubts::sample(connection, store, &filter)?;
    let doubts = filter.doubts(&sample);
    let view = |doubt: &Doubt| WarningView { code: doubt.code(), detail: doubt.sentence(&sample) };
    Ok(doubts.iter().map(view).collect())
}

fn parse(filter: &str) -> Result<Filter, Problem> {
    Filter::parse(filter)
        .map_err(|error| Problem::validation(vec![FieldError::new("filter", error.to_string())]))
}

async fn preview_filter(
    _: Authorized<Viewer>,
    reads: Reads,
    Id(id): Id<TargetId>,
    JsonBody(body): JsonBody<PreviewBody>,
) -> Result<HttpResponse, Problem> {
    let wanted = body.filter;
    let (preview, warnings) = reads
        .run(move |connection| {
            let target = targets::find(connection, id)?;
            let source = wanted.unwrap_or(target.settings.filter);
            let warnings = warnings(connection, target.store, &source)?;
            let preview = preview::preview(connection, target.store, id, &parse(&source)?)?;
            Ok::<_, Problem>((preview, warnings))
        })
        .await?;
    let sample: Vec<_> = preview.sample.into_iter().map(AccountView::from).collect();
    Ok(HttpResponse::Ok().json(serde_json::json!({
        "total": preview.total,
        "entering": preview.entering,
        "leaving": preview.leaving,
        "judged": preview.judged,
        "margin": preview.margin,
        "sample": sample,
        "warnings": warnings,
    })))
}
