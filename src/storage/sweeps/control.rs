//! Pausing, resuming and cancelling a sweep.
//!
//! A person's word is one small statement; what follows from it for the work
//! in the queue, perhaps a million rows, is done in chunks that a restart takes
//! up again. A row belongs to a sweep while the sweep is the only reason for
//! it: `pending.sweep_id` is emptied by any other work for the account, and
//! the trigger changes once logic has run.

use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::{Queued, Sweep, SweepState};
use crate::domain::ids::{SweepId, TargetId};
use crate::storage::queue::{PRIORITY_PARKED, PRIORITY_SWEEP};
use crate::storage::{DbError, gate};

/// Rows parked, unparked or removed in one transaction.
const CHUNK: i64 = 20_000;

/// Why a sweep was not paused, resumed or cancelled.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// No such sweep.
    #[error("there is no such sweep")]
    NotFound,
    /// It is not in a state for it.
    #[error("the sweep is {0}: it cannot be {1}")]
    State(SweepState, &'static str),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for SweepError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// What a person may do with a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make no more work, and let what is in the queue wait.
    Pause,
    /// Go on.
    Resume,
    /// Make no more work, and take what has not begun out of the queue.
    Cancel,
}

impl Action {
    /// What is being done, from which states it can be, and its name.
    const fn facts(self) -> (SweepState, &'static [SweepState], &'static str) {
        use SweepState::{Cancelled, Cancelling, Finished, Paused, Pausing, Resuming, Running};
        match self {
            Self::Pause => (Pausing, &[Running, Finished, Resuming, Pausing, Paused], "paused"),
            Self::Resume => (Resuming, &[Pausing, Paused, Resuming], "resumed"),
            Self::Cancel => {
                let any = &[Running, Finished, Pausing, Paused, Resuming, Cancelling, Cancelled];
                (Cancelling, any, "cancelled")
            }
        }
    }
}

/// One sweep.
pub fn find(connection: &mut PgConnection, id: SweepId) -> Result<Sweep, SweepError> {
    lookup(connection, id, "")
}

fn lookup(connection: &mut PgConnection, id: SweepId, lock: &str) -> Result<Sweep, SweepError> {
    let found: Vec<Sweep> = sql_query(format!("SELECT * FROM sweeps WHERE id = $1 {lock}"))
        .bind::<BigInt, _>(id.0)
        .load(connection)?;
    found.into_iter().next().ok_or(SweepError::NotFound)
}

/// Records a person's word; [`step`] then carries it out. One that has been
/// carried out already changes nothing.
pub fn order(connection: &mut PgConnection, id: SweepId, action: Action) -> Result<Sweep, SweepError> {
    diesel::Connection::transaction(connection, |connection| {
        let sweep = lookup(connection, id, "FOR UPDATE")?;
        let (doing, from, done) = action.facts();
        let state = sweep.state()?;
        let ended = state == SweepState::Finished && super::queued(connection, &sweep)? == Queued::default();
        if ended || !from.contains(&state) {
            return Err(SweepError::State(state, done));
        }
        if state == doing || state.follows(doing) {
            return Ok(sweep);
        }
        let sweep = sql_query("UPDATE sweeps SET state = $2, step = 0 WHERE id = $1 RETURNING *")
            .bind::<BigInt, _>(id.0)
            .bind::<Text, _>(doing.as_str())
            .get_result(connection)?;
        Ok(sweep)
    })
}

/// Carries a person's word out by one chunk; true when nothing is left to do.
/// Any number of callers may take steps of one sweep.
pub fn step(connection: &mut PgConnection, id: SweepId) -> Result<bool, SweepError> {
    diesel::Connection::transaction(connection, |connection| {
        let sweep = lookup(connection, id, "FOR UPDATE")?;
        let state = sweep.state()?;
        if !state.is_ordered() {
            return Ok(true);
        }
        let chunk = apply(connection, &sweep, state)?;
        let ended = chunk.rows < CHUNK;
        if ended {
            // What waited for the sweep's work may go on without it.
            gate::free_around(connection, TargetId(sweep.target_id))?;
        }
        let state = if ended { state.outcome(sweep.finished_at.is_some()) } else { state };
        let removed = if state.is_cancel() { chunk.rows } else { 0 };
        record(connection, &sweep, state, chunk.last.unwrap_or(sweep.step), removed)?;
        Ok(ended)
    })
}

fn record(
    connection: &mut PgConnection,
    sweep: &Sweep,
    state: SweepState,
    step: i64,
    removed: i64,
) -> Result<(), DbError> {
    sql_query(
        "UPDATE sweeps SET state = $2, step = $3, removed = removed + $4, cancelled = $2 = 'cancelled', \
            finished_at = CASE WHEN $2 = 'cancelled' THEN now() ELSE finished_at END WHERE id = $1",
    )
    .bind::<BigInt, _>(sweep.id)
    .bind::<Text, _>(state.as_str())
    .bind::<BigInt, _>(step)
    .bind::<BigInt, _>(removed)
    .execute(connection)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// The next rows that exist because of the sweep alone and have not begun.
/// Those that a writer holds are skipped: they have another reason now, or
/// begin to run. `FOR UPDATE` without it could wait for a writer that waits
/// for us.
const MINE: &str = "WITH d AS MATERIALIZED ( \
    SELECT subject_id FROM pending WHERE target_id = $1 AND subject_id > $2 AND sweep_id = $3 AND trigger = $4 \
        AND priority BETWEEN $5 AND $6 AND owner IS NULL AND reason IS NULL \
    ORDER BY subject_id LIMIT $7 FOR UPDATE SKIP LOCKED), ";

/// Walks the queue by its key. The planner, whose statistics are older than the
/// sweep, would else sort or hash all of it for every chunk.
const BY_KEY: &str = "SELECT set_config(name, 'off', true) \
    FROM unnest(ARRAY['enable_sort', 'enable_hashjoin', 'enable_mergejoin']) AS name";

fn apply(connection: &mut PgConnection, sweep: &Sweep, state: SweepState) -> Result<Rows, DbError> {
    let matched = "p.target_id = $1 AND p.subject_id = d.subject_id RETURNING 1";
    let (from, to, change) = match state {
        SweepState::Pausing => (
            PRIORITY_SWEEP,
            PRIORITY_SWEEP,
            format!("UPDATE pending p SET priority = {PRIORITY_PARKED} FROM d WHERE {matched}"),
        ),
        SweepState::Resuming => (
            PRIORITY_PARKED,
            PRIORITY_PARKED,
            format!("UPDATE pending p SET priority = {PRIORITY_SWEEP}, since = now() FROM d WHERE {matched}"),
        ),
        _ => (PRIORITY_SWEEP, PRIORITY_PARKED, format!("DELETE FROM pending p USING d WHERE {matched}")),
    };
    sql_query(BY_KEY).execute(connection)?;
    let rows = sql_query(format!(
        "{MINE} done AS ({change}) SELECT max(subject_id) AS last, count(*) AS rows FROM d"
    ))
    .bind::<BigInt, _>(sweep.target_id)
    .bind::<BigInt, _>(sweep.step)
    .bind::<BigInt, _>(sweep.id)
    .bind::<Text, _>(&sweep.trigger)
    .bind::<SmallInt, _>(from)
    .bind::<SmallInt, _>(to)
    .bind::<BigInt, _>(CHUNK)
    .get_result(connection)?;
    Ok(rows)
}
