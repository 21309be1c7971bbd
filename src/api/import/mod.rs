//! `/stores/{store}/import`: JSON lines of any size, in bounded memory. The
//! next bytes are read when the batch before is written, so that a slow
//! database slows the sender down and nothing piles up.

mod lines;
mod session;
mod set_aside;
mod summary;
mod understand;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use serde::Deserialize;

use self::lines::{Lines, RawLine};
use self::session::Session;
use self::set_aside::SetAside;
use super::{ApiLimits, ApiState, Endpoint};
use crate::http::auth::Editor;
use crate::http::path::Path;
use crate::http::query;
use crate::http::{Authorized, Problem, media};
use crate::storage::stores;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::post("/stores/{store}/import", import)]
}

/// What JSON lines may be labelled.
const MEDIA_TYPES: &[&str] =
    &["application/x-ndjson", "application/jsonl", "application/json-lines", "application/octet-stream"];

/// Bytes of lines after which a batch is written, however few these are.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImportQuery {
    #[serde(default)]
    delete_missing: bool,
    #[serde(default)]
    confirm_deletions: bool,
}

async fn import(
    _: Authorized<Editor>,
    state: web::Data<ApiState>,
    Path(store): Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (named, rest) = query::take(request.query_string(), &[set_aside::LINE, set_aside::KEY])?;
    let (query, set_aside) = (query::read::<ImportQuery>(&rest)?, SetAside::read(named)?);
    media::expect(&request, MEDIA_TYPES)?;
    let store = state.run(move |connection| stores::find(connection, &store)).await?;
    let mut session = Session::begin(state.clone(), store.id, set_aside).await?;
    read(&mut session, payload, &state.limits).await?;
    if query.delete_missing {
        session.finish_and_delete(query.confirm_deletions).await?;
    } else {
        session.finish().await?;
    }
    Ok(HttpResponse::Ok().json(session.summary()))
}

/// Imports the whole stream. A stream that breaks off is an error: what was
/// read is written, nothing is deleted.
async fn read(session: &mut Session, mut payload: web::Payload, limits: &ApiLimits) -> Result<(), Problem> {
    let mut lines = Lines::new(limits.import_line);
    let mut batch = Batch { most: limits.import_batch, ..Batch::default() };
    while let Some(bytes) = payload.next().await {
        for line in lines.push(&bytes?) {
            if let Some(full) = batch.add(line) {
                session.write(full).await?;
            }
        }
    }
    let mut rest = batch.take();
    rest.extend(lines.finish());
    session.write(rest).await
}

/// Lines that wait to be written together.
#[derive(Debug, Default)]
struct Batch {
    lines: Vec<RawLine>,
    bytes: usize,
    most: usize,
}

impl Batch {
    /// Adds a line; returns the batch when it is full.
    fn add(&mut self, line: RawLine) -> Option<Vec<RawLine>> {
        self.bytes += line.text.as_ref().map_or(0, bytes::Bytes::len);
        self.lines.push(line);
        (self.lines.len() >= self.most || self.bytes >= MAX_BATCH_BYTES).then(|| self.take())
    }

    fn take(&mut self) -> Vec<RawLine> {
        self.bytes = 0;
        std::mem::take(&mut self.lines)
    }
}
