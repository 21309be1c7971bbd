//! What an editor asks about packages, on behalf of whoever writes logic.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::{Endpoint, EngineState};
use crate::http::auth::Editor;
use crate::http::query::Query;
use crate::http::{Authorized, Kind, Problem};
use crate::logic::PackageError;

/// Most packages that a search answers with.
const MOST: usize = 20;

/// The endpoints of this file.
pub fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/packages", search), Endpoint::get("/packages/versions", versions)]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    query: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionsQuery {
    name: String,
}

async fn search(
    _: Authorized<Editor>,
    engine: web::Data<EngineState>,
    Query(query): Query<SearchQuery>,
) -> Result<HttpResponse, Problem> {
    let words = query.query.trim();
    if words.is_empty() || words.len() > 200 {
        return Err(Problem::parameter("query", "must have 1 to 200 characters"));
    }
    let items =
        engine.workshop.packages().search(words, MOST).await.map_err(|error| problem("query", error))?;
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": null })))
}

async fn versions(
    _: Authorized<Editor>,
    engine: web::Data<EngineState>,
    Query(query): Query<VersionsQuery>,
) -> Result<HttpResponse, Problem> {
    let releases = engine.workshop.packages().releases(&query.name).await;
    let releases = releases.map_err(|error| problem("name", error))?;
    let missing =
        || Problem::new(Kind::NotFound, format!("there is no package `{}` in the registry", query.name));
    Ok(HttpResponse::Ok().json(json!({ "items": releases.ok_or_else(missing)?, "next": null })))
}

fn problem(parameter: &str, error: PackageError) -> Problem {
    match error {
        PackageError::Refused(errors) => {
            let rule = errors.into_iter().next().map(|error| error.rule).unwrap_or_default();
            Problem::parameter(parameter, rule)
        }
        PackageError::Off => Problem::new(Kind::State, error.to_string()),
        PackageError::Registry(_) | PackageError::Io(_) => Problem::new(Kind::Unavailable, error.to_string()),
    }
}
