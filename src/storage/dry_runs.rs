//! Who tried which logic, and whom it talked to.

use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use serde_json::Value;

use super::DbError;
use super::schema::dry_runs;
use crate::domain::ids::{DryRunId, SubjectId, TargetId, TokenId};

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One account.
    DryRun,
    /// Some accounts.
    Sample,
    /// All accounts.
    Plan,
    /// A run that failed.
    Replay,
}

impl Kind {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DryRun => "dryRun",
            Self::Sample => "sample",
            Self::Plan => "plan",
            Self::Replay => "replay",
        }
    }
}

/// What is written down before anything runs.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The target.
    pub target: TargetId,
    /// What is tried.
    pub kind: Kind,
    /// The token that asked for it.
    pub token: Option<TokenId>,
    /// Its name.
    pub token_name: String,
    /// `draft`, `unsaved` or the number of a version.
    pub logic: String,
    /// SHA-256 of what the host loads.
    pub code_hash: String,
    /// What its author wrote, unless it is a version.
    pub code: Option<String>,
    /// The account.
    pub subject: Option<SubjectId>,
    /// The run that is replayed.
    pub run: Option<String>,
}

/// Which row a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The target.
    pub target: TargetId,
    /// Its id.
    pub id: DryRunId,
    /// Its partition.
    pub started_at: DateTime<Utc>,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Ended {
    /// Somebody hung up or cancelled it.
    pub abandoned: bool,
    /// Runs of logic.
    pub runs: i64,
    /// Whom requests were sent to, as `host:port`.
    pub hosts: Vec<String>,
    /// Requests, sent or not.
    pub exchange_count: i64,
    /// The first of them.
    pub exchanges: Value,
}

/// A record without what only one needs.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = dry_runs)]
pub struct DryRun {
    /// Rises with time.
    pub id: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The target.
    pub target_id: i64,
    /// What was tried.
    pub kind: String,
    /// `running`, `finished` or `abandoned`.
    pub state: String,
    /// Who asked for it.
    pub token_id: Option<i64>,
    /// And that token's name.
    pub token_name: String,
    /// `draft`, `unsaved` or the number of a version.
    pub logic: String,
    /// SHA-256 of what the host loaded.
    pub code_hash: String,
    /// The account.
    pub subject_id: Option<i64>,
    /// The run that was replayed.
    pub run_id: Option<String>,
    /// Runs of logic.
    pub runs: i64,
    /// Whom requests were sent to.
    pub hosts: Vec<Option<String>>,
    /// Requests, sent or not.
    pub exchange_count: i64,
}

/// Writes down that something is about to be tried.
pub fn begin(connection: &mut PgConnection, begun: &Begun) -> Result<Key, DbError> {
    let (id, started_at) = diesel::insert_into(dry_runs::table)
        .values((
            dry_runs::target_id.eq(begun.target.0),
            dry_runs::kind.eq(begun.kind.as_str()),
            dry_runs::token_id.eq(begun.token.map(|token| token.0)),
            dry_runs::token_name.eq(&begun.token_name),
            dry_runs::logic.eq(&begun.logic),
            dry_runs::code_hash.eq(&begun.code_hash),
            dry_runs::code.eq(&begun.code),
            dry_runs::subject_id.eq(begun.subject.map(|subject| subject.0)),
            dry_runs::run_id.eq(&begun.run),
        ))
        .returning((dry_runs::id, dry_runs::started_at))
        .get_result(connection)?;
    Ok(Key { target: begun.target, id: DryRunId(id), started_at })
}

/// Writes down what came of it.
pub fn end(connection: &mut PgConnection, key: Key, ended: &Ended) -> Result<(), DbError> {
    diesel::update(dry_runs::table.find((key.target.0, key.id.0, key.started_at)))
        .set((
            dry_runs::finished_at.eq(now),
            dry_runs::state.eq(if ended.abandoned { "abandoned" } else { "finished" }),
            dry_runs::runs.eq(ended.runs),
            dry_runs::hosts.eq(&ended.hosts),
            dry_runs::exchange_count.eq(ended.exchange_count),
            dry_runs::exchanges.eq(&ended.exchanges),
        ))
        .execute(connection)?;
    Ok(())
}

/// A page of what was tried at a target, newest first, older than `before`.
pub fn list(
    connection: &mut PgConnection,
    target: TargetId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<DryRun>, DbError> {
    let mut query = dry_runs::table
        .filter(dry_runs::target_id.eq(target.0))
        .order(dry_runs::id.desc())
        .limit(limit)
        .select(DryRun::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(dry_runs::id.lt(before));
    }
    Ok(query.load(connection)?)
}

/// One, with what its author wrote and its exchanges.
pub fn find(
    connection: &mut PgConnection,
    id: DryRunId,
) -> Result<Option<(DryRun, Option<String>, Value)>, DbError> {
    let found = dry_runs::table.filter(dry_runs::id.eq(id.0));
    let found = found.select((DryRun::as_select(), dry_runs::code, dry_runs::exchanges));
    Ok(found.first(connection).optional()?)
}
