//! The gate between the targets of a store: in the transaction of a claim, work
//! that has to wait for another target is put back, and waits with `due_at` at
//! infinity until that target writes something about the subject.
//!
//! No wake is missed: a row is parked only while this transaction keeps what it
//! waits for from being written, so whoever writes it next sees the parked row.
//! And nothing here waits for a lock, so that two targets that look at each
//! other cannot stand still: what somebody is writing about this moment is
//! looked at again a little later.

mod facts;

use std::collections::HashSet;

use diesel::sql_types::{Array, BigInt, Double, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::dependencies::numbers;
use super::guard::Judged;
use super::subjects;
use crate::domain::ids::{SubjectId, TargetId};
use crate::domain::status::{ProvisionStatus, Reason};
use crate::domain::subject::Subject;
use crate::domain::target::Target;
use crate::plan::{Block, blocks};
use facts::{Facts, Others};

/// A claimed row that is about to run.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Whose.
    pub subject: &'a Subject,
    /// From the claim.
    pub fence: i64,
    /// Why.
    pub reason: Reason,
    /// The id that it had in the external system, if nothing of it is there now.
    pub returning: Option<&'a str>,
}

/// What logic is told about a target that its own depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// The target's name.
    pub target: String,
    /// Of its last run about the subject.
    pub status: ProvisionStatus,
    /// The id in its external system.
    pub remote_id: Option<String>,
    /// What its logic kept.
    pub metadata: Option<serde_json::Value>,
}

/// A row that does not run now.
struct Stopped {
    subject: SubjectId,
    fence: i64,
    by: Vec<TargetId>,
    /// What it waits for cannot be written before it is parked.
    safe: bool,
}

/// Takes rows out that have to wait for other targets, and tells the others
/// what those have left. Returns targets that need no longer wait for this one.
pub(super) fn admit<T: Judged>(
    connection: &mut PgConnection,
    target: &Target,
    rows: &mut Vec<T>,
) -> Result<Vec<TargetId>, DbError> {
    let running: Vec<SubjectId> =
        rows.iter().filter_map(Judged::candidate).map(|row| row.subject.id).collect();
    if running.is_empty() {
        return Ok(Vec::new());
    }
    let mut others = Others::load(connection, target)?;
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let mut facts = others.facts(connection, &running)?;
    let stopped = stop(connection, target, &mut others, &mut facts, rows)?;
    let out: HashSet<SubjectId> = stopped.iter().map(|row| row.subject).collect();
    rows.retain_mut(|row| {
        let Some(candidate) = row.candidate() else { return true };
        let (id, dependencies) = (candidate.subject.id, others.dependencies(&facts, candidate.subject));
        row.inform(dependencies);
        !out.contains(&id)
    });
    let (parked, postponed): (Vec<Stopped>, Vec<Stopped>) = stopped.into_iter().partition(|row| row.safe);
    park(connection, target, &parked)?;
    postpone(
        connection,
        target,
        &postponed.iter().map(|row| (row.subject.0, row.fence)).collect::<Vec<_>>(),
    )?;
    let parked: Vec<SubjectId> = parked.iter().map(|row| row.subject).collect();
    free(connection, target.id, &others.ids(), &parked)
}

/// What logic is told about each subject: what the targets have left that this
/// one depends on.
pub(super) fn dependencies(
    connection: &mut PgConnection,
    target: &Target,
    about: &[&Subject],
) -> Result<Vec<Vec<Dependency>>, DbError> {
    let others = Others::load(connection, target)?;
    if others.is_empty() {
        return Ok(vec![Vec::new(); about.len()]);
    }
    let ids: Vec<SubjectId> = about.iter().map(|subject| subject.id).collect();
    let facts = others.facts(connection, &ids)?;
    Ok(about.iter().map(|subject| others.dependencies(&facts, subject)).collect())
}

/// The candidates that have to wait. Only for those is anything locked, and
/// read again under the lock.
fn stop<T: Judged>(
    connection: &mut PgConnection,
    target: &Target,
    others: &mut Others,
    facts: &mut Facts,
    rows: &[T],
) -> Result<Vec<Stopped>, DbError> {
    let waits = |others: &Others, facts: &Facts, row: &Candidate<'_>| {
        blocks(row.reason, &others.neighbours(facts, row.subject))
    };
    let candidates = rows.iter().filter_map(Judged::candidate);
    let doubtful: Vec<Candidate<'_>> =
        candidates.filter(|row| !waits(others, facts, row).is_empty()).collect();
    if doubtful.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<SubjectId> = doubtful.iter().map(|row| row.subject.id).collect();
    let seized = others.seize(connection, target.store, &ids)?;
    *others = Others::load(connection, target)?;
    facts.replace(&ids, others.facts(connection, &ids)?);
    let stopped = doubtful.iter().filter_map(|row| {
        let by: Vec<TargetId> = waits(others, facts, row).iter().map(|block| block.target).collect();
        let (subject, fence) = (row.subject.id, row.fence);
        let holds = |other: &TargetId| seized.has(*other) && seized.holds(facts, *other, subject);
        let safe = seized.has(target.id) && by.iter().all(holds);
        (!by.is_empty()).then_some(Stopped { subject, fence, by, safe })
    });
    Ok(stopped.collect())
}

fn park(connection: &mut PgConnection, target: &Target, rows: &[Stopped]) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    let (subjects, fences) = columns(rows);
    let list = |row: &Stopped| {
        let ids: Vec<String> = row.by.iter().map(|target| target.0.to_string()).collect();
        format!("{{{}}}", ids.join(","))
    };
    sql_query(
        "UPDATE pending p SET owner = NULL, fence = nextval('fence_seq'), due_at = 'infinity', \
            attempts = greatest(p.attempts - 1, 0), blocked_by = i.by::bigint[], blocked_at = now() \
         FROM unnest($2, $3, $4) AS i(subject_id, fence, by) \
         WHERE p.target_id = $1 AND p.subject_id = i.subject_id AND p.fence = i.fence",
    )
    .bind::<BigInt, _>(target.id.0)
    .bind::<Array<BigInt>, _>(subjects)
    .bind::<Array<BigInt>, _>(fences)
    .bind::<Array<Text>, _>(rows.iter().map(list).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}

/// Seconds after which what could not be locked is looked at again.
const SOON: f64 = 0.03;

/// Has claimed rows, by subject and fence, looked at again a little later.
pub(super) fn postpone(
    connection: &mut PgConnection,
    target: &Target,
    rows: &[(i64, i64)],
) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    let (subjects, fences): (Vec<i64>, Vec<i64>) = rows.iter().copied().unzip();
    sql_query(
        "UPDATE pending p SET owner = NULL, fence = nextval('fence_seq'), \
            due_at = clock_timestamp() + make_interval(secs => $4), attempts = greatest(p.attempts - 1, 0) \
         FROM unnest($2, $3) AS i(subject_id, fence) \
         WHERE p.target_id = $1 AND p.subject_id = i.subject_id AND p.fence = i.fence",
    )
    .bind::<BigInt, _>(target.id.0)
    .bind::<Array<BigInt>, _>(subjects)
    .bind::<Array<BigInt>, _>(fences)
    .bind::<Double, _>(SOON)
    .execute(connection)?;
    Ok(())
}

fn columns(rows: &[Stopped]) -> (Vec<i64>, Vec<i64>) {
    rows.iter().map(|row| (row.subject.0, row.fence)).unzip()
}

#[derive(QueryableByName)]
struct Freed {
    #[diesel(sql_type = BigInt)]
    target_id: i64,
}

fn freed(rows: Vec<Freed>) -> Vec<TargetId> {
    let mut targets: Vec<TargetId> = rows.into_iter().map(|row| TargetId(row.target_id)).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// What a guard holds as well goes on waiting for a person.
pub(super) const DUE_AGAIN: &str = "UPDATE pending p SET blocked_by = NULL, blocked_at = NULL, waits_for = NULL, \
        since = now(), \
        due_at = CASE WHEN p.departure = 'held' THEN p.due_at ELSE least(p.due_at, now()) END \
    FROM due WHERE p.target_id = due.target_id AND p.subject_id = due.subject_id RETURNING p.target_id";

/// Makes work of `among` due that waits for `blocker` about these subjects,
/// since something was written there. Returns who has some. A row that somebody
/// has locked is being made due, or looked at, by whoever did: the lock of those
/// that only wait for it ([`Others::seize`]) does not stand in the way.
pub(super) fn free(
    connection: &mut PgConnection,
    blocker: TargetId,
    among: &[TargetId],
    about: &[SubjectId],
) -> Result<Vec<TargetId>, DbError> {
    if among.is_empty() || about.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sql_query(format!(
        "WITH due AS MATERIALIZED (SELECT target_id, subject_id FROM pending \
            WHERE target_id = ANY($1) AND subject_id = ANY($2) AND blocked_by @> ARRAY[$3] \
            ORDER BY 1, 2 FOR NO KEY UPDATE SKIP LOCKED) {DUE_AGAIN}"
    ))
    .bind::<Array<BigInt>, _>(numbers(among))
    .bind::<Array<BigInt>, _>(subjects::numbers(about))
    .bind::<BigInt, _>(blocker.0)
    .load(connection)?;
    Ok(freed(rows))
}

/// Has everything looked at again that waits for a target, or at it, for whatever
/// it is: what the target is has changed. Returns who has some of it.
pub fn free_around(connection: &mut PgConnection, target: TargetId) -> Result<Vec<TargetId>, DbError> {
    let rows = sql_query(format!(
        "WITH due AS MATERIALIZED (SELECT target_id, subject_id FROM pending \
            WHERE blocked_at IS NOT NULL AND (target_id = $1 OR blocked_by @> ARRAY[$1]) \
            ORDER BY 1, 2 FOR NO KEY UPDATE SKIP LOCKED) {DUE_AGAIN}"
    ))
    .bind::<BigInt, _>(target.0)
    .load(connection)?;
    Ok(freed(rows))
}

/// Rows that one call of [`recheck`] takes at most, so that many that wait for
/// long cost little.
const RECHECKED: i64 = 500;

/// Has some work of a target looked at again that waits for other targets or
/// subjects for `seconds` or longer: whatever went wrong with its wake, it is not forgotten.
/// Returns whether there was some.
pub fn recheck(connection: &mut PgConnection, target: TargetId, seconds: f64) -> Result<bool, DbError> {
    let rows: Vec<Freed> = sql_query(format!(
        "WITH due AS MATERIALIZED (SELECT target_id, subject_id FROM pending \
            WHERE target_id = $1 AND blocked_at <= now() - make_interval(secs => $2) \
            ORDER BY blocked_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED) {DUE_AGAIN}"
    ))
    .bind::<BigInt, _>(target.0)
    .bind::<Double, _>(seconds)
    .bind::<BigInt, _>(RECHECKED)
    .load(connection)?;
    Ok(!rows.is_empty())
}

/// A target that a subject waits for, as people are told about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocker {
    /// The target.
    pub target: Target,
    /// Why it stands in the way, `None` when it has ceased to.
    pub block: Option<Block>,
    /// What its last run about the subject said.
    pub message: String,
}

/// What work of a subject that `by` was seen to block waits for now.
pub fn blockers(
    connection: &mut PgConnection,
    target: &Target,
    subject: &Subject,
    reason: Reason,
    by: &[TargetId],
) -> Result<Vec<Blocker>, DbError> {
    let others = Others::load(connection, target)?;
    let facts = others.facts(connection, &[subject.id])?;
    let found = blocks(reason, &others.neighbours(&facts, subject));
    let blocker = |target: &Target| {
        let block = found.iter().find(|block| block.target == target.id).copied();
        let message = facts.message(target.id, subject.id).to_owned();
        let relevant = if found.is_empty() { by.contains(&target.id) } else { block.is_some() };
        relevant.then(|| Blocker { target: target.clone(), block, message })
    };
    Ok(others.targets().filter_map(blocker).collect())
}
