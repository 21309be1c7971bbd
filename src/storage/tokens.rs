//! API tokens. The table holds hashes only; nothing here sees a token's text.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text, Timestamptz};

use super::DbError;
use super::schema::tokens;
use crate::domain::ids::TokenId;
use crate::domain::subject::FieldError;
use crate::domain::visible::is_invisible;
use crate::security::Role;

/// Longest name of a token, in characters.
pub const MAX_TOKEN_NAME: usize = 100;

/// What the store knows of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id.
    pub id: TokenId,
    /// What it is for, said by a person.
    pub name: String,
    /// What its bearer may do.
    pub role: Role,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops to work.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was last presented, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When a person took it out of force.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Why a token was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenStoreError {
    /// There is no such token in force.
    #[error("there is no such token")]
    NotFound,
    /// A field breaks a rule.
    #[error("`{}` {}", .0.field, .0.rule)]
    Invalid(FieldError),
    /// A token in force has the name.
    #[error("a token in force is called `{0}`: revoke it, or choose another name")]
    NameTaken(String),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for TokenStoreError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    expires_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_used_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    revoked_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, name, role, created_at, expires_at, last_used_at, revoked_at";

impl Row {
    fn read(self) -> Result<TokenRecord, DbError> {
        Ok(TokenRecord {
            id: TokenId(self.id),
            name: self.name,
            role: self.role.parse().map_err(|error| DbError::Corrupt(format!("role of a token: {error}")))?,
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
            revoked_at: self.revoked_at,
        })
    }
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is called.
    pub name: Name,
    /// What its bearer may do.
    pub role: Role,
    /// Of its text.
    pub hash: [u8; 32],
    /// When it stops to work; `None` for never.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a token is called. What a token did is told by its name, so that no two
/// in force have the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// As somebody said.
    Given(String),
    /// Nobody said: with a number behind it when it is taken.
    Usual(&'static str),
}

/// Keeps the hash of a new token.
///
/// # Errors
/// [`TokenStoreError::Invalid`] for a bad name or a moment of expiry that is past,
/// [`TokenStoreError::NameTaken`].
pub fn create(
    connection: &mut PgConnection,
    new: &NewToken,
    now: DateTime<Utc>,
) -> Result<TokenRecord, TokenStoreError> {
    if let Name::Given(name) = &new.name
        && let Some(rule) = name_error(name)
    {
        return Err(TokenStoreError::Invalid(FieldError::new("name", rule)));
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(TokenStoreError::Invalid(FieldError::new("expiresAt", "must lie in the future")));
    }
    connection.transaction(|connection| {
        // Expiry frees a name, which no index can know.
        diesel::sql_query("SELECT pg_advisory_xact_lock(7005)").execute(connection)?;
        let name = free_name(connection, &new.name, now)?;
        let row: Row = diesel::sql_query(format!(
            "INSERT INTO tokens (name, role, hash, expires_at) VALUES ($1, $2, $3, $4) RETURNING {COLUMNS}"
        ))
        .bind::<Text, _>(name)
        .bind::<Text, _>(new.role.as_str())
        .bind::<Binary, _>(new.hash.as_slice())
        .bind::<Nullable<Timestamptz>, _>(new.expires_at)
        .get_result(connection)?;
        Ok(row.read()?)
    })
}

fn free_name(
    connection: &mut PgConnection,
    name: &Name,
    now: DateTime<Utc>,
) -> Result<String, TokenStoreError> {
    let usual = match name {
        Name::Given(name) if is_taken(connection, name, now)? => {
            return Err(TokenStoreError::NameTaken(name.clone()));
        }
        Name::Given(name) => return Ok(name.clone()),
        Name::Usual(name) => *name,
    };
    let mut name = usual.to_owned();
    let mut number = 1_u32;
    while is_taken(connection, &name, now)? {
        number += 1;
        name = format!("{usual} {number}");
    }
    Ok(name)
}

/// Whether a token in force has the name, written in whichever case.
fn is_taken(connection: &mut PgConnection, name: &str, now: DateTime<Utc>) -> Result<bool, DbError> {
    #[derive(QueryableByName)]
    struct Taken {
        #[diesel(sql_type = Bool)]
        taken: bool,
    }
    let row: Taken = diesel::sql_query(
        "SELECT EXISTS (SELECT FROM tokens WHERE lower(name) = lower($1) AND revoked_at IS NULL \
            AND (expires_at IS NULL OR expires_at > $2)) AS taken",
    )
    .bind::<Text, _>(name)
    .bind::<Timestamptz, _>(now)
    .get_result(connection)?;
    Ok(row.taken)
}

fn name_error(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        Some("must not be empty".into())
    } else if name.chars().count() > MAX_TOKEN_NAME {
        Some(format!("must not be longer than {MAX_TOKEN_NAME} characters"))
    } else if name.trim() != name {
        Some("must not begin or end with white space".into())
    } else if name.contains(is_invisible) {
        Some("must not contain control or invisible characters".into())
    } else {
        None
    }
}

/// The token with this hash, if it is in force at `now`. Notes its use, at
/// most once a minute, so that a busy token does not become a busy row.
///
/// # Errors
/// Only what the database itself does.
pub fn verify(
    connection: &mut PgConnection,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<TokenRecord>, DbError> {
    let row: Option<Row> = diesel::sql_query(format!(
        "SELECT {COLUMNS} FROM tokens WHERE hash = $1 AND revoked_at IS NULL \
         AND (expires_at IS NULL OR expires_at > $2)"
    ))
    .bind::<Binary, _>(hash.as_slice())
    .bind::<Timestamptz, _>(now)
    .get_result(connection)
    .optional()?;
    let Some(record) = row.map(Row::read).transpose()? else { return Ok(None) };
    let minute_ago = now - chrono::TimeDelta::minutes(1);
    if record.last_used_at.is_none_or(|last| last <= minute_ago) {
        let used = diesel::update(tokens::table.find(record.id.0)).set(tokens::last_used_at.eq(now));
        // A note that cannot be taken, on a full disk perhaps, bars nobody from reading.
        if let Err(error) = used.execute(connection) {
            log::warn!("the last use of token {} was not noted: {error}", record.id);
        }
    }
    Ok(Some(record))
}

/// Whether a token was ever made.
///
/// # Errors
/// Only what the database itself does.
pub fn any(connection: &mut PgConnection) -> Result<bool, DbError> {
    Ok(diesel::select(diesel::dsl::exists(tokens::table.select(tokens::id))).get_result(connection)?)
}

/// Tokens after the id `after`, at most `limit`, in the order of their ids;
/// revoked and expired ones too.
///
/// # Errors
/// Only what the database itself does.
pub fn list(connection: &mut PgConnection, after: i64, limit: i64) -> Result<Vec<TokenRecord>, DbError> {
    let rows: Vec<Row> =
        diesel::sql_query(format!("SELECT {COLUMNS} FROM tokens WHERE id > $1 ORDER BY id LIMIT $2"))
            .bind::<BigInt, _>(after)
            .bind::<BigInt, _>(limit)
            .load(connection)?;
    rows.into_iter().map(Row::read).collect()
}

/// Takes a token out of force, at once and for good.
///
/// # Errors
/// [`TokenStoreError::NotFound`] when there is none or it is revoked already.
pub fn revoke(connection: &mut PgConnection, id: TokenId, now: DateTime<Utc>) -> Result<(), TokenStoreError> {
    let live = tokens::table.filter(tokens::id.eq(id.0).and(tokens::revoked_at.is_null()));
    match diesel::update(live).set(tokens::revoked_at.eq(now)).execute(connection)? {
        0 => Err(TokenStoreError::NotFound),
        _ => Ok(()),
    }
}
