//! `/stores`.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ApiState, Endpoint, PREFIX};
use crate::domain::ids::StoreId;
use crate::http::auth::{Owner, Viewer};
use crate::http::path::Path;
use crate::http::{Authorized, JsonBody, List, Page, Problem};
use crate::storage::stores::{self, Store};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/stores", list),
        Endpoint::post("/stores", create),
        Endpoint::get("/stores/{store}", show),
    ]
}

/// A store on the wire.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreView {
    id: StoreId,
    name: String,
    created_at: DateTime<Utc>,
}

impl From<Store> for StoreView {
    fn from(store: Store) -> Self {
        Self { id: store.id, name: store.name, created_at: store.created_at }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewStore {
    name: String,
}

async fn create(
    _: Authorized<Owner>,
    state: web::Data<ApiState>,
    JsonBody(new): JsonBody<NewStore>,
) -> Result<HttpResponse, Problem> {
    let store = state.run(move |connection| stores::create(connection, &new.name)).await?;
    let location = format!("{PREFIX}/stores/{}", store.id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(StoreView::from(store)))
}

async fn list(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    page: Page,
) -> Result<web::Json<List<StoreView>>, Problem> {
    let (after, fetch) = (page.after_id()?, page.fetch());
    let rows = state.run(move |connection| stores::list(connection, after, fetch)).await?;
    Ok(web::Json(page.list(rows, |store| store.id.to_string())))
}

async fn show(
    _: Authorized<Viewer>,
    state: web::Data<ApiState>,
    Path(store): Path<String>,
) -> Result<web::Json<StoreView>, Problem> {
    let store = state.run(move |connection| stores::find(connection, &store)).await?;
    Ok(web::Json(store.into()))
}
