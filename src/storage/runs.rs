//! The execution log, newest first, and its daily partitions.

use chrono::{DateTime, Days, NaiveDate, Utc};
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, sql_query};
use serde_json::Value;

use super::schema::runs;
use super::{DbError, Measured};
use crate::domain::ids::{RunId, SubjectId, TargetId};
use crate::domain::status::ProvisionStatus;

/// A run as the log holds it.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = runs)]
pub struct Run {
    /// Rises with time.
    pub id: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// The target.
    pub target_id: i64,
    /// The subject.
    pub subject_id: i64,
    /// The version it saw.
    pub subject_version: i64,
    /// Why logic ran.
    pub reason: String,
    /// What made it run.
    pub trigger: String,
    /// Counts the attempts at the version, from 1.
    pub attempt: i32,
    /// The status before.
    pub status_before: String,
    /// The status after.
    pub status: String,
    /// The class of a failure.
    pub error_class: Option<String>,
    /// One sentence.
    pub message: String,
    /// The published version that ran.
    pub logic_version: i32,
    /// Console lines.
    pub log: Value,
    /// HTTP exchanges.
    pub exchanges: Value,
}

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Of one subject.
    pub subject: Option<SubjectId>,
    /// That ended so.
    pub status: Option<ProvisionStatus>,
    /// Begun at or after.
    pub since: Option<DateTime<Utc>>,
    /// Older than this number.
    pub before: Option<i64>,
}

/// The runs on a page of a target's, newest first, by number, with the size of
/// their lines and exchanges.
pub fn sizes(
    connection: &mut PgConnection,
    target: TargetId,
    query: &RunQuery,
    limit: i64,
) -> Result<Vec<Measured>, DbError> {
    let size = sql::<BigInt>("octet_length(log::text)::bigint + octet_length(exchanges::text)");
    let rows: Vec<(i64, i64)> =
        matching(target, query).limit(limit).select((runs::id, size)).load(connection)?;
    Ok(rows.into_iter().map(|(id, size)| Measured { id, size }).collect())
}

/// Runs of a target by their numbers, newest first.
pub fn load(connection: &mut PgConnection, target: TargetId, numbers: &[i64]) -> Result<Vec<Run>, DbError> {
    let these = matching(target, &RunQuery::default()).filter(runs::id.eq_any(numbers));
    Ok(these.select(Run::as_select()).load(connection)?)
}

fn matching(target: TargetId, query: &RunQuery) -> runs::BoxedQuery<'static, Pg> {
    let mut select = runs::table.filter(runs::target_id.eq(target.0)).order(runs::id.desc()).into_boxed();
    if let Some(subject) = query.subject {
        select = select.filter(runs::subject_id.eq(subject.0));
    }
    if let Some(status) = query.status {
        select = select.filter(runs::status.eq(status.as_str()));
    }
    if let Some(since) = query.since {
        select = select.filter(runs::started_at.ge(since));
    }
    if let Some(before) = query.before {
        select = select.filter(runs::id.lt(before));
    }
    select
}

/// One run.
pub fn find(connection: &mut PgConnection, id: RunId) -> Result<Option<Run>, DbError> {
    Ok(runs::table
        .filter(runs::target_id.eq(id.target.0).and(runs::id.eq(id.number)))
        .select(Run::as_select())
        .first(connection)
        .optional()?)
}

/// Days of partitions made before and after today. Yesterday's is for runs that
/// began before midnight and for a clock that was set back.
const AHEAD: std::ops::RangeInclusive<i64> = -2..=7;

/// What is partitioned by day: the log, what replays need beside it, and what was
/// tried.
const DAILY: [&str; 3] = [RUNS, REPLAYS, DRY_RUNS];
/// The execution log.
pub const RUNS: &str = "runs";
/// What replays of failed runs need beside it.
pub const REPLAYS: &str = "run_replays";
/// What was tried.
pub const DRY_RUNS: &str = "dry_runs";

/// Makes the partitions around `today`; those that exist stay.
pub fn make_partitions(connection: &mut PgConnection, today: NaiveDate) -> Result<(), DbError> {
    sql_query("SELECT pg_advisory_lock(7004)").execute(connection)?;
    let made = AHEAD.filter_map(|days| shift(today, days)).try_for_each(|day| {
        let Some(next) = shift(day, 1) else { return Ok(()) };
        DAILY.iter().try_for_each(|table| {
            connection.batch_execute(&format!(
                "CREATE TABLE IF NOT EXISTS {} PARTITION OF {table} FOR VALUES FROM ('{day}') TO ('{next}') \
                 WITH (autovacuum_vacuum_insert_scale_factor = 1.0)",
                partition_name(table, day)
            ))
        })
    });
    sql_query("SELECT pg_advisory_unlock(7004)").execute(connection)?;
    Ok(made?)
}

fn shift(day: NaiveDate, days: i64) -> Option<NaiveDate> {
    let distance = Days::new(days.unsigned_abs());
    if days < 0 { day.checked_sub_days(distance) } else { day.checked_add_days(distance) }
}

fn partition_name(table: &str, day: NaiveDate) -> String {
    format!("{table}_{}", day.format("%Y%m%d"))
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Drops the partitions that a table has of days before `keep_from`; returns
/// their names.
pub fn drop_partitions(
    connection: &mut PgConnection,
    table: &str,
    keep_from: NaiveDate,
) -> Result<Vec<String>, DbError> {
    let names: Vec<Name> = sql_query(
        "SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = $2::regclass AND c.relname ~ ('^' || $2 || '_[0-9]{8}$') AND c.relname < $1 \
         ORDER BY 1",
    )
    .bind::<Text, _>(partition_name(table, keep_from))
    .bind::<Text, _>(table)
    .load(connection)?;
    let names: Vec<String> = names.into_iter().map(|row| row.name).collect();
    for name in &names {
        connection.batch_execute(&format!("DROP TABLE {name}"))?;
    }
    Ok(names)
}
