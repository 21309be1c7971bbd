//! What became of subjects at targets, for people to see.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use serde_json::Value;

use super::DbError;
use crate::domain::ids::{SubjectId, TargetId};

/// Notes for every row of a query called `called` that the external system may
/// hold something: what ran may have called, and nobody stored the result. So a
/// subject that leaves before it is run again is deprovisioned.
pub(super) const MAY_BE_PRESENT: &str = "INSERT INTO provision_state AS st \
    (target_id, subject_id, status, present, in_scope) \
    SELECT target_id, subject_id, 'pending', true, true FROM called \
    ON CONFLICT (target_id, subject_id) DO UPDATE SET present = true WHERE NOT st.present";

/// The state of one (target, subject), with its due work.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct StateRow {
    /// The status of the last run, absent before the first.
    #[diesel(sql_type = Nullable<Text>)]
    pub status: Option<String>,
    /// The external system may hold something.
    #[diesel(sql_type = Nullable<Bool>)]
    pub present: Option<bool>,
    /// The message of the last run.
    #[diesel(sql_type = Nullable<Text>)]
    pub message: Option<String>,
    /// The class of the last failure.
    #[diesel(sql_type = Nullable<Text>)]
    pub error_class: Option<String>,
    /// A failure that nothing will retry.
    #[diesel(sql_type = Nullable<Bool>)]
    pub dead: Option<bool>,
    /// The id in the external system.
    #[diesel(sql_type = Nullable<Text>)]
    pub remote_id: Option<String>,
    /// What logic kept.
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub metadata: Option<Value>,
    /// When logic last ran.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_run_at: Option<DateTime<Utc>>,
    /// The newest version done.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub done_version: Option<i64>,
    /// The trigger of the due work, absent when there is none.
    #[diesel(sql_type = Nullable<Text>)]
    pub trigger: Option<String>,
    /// When the work is due.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub due_at: Option<DateTime<Utc>>,
    /// A node runs the work now.
    #[diesel(sql_type = Nullable<Bool>)]
    pub running: Option<bool>,
    /// Attempts made at this version.
    #[diesel(sql_type = Nullable<Integer>)]
    pub attempts: Option<i32>,
    /// The due work is a deprovision.
    #[diesel(sql_type = Nullable<Bool>)]
    pub deprovision: Option<bool>,
    /// The lot that holds the work.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub held_id: Option<i64>,
    /// The targets that the work waits for.
    #[diesel(sql_type = Nullable<Array<BigInt>>)]
    pub blocked_by: Option<Vec<i64>>,
    /// It waits for another subject at the same target.
    #[diesel(sql_type = Bool)]
    pub waits: bool,
}

/// The state of a subject at a target.
pub fn find(
    connection: &mut PgConnection,
    target: TargetId,
    subject: SubjectId,
) -> Result<StateRow, DbError> {
    let row = sql_query(
        "SELECT st.status, st.present, st.message, st.error_class, st.dead, st.remote_id, st.metadata, \
            st.last_run_at, st.done_version, p.trigger, nullif(p.due_at, 'infinity') AS due_at, \
            p.owner IS NOT NULL AS running, p.attempts, \
            p.reason IS NOT NULL AS deprovision, \
            CASE WHEN p.departure = 'held' AND p.owner IS NULL THEN p.held_id END AS held_id, \
            CASE WHEN p.owner IS NULL AND p.due_at = 'infinity' AND p.departure IS DISTINCT FROM 'held' \
                THEN p.blocked_by END AS blocked_by, \
            coalesce(p.owner IS NULL AND p.due_at = 'infinity' AND p.waits_for IS NOT NULL, false) AS waits \
         FROM (SELECT 1) AS one \
         LEFT JOIN provision_state st ON st.target_id = $1 AND st.subject_id = $2 \
         LEFT JOIN pending p ON p.target_id = $1 AND p.subject_id = $2",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<BigInt, _>(subject.0)
    .get_result(connection)?;
    Ok(row)
}

/// How many subjects stand how at a target.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct StatusCount {
    /// The status.
    #[diesel(sql_type = Text)]
    pub status: String,
    /// Subjects with it.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

/// Counts by status; subjects without a run are not in it.
pub fn counts(connection: &mut PgConnection, target: TargetId) -> Result<Vec<StatusCount>, DbError> {
    let counts = sql_query(
        "SELECT status, count(*) AS count FROM provision_state WHERE target_id = $1 GROUP BY status ORDER BY 1",
    )
    .bind::<BigInt, _>(target.0)
    .load(connection)?;
    Ok(counts)
}

/// The queue of a target at a glance.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Backlog {
    /// Rows due now, running ones included.
    #[diesel(sql_type = BigInt)]
    pub due: i64,
    /// Rows that a node runs.
    #[diesel(sql_type = BigInt)]
    pub running: i64,
    /// Rows waiting for their time (retries, polls, schedules).
    #[diesel(sql_type = BigInt)]
    pub later: i64,
    /// Rows waiting for other targets, or for other subjects.
    #[diesel(sql_type = BigInt)]
    pub blocked: i64,
    /// Since when the oldest due row waits.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub oldest: Option<DateTime<Utc>>,
    /// Its age in seconds by the database's clock.
    #[diesel(sql_type = Nullable<Double>)]
    pub oldest_age: Option<f64>,
}

/// Counts the queue of a target. What a paused sweep has in it is not due.
pub fn backlog(connection: &mut PgConnection, target: TargetId) -> Result<Backlog, DbError> {
    let backlog = sql_query(
        "SELECT count(*) FILTER (WHERE owner IS NOT NULL OR due_at <= now() AND priority < 3) AS due, \
            count(*) FILTER (WHERE owner IS NOT NULL) AS running, \
            count(*) FILTER (WHERE owner IS NULL AND due_at > now() AND due_at < 'infinity') AS later, \
            count(*) FILTER (WHERE owner IS NULL AND due_at = 'infinity' AND blocked_at IS NOT NULL \
                AND departure IS DISTINCT FROM 'held') AS blocked, \
            min(since) FILTER (WHERE owner IS NOT NULL OR due_at <= now() AND priority < 3) AS oldest, \
            extract(epoch FROM now() - min(since) FILTER (WHERE owner IS NOT NULL OR due_at <= now() AND priority < 3))::float8 \
                AS oldest_age \
         FROM pending WHERE target_id = $1",
    )
    .bind::<BigInt, _>(target.0)
    .get_result(connection)?;
    Ok(backlog)
}
