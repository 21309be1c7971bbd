//! `/openapi.json`: the description of this API. It is written by hand; a test
//! holds it against the route table.

use actix_web::HttpResponse;

use super::Endpoint;
use crate::http::Authorized;
use crate::http::auth::Viewer;

/// The document as it is served.
pub const DOCUMENT: &str = include_str!("../../docs/openapi.json");

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::get("/openapi.json", show)]
}

async fn show(_: Authorized<Viewer>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(DOCUMENT)
}
