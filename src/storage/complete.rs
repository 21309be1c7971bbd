//! Writing what became of runs: status, metadata, written-back attributes,
//! next run and log row commit together, a batch in one statement. Everything
//! is driven by the rows whose fence still matches: a completion that comes
//! too late writes nothing.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Jsonb, Nullable, Text, Timestamptz};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::json_text::JsonText;
use super::prepared::prepared;
use super::write_back::{WrittenBack, write_back};
use super::{DbError, canaries, dead_letters, dependencies, gate, holders, kills, remote_ids, replays};
use crate::domain::ids::{SubjectId, TargetId};
use crate::domain::status::{ProvisionStatus, Reason, Trigger};
use crate::plan::{Conclusion, Links};

/// What to write about one claimed row.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The target.
    pub target: TargetId,
    /// The subject.
    pub subject: SubjectId,
    /// From the claim.
    pub fence: i64,
    /// From the claim.
    pub change_seq: i64,
    /// The version that the run saw.
    pub version: i64,
    /// Whether the subject was in scope.
    pub in_scope: bool,
    /// What became of it.
    pub conclusion: Conclusion,
    /// The remote id in the conclusion is new to the link.
    pub takes_remote_id: bool,
    /// What becomes of it if its remote id belongs to another subject, or its
    /// attributes may not be written: the run as a failure. `None` when it has neither
    /// a new remote id nor attributes.
    pub refused: Option<Box<Conclusion>>,
    /// What a dead letter has in common with others of its kind.
    pub fingerprint: Option<String>,
    /// The log row; `None` when logic did not run.
    pub run: Option<RunLog>,
}

/// A row of the execution log.
#[derive(Debug, Clone, PartialEq)]
pub struct RunLog {
    /// Why logic ran.
    pub reason: Reason,
    /// What made it run.
    pub trigger: Trigger,
    /// Counts the attempts at this version, from 1.
    pub attempt: u32,
    /// The status before.
    pub status_before: ProvisionStatus,
    /// The published version that ran.
    pub logic_version: i32,
    /// The trial of a version that it counts for.
    pub canary: Option<i64>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Console lines.
    pub log: JsonText,
    /// HTTP exchanges, secrets removed.
    pub exchanges: JsonText,
    /// What a replay needs beside; of failed runs alone.
    pub replay: Option<ReplayLog>,
}

/// What is kept of a failed run, so that it can be run again offline.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayLog {
    /// `ctx` as JSON, secrets as labels.
    pub context: String,
    /// What the exchanges of the log leave out.
    pub rest: JsonText,
    /// The external system may have held something before.
    pub present_before: bool,
    /// The subject was in scope.
    pub wanted: bool,
}

/// What a batch of completions did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completed {
    /// How many fences still matched.
    pub written: usize,
    /// Other targets that got work, or need no longer wait.
    pub woken: Vec<TargetId>,
    /// Seconds until the earliest of the rows that stay in the queue is due;
    /// zero or less when a change came in during a run, or others need no longer
    /// wait.
    pub next_in: Option<f64>,
}

/// Writes a batch of one target, in one transaction. It may be given again after
/// an error. What waits for these subjects at the target is looked at again.
/// `links` are the target's: work of others that waits for it becomes due, and work for those that depend on what has changed.
pub fn complete(
    connection: &mut PgConnection,
    batch: &[Completion],
    links: &Links,
) -> Result<Completed, DbError> {
    connection.transaction(|connection| {
        let judgement = remote_ids::judge(connection, batch)?;
        let batch: &[Completion] = &judgement.batch;
        let changed = dependencies::changed(connection, batch, links)?;
        let WrittenBack { batch, versions, mut woken } = write_back(connection, batch)?;
        let batch = &*batch;
        let written = write(connection, batch, &versions)?;
        dead_letters::mark(connection, batch, &versions)?;
        canaries::count(connection, batch)?;
        kills::note(connection, batch)?;
        replays::keep(connection, batch)?;
        judgement.transfer(connection)?;
        remote_ids::forget(connection, batch)?;
        let Some(first) = batch.first() else { return Ok(Completed::default()) };
        let about: Vec<SubjectId> = batch.iter().map(|completion| completion.subject).collect();
        let freed = holders::free(connection, first.target, &about)?;
        if !links.is_empty() {
            woken.extend(gate::free(connection, first.target, &links.all(), &about)?);
            woken.extend(dependencies::enqueue(connection, batch, links, &changed)?);
        }
        let count = usize::try_from(written.written).unwrap_or(0);
        let next_in = if freed { Some(0.0) } else { written.next_in };
        Ok(Completed { written: count, woken, next_in })
    })
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = BigInt)]
    written: i64,
    #[diesel(sql_type = Nullable<Double>)]
    next_in: Option<f64>,
}

struct Complete;

/// A subject that came back while it was deprovisioned has no version that is
/// done, even if the same one had been provisioned before. A run that ended
/// well brings no host down.
const STATEMENT: &str = "WITH input AS MATERIALIZED ( \
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
        $19, $20, $21, $22, $23, $24, $25, $26, $27, $28) \
    AS i(target_id, subject_id, fence, change_seq, version, in_scope, status, message, error_class, present, \
        done, dead, remote_id, metadata, next_at, next_trigger, next_deprovision, next_attempts, \
        ran, reason, trigger, attempt, status_before, logic_version, started_at, finished_at, log, exchanges)), \
live AS MATERIALIZED ( \
    SELECT i.*, p.change_seq > i.change_seq AS touched FROM input i \
    JOIN pending p ON p.target_id = i.target_id AND p.subject_id = i.subject_id \
    WHERE p.fence = i.fence AND p.owner IS NOT NULL FOR UPDATE OF p), \
gone AS ( \
    DELETE FROM pending p USING live l WHERE p.target_id = l.target_id AND p.subject_id = l.subject_id \
    AND NOT l.touched AND l.next_at IS NULL), \
kept AS ( \
    UPDATE pending p SET owner = NULL, \
        due_at = CASE WHEN l.touched AND p.departure = 'held' THEN 'infinity' \
            WHEN l.touched THEN now() ELSE l.next_at END, \
        departure = CASE WHEN l.touched THEN p.departure WHEN NOT l.next_deprovision THEN NULL \
            WHEN l.reason = 'deprovision' THEN 'cleared' WHEN l.present THEN 'due' END, \
        held_id = CASE WHEN l.touched OR l.next_deprovision THEN p.held_id END, \
        since = CASE WHEN l.touched THEN p.since ELSE l.next_at END, \
        attempts = CASE WHEN l.touched THEN 0 ELSE l.next_attempts END, \
        trigger = CASE WHEN l.touched THEN p.trigger ELSE l.next_trigger END, \
        reason = CASE WHEN l.touched THEN p.reason WHEN l.next_deprovision THEN 'deprovision' END, \
        changes = CASE WHEN l.done AND NOT l.touched THEN '{}' ELSE p.changes END, \
        priority = CASE WHEN l.touched THEN p.priority ELSE greatest(p.priority, 1::smallint) END \
    FROM live l WHERE p.target_id = l.target_id AND p.subject_id = l.subject_id \
    AND (l.touched OR l.next_at IS NOT NULL)), \
state AS ( \
    INSERT INTO provision_state AS st (target_id, subject_id, status, present, in_scope, done_version, \
        remote_id, metadata, message, error_class, dead, last_run_at, updated_at, provisioned, taken_version) \
    SELECT target_id, subject_id, status, present, in_scope, CASE WHEN done THEN version ELSE 0 END, \
        remote_id, metadata, message, error_class, dead, finished_at, now(), status = 'provisioned', \
        CASE WHEN NOT present OR ran AND reason = 'provision' AND status = 'provisioned' THEN version ELSE 0 END \
    FROM live \
    ON CONFLICT (target_id, subject_id) DO UPDATE SET \
        status = excluded.status, present = excluded.present, in_scope = excluded.in_scope, \
        done_version = CASE WHEN excluded.status = 'deprovisioned' AND excluded.done_version = 0 THEN 0 \
            ELSE greatest(st.done_version, excluded.done_version) END, \
        remote_id = coalesce(excluded.remote_id, st.remote_id), \
        metadata = coalesce(excluded.metadata, st.metadata), \
        message = excluded.message, error_class = excluded.error_class, dead = excluded.dead, \
        last_run_at = coalesce(excluded.last_run_at, st.last_run_at), updated_at = excluded.updated_at, \
        kills = CASE WHEN excluded.status = 'provisionFailed' THEN st.kills ELSE 0 END, \
        provisioned = excluded.provisioned OR st.provisioned AND excluded.present \
            AND excluded.status <> 'deprovisioned', \
        taken_version = greatest(st.taken_version, excluded.taken_version)), \
logged AS ( \
    INSERT INTO runs (target_id, subject_id, subject_version, reason, trigger, attempt, status_before, status, \
        error_class, message, logic_version, started_at, finished_at, log, exchanges) \
    SELECT target_id, subject_id, version, reason, trigger, attempt, status_before, status, \
        error_class, message, logic_version, started_at, finished_at, log, exchanges FROM live WHERE ran) \
SELECT count(*) AS written, \
    min(CASE WHEN touched THEN 0 ELSE extract(epoch FROM next_at - now()) END)::float8 AS next_in FROM live";

fn write(connection: &mut PgConnection, batch: &[Completion], versions: &[i64]) -> Result<Written, DbError> {
    let ends: Vec<&Conclusion> = batch.iter().map(|completion| &completion.conclusion).collect();
    let next = |pick: fn(&crate::plan::Next) -> DateTime<Utc>| -> Vec<Option<DateTime<Utc>>> {
        ends.iter().map(|end| end.next.as_ref().map(pick)).collect()
    };
    let runs: Vec<Option<&RunLog>> = batch.iter().map(|completion| completion.run.as_ref()).collect();
    let query = sql_query(STATEMENT)
        .bind::<Array<BigInt>, _>(column(batch, |c| c.target.0))
        .bind::<Array<BigInt>, _>(column(batch, |c| c.subject.0))
        .bind::<Array<BigInt>, _>(column(batch, |c| c.fence))
        .bind::<Array<BigInt>, _>(column(batch, |c| c.change_seq))
        .bind::<Array<BigInt>, _>(versions)
        .bind::<Array<Bool>, _>(column(batch, |c| c.in_scope))
        .bind::<Array<Text>, _>(column(&ends, |end| end.status.as_str()))
        .bind::<Array<Text>, _>(column(&ends, |end| end.message.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(&ends, |end| end.error_class.map(|class| class.as_str())))
        .bind::<Array<Bool>, _>(column(&ends, |end| end.present))
        .bind::<Array<Bool>, _>(column(&ends, |end| end.done))
        .bind::<Array<Bool>, _>(column(&ends, |end| end.dead))
        .bind::<Array<Nullable<Text>>, _>(column(&ends, |end| end.remote_id.as_deref()))
        .bind::<Array<Nullable<Jsonb>>, _>(column(&ends, |end| end.metadata.as_ref()))
        .bind::<Array<Nullable<Timestamptz>>, _>(next(|next| next.at))
        .bind::<Array<Nullable<Text>>, _>(column(&ends, |end| {
            end.next.as_ref().map(|next| next.trigger.as_str())
        }))
        .bind::<Array<Bool>, _>(column(&ends, |end| end.next.as_ref().is_some_and(|next| next.deprovision)))
        .bind::<Array<Integer>, _>(column(&ends, |end| {
            end.next.as_ref().map_or(0, |next| next.attempts as i32)
        }))
        .bind::<Array<Bool>, _>(column(&runs, |run| run.is_some()))
        .bind::<Array<Nullable<Text>>, _>(column(&runs, |run| run.map(|run| run.reason.as_str())))
        .bind::<Array<Nullable<Text>>, _>(column(&runs, |run| run.map(|run| run.trigger.as_str())))
        .bind::<Array<Nullable<Integer>>, _>(column(&runs, |run| run.map(|run| run.attempt as i32)))
        .bind::<Array<Nullable<Text>>, _>(column(&runs, |run| run.map(|run| run.status_before.as_str())))
        .bind::<Array<Nullable<Integer>>, _>(column(&runs, |run| run.map(|run| run.logic_version)))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(&runs, |run| run.map(|run| run.started_at)))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(&runs, |run| run.map(|run| run.finished_at)))
        .bind::<Array<Nullable<Jsonb>>, _>(column(&runs, |run| run.map(|run| &run.log)))
        .bind::<Array<Nullable<Jsonb>>, _>(column(&runs, |run| run.map(|run| &run.exchanges)));
    Ok(prepared::<Complete, _>(query).get_result(connection)?)
}

fn column<'a, T, U>(rows: &'a [T], pick: impl Fn(&'a T) -> U) -> Vec<U> {
    rows.iter().map(pick).collect()
}
