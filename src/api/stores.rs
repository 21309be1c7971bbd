//! `/stores`.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::subject_json::given;
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
        Endpoint::patch("/stores/{store}", change),
    ]
}

/// A store on the wire.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreView {
    id: StoreId,
    name: String,
    restore_on_return: bool,
    created_at: DateTime<Utc>,
}

impl From<Store> for StoreView {
    fn from(store: Store) -> Self {
        let Store { id, name, created_at, restore_on_return } = store;
        Self { id, name, restore_on_return, created_at }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewStore {
    name: String,
    restore_on_return: Option<bool>,
}

/// A merge patch for a store; `null` stands for what a new one has.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct StorePatch {
    #[serde(default, deserialize_with = "given")]
    restore_on_return: Option<Option<bool>>,
}

async fn create(
    _: Authorized<Owner>,
    state: web::Data<ApiState>,
    JsonBody(new): JsonBody<NewStore>,
) -> Result<HttpResponse, Problem> {
    let create = move |connection: &mut _| {
        let store = stores::create(connection, &new.name)?;
        stores::change(connection, &store.id.to_string(), new.restore_on_return)
    };
    let store = state.change(create).await?;
    let location = format!("{PREFIX}/stores/{}", store.id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(StoreView::from(store)))
}

async fn change(
    _: Authorized<Owner>,
    state: web::Data<ApiState>,
    Path(store): Path<String>,
    JsonBody(patch): JsonBody<StorePatch>,
) -> Result<web::Json<StoreView>, Problem> {
    let restore_on_return = patch.restore_on_return.map(|given| given.unwrap_or(true));
    let store = state.run(move |connection| stores::change(connection, &store, restore_on_return)).await?;
    Ok(web::Json(store.into()))
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
