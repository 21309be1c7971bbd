//! Versions of logic that some subjects run before all others do.

mod count;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};
use diesel::{QueryableByName, sql_query};

use super::schema::logic_canaries;
use super::{DbError, filter_sql, logic};
use crate::domain::canary::{Canary, Figures, Share};
use crate::domain::filter::Filter;
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::who::Who;

pub(super) use count::count;
pub use count::forget_ended;

/// A canary as it stands, or stood at its end.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = logic_canaries)]
pub struct CanaryRow {
    id: i64,
    version: i32,
    /// What all others run.
    pub base_version: i32,
    subjects: Option<Vec<Option<i64>>>,
    percent: Option<i32>,
    max_failure_percent: i32,
    min_runs: i32,
    runs: i64,
    failures: i64,
    base_runs: i64,
    base_failures: i64,
    /// `running`, `promoted` or `rolledBack`.
    pub state: String,
    /// The name of a token.
    pub started_by: String,
    /// Which one it was.
    pub started_by_token: Option<i64>,
    /// Where it was started from.
    pub started_by_address: Option<String>,
    /// When.
    pub started_at: DateTime<Utc>,
    /// The name of a token, or that of [`Who::daemon`].
    pub ended_by: Option<String>,
    /// Which one it was.
    pub ended_by_token: Option<i64>,
    /// Where it was ended from.
    pub ended_by_address: Option<String>,
    /// When.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it ended.
    pub reason: String,
}

impl CanaryRow {
    /// Its number.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// What was asked for.
    pub fn canary(&self) -> Canary {
        let share = match (&self.subjects, self.percent) {
            (Some(ids), None) => Share::Subjects(subjects(ids)),
            (Some(ids), Some(percent)) => Share::Sample(in_hundred(percent), subjects(ids)),
            (None, percent) => Share::Percent(percent.map_or(0, in_hundred)),
        };
        Canary {
            version: self.version,
            share,
            max_failure_percent: u8::try_from(self.max_failure_percent).unwrap_or(100),
            min_runs: u32::try_from(self.min_runs).unwrap_or(1),
        }
    }

    /// How runs ended since it began.
    pub fn figures(&self) -> Figures {
        let Self { runs, failures, base_runs, base_failures, .. } = *self;
        Figures { runs, failures, base_runs, base_failures }
    }
}

fn in_hundred(percent: i32) -> u8 {
    u8::try_from(percent).unwrap_or(100)
}

fn subjects(ids: &[Option<i64>]) -> Vec<SubjectId> {
    ids.iter().flatten().map(|id| SubjectId(*id)).collect()
}

fn ids(subjects: &[SubjectId]) -> Vec<Option<i64>> {
    subjects.iter().map(|subject| Some(subject.0)).collect()
}

/// Begins one, unless one is running.
pub fn start(
    connection: &mut PgConnection,
    target: TargetId,
    base_version: i32,
    canary: &Canary,
    by: &Who,
) -> Result<CanaryRow, DbError> {
    let (subjects, percent) = match &canary.share {
        Share::Subjects(chosen) => (Some(ids(chosen)), None),
        Share::Sample(percent, chosen) => (Some(ids(chosen)), Some(i32::from(*percent))),
        Share::Percent(percent) => (None, Some(i32::from(*percent))),
    };
    let values = (
        logic_canaries::target_id.eq(target.0),
        logic_canaries::version.eq(canary.version),
        logic_canaries::base_version.eq(base_version),
        logic_canaries::subjects.eq(subjects),
        logic_canaries::percent.eq(percent),
        logic_canaries::max_failure_percent.eq(i32::from(canary.max_failure_percent)),
        logic_canaries::min_runs.eq(i32::try_from(canary.min_runs).unwrap_or(i32::MAX)),
        logic_canaries::started_by.eq(&by.name),
        logic_canaries::started_by_token.eq(by.token_number()),
        logic_canaries::started_by_address.eq(by.address_text()),
    );
    Ok(diesel::insert_into(logic_canaries::table)
        .values(values)
        .returning(CanaryRow::as_returning())
        .get_result(connection)?)
}

/// The one that is running.
pub fn running(connection: &mut PgConnection, target: TargetId) -> Result<Option<CanaryRow>, DbError> {
    let all = logic_canaries::table.filter(logic_canaries::target_id.eq(target.0));
    let running = all.filter(logic_canaries::state.eq("running"));
    Ok(running.select(CanaryRow::as_select()).first(connection).optional()?)
}

/// The latest one, running or not.
pub fn latest(connection: &mut PgConnection, target: TargetId) -> Result<Option<CanaryRow>, DbError> {
    let all = logic_canaries::table.filter(logic_canaries::target_id.eq(target.0));
    let latest = all.order(logic_canaries::id.desc());
    Ok(latest.select(CanaryRow::as_select()).first(connection).optional()?)
}

/// Those of some versions, oldest first.
pub fn of_versions(
    connection: &mut PgConnection,
    target: TargetId,
    versions: &[i32],
) -> Result<Vec<CanaryRow>, DbError> {
    let all = logic_canaries::table.filter(logic_canaries::target_id.eq(target.0));
    let theirs = all.filter(logic_canaries::version.eq_any(versions)).order(logic_canaries::id);
    Ok(theirs.select(CanaryRow::as_select()).load(connection)?)
}

/// The number of the running one of each target that has one.
pub fn all_running(connection: &mut PgConnection) -> Result<Vec<(TargetId, i64)>, DbError> {
    let rows: Vec<(i64, i64)> = logic_canaries::table
        .filter(logic_canaries::state.eq("running"))
        .select((logic_canaries::target_id, logic_canaries::id))
        .load(connection)?;
    Ok(rows.into_iter().map(|(target, id)| (TargetId(target), id)).collect())
}

/// Everybody runs its version from now on; `None` when none is running.
pub fn promote(
    connection: &mut PgConnection,
    target: TargetId,
    by: &Who,
    reason: &str,
) -> Result<Option<CanaryRow>, DbError> {
    connection.transaction(|connection| {
        let Some(canary) = running(connection, target)? else { return Ok(None) };
        let ended = end(connection, canary.id, "promoted", by, reason)?;
        if ended.is_some() {
            logic::run_version(connection, target, canary.version)?;
        }
        Ok(ended)
    })
}

/// Nobody runs its version any more; `None` when none is running.
pub fn roll_back(
    connection: &mut PgConnection,
    target: TargetId,
    by: &Who,
    reason: &str,
) -> Result<Option<CanaryRow>, DbError> {
    match running(connection, target)? {
        Some(canary) => end(connection, canary.id, "rolledBack", by, reason),
        None => Ok(None),
    }
}

/// Ends this one and no other, unless it has ended.
fn end(
    connection: &mut PgConnection,
    canary: i64,
    state: &str,
    by: &Who,
    reason: &str,
) -> Result<Option<CanaryRow>, DbError> {
    let running = logic_canaries::table.find(canary).filter(logic_canaries::state.eq("running"));
    Ok(diesel::update(running)
        .set((
            logic_canaries::state.eq(state),
            logic_canaries::ended_by.eq(&by.name),
            logic_canaries::ended_by_token.eq(by.token_number()),
            logic_canaries::ended_by_address.eq(by.address_text()),
            logic_canaries::ended_at.eq(Utc::now()),
            logic_canaries::reason.eq(reason),
        ))
        .returning(CanaryRow::as_returning())
        .get_result(connection)
        .optional()?)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// So many subjects in scope, spread over the store, sorted by id.
pub fn choose(
    connection: &mut PgConnection,
    store: StoreId,
    filter: &Filter,
    most: u32,
) -> Result<Vec<SubjectId>, DbError> {
    let compiled = filter_sql::compile(filter, 3, Utc::now());
    let rows: Vec<Id> = sql_query(format!(
        "SELECT id FROM (SELECT s.id FROM subjects s WHERE s.store_id = $1 AND s.kind = 'account' \
            AND s.deleted_at IS NULL AND {} ORDER BY hashint8(s.id) LIMIT $2) AS chosen ORDER BY id",
        compiled.sql
    ))
    .bind::<BigInt, _>(store.0)
    .bind::<BigInt, _>(i64::from(most))
    .bind::<Array<Text>, _>(compiled.values)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| SubjectId(row.id)).collect())
}
