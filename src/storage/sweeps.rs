//! Sweeps: work over every subject of a store, advanced in keyset chunks, each
//! chunk in its own transaction together with the sweep's cursor. A sweep is
//! resumable, cancellable and needs bounded memory.

pub mod control;
pub mod dead;
mod removals;
mod state;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::filter_sql;
use super::held::Departure;
use super::queue::{PRIORITY_SWEEP, coalesce_clause};
use removals::verdict;
pub(super) use removals::verdict_of_open;
pub use state::SweepState;

use crate::domain::filter::Filter;
use crate::domain::ids::{SweepId, TargetId};
use crate::domain::status::{Trigger, words};
use crate::domain::target::Target;
use crate::plan::GuardPolicy;

/// Subjects looked at in one transaction.
pub const CHUNK: i64 = 5_000;
/// Those of the first one: the first runs begin while the others are looked at.
const FIRST_CHUNK: i64 = 500;

words!(
    /// What a sweep looks for.
    SweepKind {
        /// Everything in scope, done or not, and what should have been removed.
        Force = "force",
        /// What entered the scope, left it, or changed unseen.
        Reconcile = "reconcile",
        /// Failures that nothing else will retry.
        DeadLetters = "deadletters",
    }
);

/// Where a sweep stands.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Sweep {
    /// Its id.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Whose subjects it goes over.
    #[diesel(sql_type = BigInt)]
    pub target_id: i64,
    /// `force`, `reconcile` or `deadletters`.
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
    /// When it had made all its work, or was cancelled.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub finished_at: Option<DateTime<Utc>>,
    /// A person ended it.
    #[diesel(sql_type = Bool)]
    pub cancelled: bool,
    /// Which dead letters it retries.
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub selection: Option<serde_json::Value>,
    /// Where it stands, a [`SweepState`].
    #[diesel(sql_type = Text)]
    pub state: String,
    /// The last subject of the pausing, resuming or cancelling under way.
    #[diesel(sql_type = BigInt)]
    pub step: i64,
    /// Work taken out of the queue again.
    #[diesel(sql_type = BigInt)]
    pub removed: i64,
    /// Removals among its work, `None` until the guard has judged them.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub departures: Option<i64>,
    /// The lot that holds them.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub held_id: Option<i64>,
}

impl Sweep {
    /// What it looks for.
    fn kind(&self) -> Result<SweepKind, DbError> {
        self.kind.parse().map_err(|_| DbError::Corrupt(format!("sweep {} is a {}", self.id, self.kind)))
    }

    fn chunk(&self) -> i64 {
        if self.cursor == 0 { FIRST_CHUNK } else { CHUNK }
    }

    /// Where it stands.
    pub fn state(&self) -> Result<SweepState, DbError> {
        self.state.parse().map_err(|_| DbError::Corrupt(format!("sweep {} is {}", self.id, self.state)))
    }
}

fn filter_of(target: &Target) -> Result<Filter, DbError> {
    Filter::parse(&target.settings.filter)
        .map_err(|error| DbError::Corrupt(format!("filter of target {}: {error}", target.id)))
}

/// Starts a sweep; an unfinished one of the same kind is replaced, since the
/// new one covers it. What a paused one has in the queue is taken out, or it
/// would wait there for ever.
pub fn start(
    connection: &mut PgConnection,
    target: &Target,
    kind: SweepKind,
    trigger: Trigger,
) -> Result<Sweep, DbError> {
    connection.transaction(|connection| {
        lock_start(connection, target.id, kind)?;
        replace(connection, target.id, kind)?;
        insert(connection, target, kind, trigger)
    })
}

/// Two that start at once would not see each other.
fn lock_start(connection: &mut PgConnection, target: TargetId, kind: SweepKind) -> Result<(), DbError> {
    sql_query("SELECT pg_advisory_xact_lock(hashtextextended(format('sweep %s %s', $1, $2), 0))")
        .bind::<BigInt, _>(target.0)
        .bind::<Text, _>(kind.as_str())
        .execute(connection)?;
    Ok(())
}

fn replace(connection: &mut PgConnection, target: TargetId, kind: SweepKind) -> Result<(), DbError> {
    sql_query(
        "UPDATE sweeps SET step = 0, cancelled = true, \
            state = CASE state WHEN 'running' THEN 'cancelled' ELSE 'cancelling' END, \
            finished_at = CASE state WHEN 'running' THEN now() ELSE finished_at END \
         WHERE target_id = $1 AND kind = $2 AND state IN ('running', 'pausing', 'paused', 'resuming')",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<Text, _>(kind.as_str())
    .execute(connection)?;
    Ok(())
}

fn insert(
    connection: &mut PgConnection,
    target: &Target,
    kind: SweepKind,
    trigger: Trigger,
) -> Result<Sweep, DbError> {
    let filter = filter_sql::compile(&filter_of(target)?, 5, Utc::now());
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

/// The sweeps of a target that have something to do, oldest first.
pub fn open(connection: &mut PgConnection, target: TargetId) -> Result<Vec<Sweep>, DbError> {
    let sweeps = sql_query(
        "SELECT * FROM sweeps WHERE target_id = $1 \
         AND state IN ('running', 'pausing', 'resuming', 'cancelling') ORDER BY id",
    )
    .bind::<BigInt, _>(target.0)
    .load(connection)?;
    Ok(sweeps)
}

/// At most `limit` sweeps of a target, newest first, older than `before`.
pub fn list(
    connection: &mut PgConnection,
    target: TargetId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Sweep>, DbError> {
    let sweeps = sql_query(
        "SELECT * FROM sweeps WHERE target_id = $1 AND ($2 IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<Nullable<BigInt>, _>(before)
    .bind::<BigInt, _>(limit)
    .load(connection)?;
    Ok(sweeps)
}

/// What a sweep has in the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct Queued {
    /// Rows that will run, and those that do.
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
    /// Removals that wait for a person.
    #[diesel(sql_type = BigInt)]
    pub held: i64,
}

#[derive(QueryableByName)]
struct QueuedOf {
    #[diesel(sql_type = BigInt)]
    sweep_id: i64,
    #[diesel(embed)]
    queued: Queued,
}

/// Sweeps of a target with what each has in the queue. All are counted in one
/// pass over the queue.
pub fn with_queued(
    connection: &mut PgConnection,
    target: TargetId,
    sweeps: Vec<Sweep>,
) -> Result<Vec<(Sweep, Queued)>, DbError> {
    let ids: Vec<i64> = sweeps.iter().map(|sweep| sweep.id).collect();
    let queued: Vec<QueuedOf> = sql_query(
        "SELECT p.sweep_id, count(*) FILTER (WHERE p.owner IS NOT NULL OR p.departure IS DISTINCT FROM 'held') AS rows, \
            count(*) FILTER (WHERE p.owner IS NULL AND p.departure = 'held') AS held \
         FROM pending p JOIN sweeps w ON w.id = p.sweep_id \
         WHERE p.target_id = $1 AND p.priority >= $2 AND p.sweep_id = ANY($3) AND p.trigger = w.trigger \
         GROUP BY 1",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<SmallInt, _>(PRIORITY_SWEEP)
    .bind::<Array<BigInt>, _>(ids)
    .load(connection)?;
    let queued: HashMap<i64, Queued> = queued.into_iter().map(|row| (row.sweep_id, row.queued)).collect();
    let of = |sweep: &Sweep| queued.get(&sweep.id).copied().unwrap_or_default();
    Ok(sweeps.into_iter().map(|sweep| (of(&sweep), sweep)).map(|(queued, sweep)| (sweep, queued)).collect())
}

/// What a sweep has in the queue.
pub fn queued(connection: &mut PgConnection, sweep: &Sweep) -> Result<Queued, DbError> {
    let counted = with_queued(connection, TargetId(sweep.target_id), vec![sweep.clone()])?;
    Ok(counted.first().map_or_else(Queued::default, |(_, queued)| *queued))
}

/// What a force makes due, of a chunk `c` joined with the state `st`.
const FORCED: &str = "c.wanted OR coalesce(st.present, false)";
/// The same of a reconcile.
const UNEQUAL: &str = "CASE WHEN c.wanted THEN NOT coalesce(st.in_scope, false) \
    OR coalesce(st.done_version, 0) < c.version \
    OR EXISTS (SELECT FROM pending p WHERE p.target_id = $1 AND p.subject_id = c.id \
        AND p.departure = 'held') ELSE coalesce(st.present, false) END";

/// Advances a sweep by one chunk; true when it has nothing more to do. Before
/// the first one the target's guard judges the removals of the whole sweep.
pub fn advance(
    connection: &mut PgConnection,
    target: &Target,
    sweep: SweepId,
    policy: &GuardPolicy,
) -> Result<bool, DbError> {
    let made_all = connection.transaction(|connection| {
        let found: Vec<Sweep> =
            sql_query("SELECT * FROM sweeps WHERE id = $1 AND state = 'running' FOR UPDATE")
                .bind::<BigInt, _>(sweep.0)
                .load(connection)?;
        found.first().map(|sweep| make_work(connection, target, sweep, policy)).transpose()
    })?;
    match made_all {
        Some(made_all) => Ok(made_all),
        None => match control::step(connection, sweep) {
            Err(control::SweepError::Db(error)) => Err(error),
            // It is gone with its target.
            Err(_) => Ok(true),
            Ok(ended) => Ok(ended),
        },
    }
}

fn make_work(
    connection: &mut PgConnection,
    target: &Target,
    sweep: &Sweep,
    policy: &GuardPolicy,
) -> Result<bool, DbError> {
    let verdict = verdict(connection, target, sweep, policy)?;
    let chunk = match sweep.kind()? {
        SweepKind::Force => enqueue_chunk(connection, target, sweep, FORCED, verdict)?,
        SweepKind::Reconcile => enqueue_chunk(connection, target, sweep, UNEQUAL, verdict)?,
        SweepKind::DeadLetters => dead::enqueue_chunk(connection, target, sweep, verdict)?,
    };
    let ended = chunk.last >= sweep.last_subject || chunk.seen < sweep.chunk();
    sql_query(
        "UPDATE sweeps SET cursor = greatest(cursor, $2), enqueued = enqueued + $3, \
            state = CASE WHEN $4 THEN 'finished' ELSE state END, \
            finished_at = CASE WHEN $4 THEN now() END WHERE id = $1",
    )
    .bind::<BigInt, _>(sweep.id)
    .bind::<BigInt, _>(chunk.last)
    .bind::<BigInt, _>(chunk.enqueued)
    .bind::<Bool, _>(ended)
    .execute(connection)?;
    Ok(ended)
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
    due: &str,
    verdict: Departure,
) -> Result<Chunk, DbError> {
    let filter = filter_sql::compile(&filter_of(target)?, 10, Utc::now());
    let chunk = sql_query(format!(
        "WITH c AS MATERIALIZED ( \
            SELECT s.id, s.version, s.deleted_at IS NULL AND {} AS wanted FROM subjects s \
            WHERE s.store_id = $2 AND s.kind = 'account' AND s.id > $3 AND s.id <= $4 \
            ORDER BY s.id LIMIT $5), \
         made AS (INSERT INTO pending (target_id, subject_id, trigger, priority, sweep_id, due_at, departure, held_id) \
            SELECT $1, c.id, $6, $7, $11, CASE WHEN NOT c.wanted AND $8 = 'held' THEN 'infinity' ELSE now() END, \
                CASE WHEN NOT c.wanted THEN $8 END, CASE WHEN NOT c.wanted THEN $9 END FROM c \
            LEFT JOIN provision_state st ON st.target_id = $1 AND st.subject_id = c.id \
            WHERE {} {} RETURNING 1) \
         SELECT coalesce(max(id), $3) AS last, count(*) AS seen, (SELECT count(*) FROM made) AS enqueued FROM c",
        filter.sql,
        due,
        coalesce_clause()
    ))
    .bind::<BigInt, _>(target.id.0)
    .bind::<BigInt, _>(target.store.0)
    .bind::<BigInt, _>(sweep.cursor)
    .bind::<BigInt, _>(sweep.last_subject)
    .bind::<BigInt, _>(sweep.chunk())
    .bind::<Text, _>(&sweep.trigger)
    .bind::<SmallInt, _>(PRIORITY_SWEEP)
    .bind::<Text, _>(verdict.as_str())
    .bind::<Nullable<BigInt>, _>(verdict.lot())
    .bind::<Array<Text>, _>(filter.values)
    .bind::<BigInt, _>(sweep.id)
    .get_result(connection)?;
    Ok(chunk)
}
