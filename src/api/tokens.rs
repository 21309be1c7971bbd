//! `/tokens`: the bearer tokens of people and programs.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::subject_json::given;
use super::{ApiState, Endpoint, PREFIX};
use crate::domain::ids::TokenId;
use crate::domain::timestamp::Timestamp;
use crate::http::auth::{Owner, Viewer};
use crate::http::path::Id;
use crate::http::{Authorized, Caller, JsonBody, List, Page, Problem};
use crate::security::token::USUAL_LIFE;
use crate::security::{Role, Token};
use crate::storage::tokens::{self, Name, NewToken, TokenRecord};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/me", me),
        Endpoint::get("/tokens", list),
        Endpoint::post("/tokens", create),
        Endpoint::delete("/tokens/{id}", revoke),
    ]
}

/// A token on the wire, without its text.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenView {
    id: TokenId,
    name: String,
    role: Role,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    /// Only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl From<TokenRecord> for TokenView {
    fn from(record: TokenRecord) -> Self {
        Self {
            id: record.id,
            name: record.name,
            role: record.role,
            created_at: record.created_at,
            expires_at: record.expires_at,
            last_used_at: record.last_used_at,
            revoked_at: record.revoked_at,
            token: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenBody {
    name: String,
    role: Role,
    /// `null` for never; after the usual time when absent.
    #[serde(default, deserialize_with = "given")]
    expires_at: Option<Option<Timestamp>>,
}

/// Who the caller is, by the token that it presents.
async fn me(viewer: Authorized<Viewer>) -> HttpResponse {
    let Caller { token, name, role, .. } = viewer.caller;
    HttpResponse::Ok().json(json!({ "token": { "id": token, "name": name, "role": role } }))
}

async fn create(
    _: Authorized<Owner>,
    state: web::Data<ApiState>,
    JsonBody(body): JsonBody<TokenBody>,
) -> Result<HttpResponse, Problem> {
    let token = Token::generate();
    let new = NewToken {
        name: Name::Given(body.name),
        role: body.role,
        hash: token.hash(),
        expires_at: match body.expires_at {
            Some(given) => given.map(|Timestamp(time)| time),
            None => Some(Utc::now() + USUAL_LIFE),
        },
    };
    let record = state.run(move |connection| tokens::create(connection, &new, Utc::now())).await?;
    let location = format!("{PREFIX}/tokens/{}", record.id);
    let view = TokenView { token: Some(token.expose().to_owned()), ..record.into() };
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, location))
        .insert_header(("Cache-Control", "no-store"))
        .json(view))
}

async fn list(
    _: Authorized<Owner>,
    state: web::Data<ApiState>,
    page: Page,
) -> Result<web::Json<List<TokenView>>, Problem> {
    let (after, fetch) = (page.after_id()?, page.fetch());
    let rows = state.run(move |connection| tokens::list(connection, after, fetch)).await?;
    Ok(web::Json(page.list(rows, |token| token.id.to_string())))
}

async fn revoke(
    _: Authorized<Owner>,
    state: web::Data<ApiState>,
    Id(id): Id<TokenId>,
) -> Result<HttpResponse, Problem> {
    state.run(move |connection| tokens::revoke(connection, id, Utc::now())).await?;
    Ok(HttpResponse::NoContent().finish())
}
