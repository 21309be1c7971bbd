//! Sweeps: work over every subject of a store, advanced in keyset chunks, each
//! chunk in its own transaction together with the sweep's cursor. A sweep is
//! resumable, cancellable and needs bounded memory.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text, Timestamptz};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::filter_sql;
use super::guard::judge_whole;
use super::held::{self, Departure};
use super::queue::{PRIORITY_SWEEP, coalesce_clause};
use crate::domain::filter::Filter;
use crate::domain::ids::{HeldId, SweepId, TargetId};
use crate::domain::status::{Trigger, words};
use crate::domain::target::Target;
use crate::plan::GuardPolicy;

/// Subjects looked at in one transaction.
pub const CHUNK: i64 = 5_000;

words!(
    /// What a sweep looks for.
    SweepKind {
        /// Everything in scope, done or not, and what should have been removed.
        Force = "force",
        /// What entered the scope, left it, or changed unseen.
        Reconcile = "reconcile",
    }
);

/// Where a sweep stands.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Sweep {
    /// Its id.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// `force` or `reconcile`.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The trigger that its work gets.
    #[diesel(sql_type = Text)]
    pub trigger: String,
    /// The last subject looked at.
    #[diesel(sql_type = BigInt)]
    pub cursor: i64,
    /// The newest subject when it started.
    #[diesel(sql_type = BigInt)]
    pub last_subject: i64,
    /// Subjects in scope when it started.
    #[diesel(sql_type = BigInt)]
    pub total: i64,
    /// Work made so far.
    #[diesel(sql_type = BigInt)]
    pub enqueued: i64,
    /// When it started.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When it ended.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub finished_at: Option<DateTime<Utc>>,
    /// A person ended it.
    #[diesel(sql_type = Bool)]
    pub cancelled: bool,
    /// Removals among its work, `None` until the guard has judged them.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub departures: Option<i64>,
    /// The lot that holds them.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub held_id: Option<i64>,
}

fn filter_of(target: &Target) -> Result<Filter, DbError> {
    Filter::parse(&target.settings.filter)
        .map_err(|error| DbError::Corrupt(format!("filter of target {}: {error}", target.id)))
}

/// Starts a sweep; an unfinished one of the same kind is replaced, since the
/// new one covers it.
pub fn start(
    connection: &mut PgConnection,
    target: &Target,
    kind: SweepKind,
    trigger: Trigger,
) -> Result<Sweep, DbError> {
    let filter = filter_sql::compile(&filter_of(target)?, 5, Utc::now());
    sql_query(
        "UPDATE sweeps SET finished_at = now(), cancelled = true \
         WHERE target_id = $1 AND kind = $2 AND finished_at IS NULL",
    )
    .bind::<BigInt, _>(target.id.0)
    .bind::<Text, _>(kind.as_str())
    .execute(connection)?;
    let sweep = sql_query(format!(
        "INSERT INTO sweeps (target_id, kind, trigger, last_subject, total) \
         SELECT $1, $2, $3, coalesce(max(s.id), 0), \
            count(*) FILTER (WHERE s.deleted_at IS NULL AND {}) \
         FROM subjects s WHERE s.store_id = $4 AND s.kind = 'account' RETURNING *",
        filter.sql
    ))
    .bind::<BigInt, _>(target.id.0)
    .bind::<Text, _>(kind.as_str())
    .bind::<Text, _>(trigger.as_str())
    .bind::<BigInt, _>(target.store.0)
    .bind::<Array<Text>, _>(filter.values)
    .get_result(connection)?;
    Ok(sweep)
}

/// The unfinished sweeps of a target, oldest first.
pub fn open(connection: &mut PgConnection, target: TargetId) -> Result<Vec<Sweep>, DbError> {
    let sweeps = sql_query("SELECT * FROM sweeps WHERE target_id = $1 AND finished_at IS NULL ORDER BY id")
        .bind::<BigInt, _>(target.0)
        .load(connection)?;
    Ok(sweeps)
}

/// The newest sweep of a target, finished or not.
pub fn latest(connection: &mut PgConnection, target: TargetId) -> Result<Option<Sweep>, DbError> {
    let sweeps: Vec<Sweep> = sql_query("SELECT * FROM sweeps WHERE target_id = $1 ORDER BY id DESC LIMIT 1")
        .bind::<BigInt, _>(target.0)
        .load(connection)?;
    Ok(sweeps.into_iter().next())
}

/// What is due, per kind, of a chunk `c` joined with the state `st`.
const fn due(kind: SweepKind) -> &'static str {
    match kind {
        SweepKind::Force => "c.wanted OR coalesce(st.present, false)",
        SweepKind::Reconcile => {
            "CASE WHEN c.wanted THEN NOT coalesce(st.in_scope, false) \
                OR coalesce(st.done_version, 0) < c.version \
                OR EXISTS (SELECT FROM pending p WHERE p.target_id = $1 AND p.subject_id = c.id \
                    AND p.departure = 'held') ELSE coalesce(st.present, false) END"
        }
    }
}

/// Advances a sweep by one chunk; true when it has ended. Before the first one
/// the target's guard judges the removals of the whole sweep.
pub fn advance(
    connection: &mut PgConnection,
    target: &Target,
    sweep: SweepId,
    policy: &GuardPolicy,
) -> Result<bool, DbError> {
    connection.transaction(|connection| {
        let found: Vec<Sweep> =
            sql_query("SELECT * FROM sweeps WHERE id = $1 AND finished_at IS NULL FOR UPDATE")
                .bind::<BigInt, _>(sweep.0)
                .load(connection)?;
        let Some(sweep) = found.into_iter().next() else { return Ok(true) };
        let kind: SweepKind = sweep.kind.parse().map_err(|_| DbError::Corrupt(sweep.kind.clone()))?;
        let verdict = verdict(connection, target, &sweep, policy)?;
        let chunk = enqueue_chunk(connection, target, &sweep, kind, verdict)?;
        let ended = chunk.last >= sweep.last_subject || chunk.seen < CHUNK;
        sql_query(
            "UPDATE sweeps SET cursor = greatest(cursor, $2), enqueued = enqueued + $3, \
             finished_at = CASE WHEN $4 THEN now() END WHERE id = $1",
        )
        .bind::<BigInt, _>(sweep.id)
        .bind::<BigInt, _>(chunk.last)
        .bind::<BigInt, _>(chunk.enqueued)
        .bind::<Bool, _>(ended)
        .execute(connection)?;
        Ok(ended)
    })
}

/// How removals are to be treated that the open sweep of a target has not come
/// to yet; `None` when there is no such sweep. For who has locked rows of the
/// queue, for which the sweeper may be waiting: it waits for nobody itself.
///
/// # Errors
/// [`DbError::Unavailable`] when the sweep is being judged this moment.
pub(super) fn verdict_of_open(
    connection: &mut PgConnection,
    target: &Target,
    policy: &GuardPolicy,
) -> Result<Option<Departure>, DbError> {
    let Some(sweep) = open(connection, target.id)?.pop() else { return Ok(None) };
    if sweep.departures.is_some() {
        let lot = sweep.held_id.map(|lot| held::standing_at_once(connection, HeldId(lot)));
        return Ok(Some(lot.transpose()?.unwrap_or(Departure::Cleared)));
    }
    let locked: Vec<Sweep> = sql_query("SELECT * FROM sweeps WHERE id = $1 FOR UPDATE SKIP LOCKED")
        .bind::<BigInt, _>(sweep.id)
        .load(connection)?;
    match locked.first() {
        Some(sweep) => verdict(connection, target, sweep, policy).map(Some),
        None => Err(DbError::Unavailable("the sweep of the target is being judged".into())),
    }
}

/// What the guard says about the removals of a locked sweep.
fn verdict(
    connection: &mut PgConnection,
    target: &Target,
    sweep: &Sweep,
    policy: &GuardPolicy,
) -> Result<Departure, DbError> {
    if sweep.departures.is_some() {
        let lot = sweep.held_id.map(|lot| held::standing(connection, HeldId(lot)));
        return Ok(lot.transpose()?.unwrap_or(Departure::Cleared));
    }
    let count = count_departures(connection, target)?;
    let trigger: Trigger =
        sweep.trigger.parse().map_err(|_| DbError::Corrupt(format!("trigger `{}`", sweep.trigger)))?;
    let verdict = judge_whole(connection, target, policy, trigger, count.unsigned_abs())?;
    sql_query("UPDATE sweeps SET departures = $2, held_id = $3 WHERE id = $1")
        .bind::<BigInt, _>(sweep.id)
        .bind::<BigInt, _>(count)
        .bind::<Nullable<BigInt>, _>(verdict.lot())
        .execute(connection)?;
    Ok(verdict)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// What the target holds and should not, except what may be removed already.
fn count_departures(connection: &mut PgConnection, target: &Target) -> Result<i64, DbError> {
    let filter = filter_sql::compile(&filter_of(target)?, 2, Utc::now());
    let count: Count = sql_query(format!(
        "SELECT count(*) AS count FROM provision_state st JOIN subjects s ON s.id = st.subject_id \
         WHERE st.target_id = $1 AND st.present AND NOT (s.deleted_at IS NULL AND {}) \
         AND NOT EXISTS (SELECT FROM pending p WHERE p.target_id = $1 AND p.subject_id = s.id \
            AND p.departure = 'cleared')",
        filter.sql
    ))
    .bind::<BigInt, _>(target.id.0)
    .bind::<Array<Text>, _>(filter.values)
    .get_result(connection)?;
    Ok(count.count)
}

#[derive(QueryableByName)]
struct Chunk {
    #[diesel(sql_type = BigInt)]
    last: i64,
    #[diesel(sql_type = BigInt)]
    seen: i64,
    #[diesel(sql_type = BigInt)]
    enqueued: i64,
}

fn enqueue_chunk(
    connection: &mut PgConnection,
    target: &Target,
    sweep: &Sweep,
    kind: SweepKind,
    verdict: Departure,
) -> Result<Chunk, DbError> {
    let filter = filter_sql::compile(&filter_of(target)?, 10, Utc::now());
    let chunk = sql_query(format!(
        "WITH c AS MATERIALIZED ( \
            SELECT s.id, s.version, s.deleted_at IS NULL AND {} AS wanted FROM subjects s \
            WHERE s.store_id = $2 AND s.kind = 'account' AND s.id > $3 AND s.id <= $4 \
            ORDER BY s.id LIMIT $5), \
         made AS (INSERT INTO pending (target_id, subject_id, trigger, priority, due_at, departure, held_id) \
            SELECT $1, c.id, $6, $7, CASE WHEN NOT c.wanted AND $8 = 'held' THEN 'infinity' ELSE now() END, \
                CASE WHEN NOT c.wanted THEN $8 END, CASE WHEN NOT c.wanted THEN $9 END FROM c \
            LEFT JOIN provision_state st ON st.target_id = $1 AND st.subject_id = c.id \
            WHERE {} {} RETURNING 1) \
         SELECT coalesce(max(id), $3) AS last, count(*) AS seen, (SELECT count(*) FROM made) AS enqueued FROM c",
        filter.sql,
        due(kind),
        coalesce_clause()
    ))
    .bind::<BigInt, _>(target.id.0)
    .bind::<BigInt, _>(target.store.0)
    .bind::<BigInt, _>(sweep.cursor)
    .bind::<BigInt, _>(sweep.last_subject)
    .bind::<BigInt, _>(CHUNK)
    .bind::<Text, _>(&sweep.trigger)
    .bind::<SmallInt, _>(PRIORITY_SWEEP)
    .bind::<Text, _>(verdict.as_str())
    .bind::<Nullable<BigInt>, _>(verdict.lot())
    .bind::<Array<Text>, _>(filter.values)
    .get_result(connection)?;
    Ok(chunk)
}
