//! Keyset pages: `{"items": […], "next": cursor|null}`.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Problem;
use super::query::Query;
use crate::storage::Measured;

/// Items on a page when the caller does not say.
const DEFAULT_LIMIT: i64 = 50;
/// Most items on a page.
const MAX_LIMIT: i64 = 500;

/// Which page a caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Most items, 1–500.
    pub limit: i64,
    /// The key after which the page begins; `None` on the first one.
    pub after: Option<String>,
}

/// What is on a page whose items are not fetched yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The items.
    pub items: Vec<Measured>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

/// A page of a list.
#[derive(Debug, Clone, Serialize)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    limit: Option<String>,
    cursor: Option<String>,
}

impl FromRequest for Page {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let query = Query::<Parameters>::from_request(request, payload).into_inner();
        std::future::ready(
            query.and_then(|Query(query)| Self::read(query.limit.as_deref(), query.cursor.as_deref())),
        )
    }
}

impl Page {
    /// Reads the parameters `limit` and `cursor`.
    ///
    /// # Errors
    /// A 400 that names the parameter.
    pub fn read(limit: Option<&str>, cursor: Option<&str>) -> Result<Self, Problem> {
        let limit = match limit {
            None => DEFAULT_LIMIT,
            Some(text) => {
                text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
                    Problem::parameter("limit", format!("must lie between 1 and {MAX_LIMIT}"))
                })?
            }
        };
        Ok(Self { limit, after: cursor.map(decode).transpose()? })
    }

    /// The id after which the page begins, 0 on the first one.
    ///
    /// # Errors
    /// A 400 when the cursor is one of another list.
    pub fn after_id(&self) -> Result<i64, Problem> {
        match &self.after {
            None => Ok(0),
            Some(key) => key.parse().ok().filter(|id| *id > 0).ok_or_else(bad_cursor),
        }
    }

    /// The same page with no more than so many rows.
    pub fn at_most(self, rows: i64) -> Self {
        Self { limit: self.limit.min(rows), ..self }
    }

    /// One more than the limit: what to fetch in order to see whether there is
    /// a next page.
    pub const fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// What of the rows found, one more than the page has, is on it.
    pub fn found(&self, rows: Vec<Measured>) -> Found {
        let List { items, next } = self.list(rows, |row| row.id.to_string());
        Found { items, next }
    }

    /// Makes the answer of what was fetched; `key` is what the page after an
    /// item begins behind.
    pub fn list<T, V: From<T>>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> String) -> List<V> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| URL_SAFE_NO_PAD.encode(key(row)));
        List { items: rows.into_iter().map(V::from).collect(), next }
    }
}

fn decode(cursor: &str) -> Result<String, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad_cursor())?;
    String::from_utf8(bytes).ok().filter(|key| !key.is_empty() && !key.contains('\0')).ok_or_else(bad_cursor)
}

fn bad_cursor() -> Problem {
    Problem::parameter("cursor", "must be the `next` of an earlier page of the same list")
}
