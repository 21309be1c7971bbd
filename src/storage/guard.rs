//! The guard at the gate of the queue: counts the removals that a target is
//! about to run and holds those that would be too many, in the transaction of
//! the claim. What is counted beforehand, sweeps and imports, is judged as a
//! whole by `judge_whole`.
//!
//! Nothing here counts further than the answer needs: removals that are due are
//! counted by an index of their own, and either pass, being few, or are held at
//! once.

use diesel::sql_types::{Array, BigInt, Double};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::claim::{self, Ask, Claimed, Edition, claim_beyond};
use super::gate::{self, Candidate, Dependency};
use super::held::{self, Departure, Opening};
use super::holders;
use super::passed::Passed;
use super::sweeps;
use crate::domain::ids::{HeldId, SubjectId, TargetId};
use crate::domain::status::Trigger;
use crate::domain::target::Target;
use crate::plan::GuardPolicy;

/// Steps that the window is counted in.
const STEPS: f64 = 60.0;

/// How to claim.
#[derive(Debug, Clone, Copy)]
pub struct Intake<'a> {
    /// For which target.
    pub target: &'a Target,
    /// What the claimer goes by.
    pub edition: Edition,
    /// By which node.
    pub node: &'a str,
    /// At most so many rows.
    pub limit: usize,
    /// Of these, so many may be a sweep's.
    pub most_swept: usize,
    /// In seconds.
    pub lease: f64,
    /// Where to begin.
    pub passed: Passed,
    /// The target's own.
    pub policy: &'a GuardPolicy,
    /// Whether other targets of the store may have to go first.
    pub gated: bool,
}

/// Claimed rows, and how many the guard took out of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted<T> {
    /// What may run.
    pub rows: Vec<T>,
    /// How many were claimed, held and parked ones included.
    pub claimed: usize,
    /// Nothing was claimed, for the target is another one than the claimer knows.
    pub stale: bool,
    /// Where the next claim may begin.
    pub passed: Passed,
    /// Targets that need no longer wait for this one.
    pub woken: Vec<TargetId>,
}

/// A claimed row with what is to be done about it.
pub trait Judged {
    /// The removal that it is: the subject, and the trigger it would run with.
    /// `None` when nothing that the target holds would be removed.
    fn removal(&self) -> Option<Removal>;

    /// The run that it is; `None` when there is nothing to run.
    fn candidate(&self) -> Option<Candidate<'_>>;

    /// What the removal that it is would be done by; `None` as for `removal`.
    fn leaver(&self) -> Option<Leaver<'_>>;

    /// Nothing is to be removed after all, for this reason: only that is recorded.
    fn settle(&mut self, target: TargetId, why: String);

    /// Takes in what the targets have left that this one depends on.
    fn inform(&mut self, dependencies: Vec<Dependency>);
}

/// A removal that is about to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removal {
    /// Whose.
    pub subject: SubjectId,
    /// From the claim.
    pub fence: i64,
    /// Why.
    pub trigger: Trigger,
    /// What the queue said when it was claimed.
    pub departure: Option<Departure>,
}

/// What a removal would be done by.
#[derive(Debug, Clone, Copy)]
pub struct Leaver<'a> {
    /// Whose.
    pub subject: SubjectId,
    /// Its id in the external system.
    pub remote_id: Option<&'a str>,
}

/// Claims due rows, plans each by `plan`, parks those that wait for other targets
/// or subjects, settles removals that would hit somebody else, and keeps removals back that the guard does not let pass.
pub fn claim_guarded<T: Judged>(
    connection: &mut PgConnection,
    intake: Intake<'_>,
    plan: impl Fn(Claimed) -> T,
) -> Result<Admitted<T>, DbError> {
    connection.transaction(|connection| {
        let Intake { target, edition, node, limit, most_swept: swept, lease, mut passed, .. } = intake;
        let ask = Ask { target: target.id, node, limit, swept, lease, edition: Some(edition) };
        let claims = claim_beyond(connection, ask, &mut passed)?;
        let claimed = claims.len();
        let stale = claimed == 0 && !claim::is_current(connection, target.id, edition)?;
        let mut rows: Vec<T> = claims.into_iter().map(plan).collect();
        let mut woken = if intake.gated { gate::admit(connection, target, &mut rows)? } else { Vec::new() };
        holders::admit(connection, target, &mut rows)?;
        let removals: Vec<Removal> = rows.iter().filter_map(Judged::removal).collect();
        let held = if removals.is_empty() { Vec::new() } else { judge(connection, intake, removals)? };
        if !held.is_empty() {
            rows.retain(|row| row.removal().is_none_or(|removal| !held.contains(&removal.subject)));
            if intake.gated {
                // Nobody waits, by order alone, for what a person has to decide.
                woken.extend(gate::free_around(connection, target.id)?);
            }
        }
        Ok(Admitted { rows, claimed, stale, passed, woken })
    })
}

/// Judges the removals of a claim; returns those that were held.
fn judge(
    connection: &mut PgConnection,
    intake: Intake<'_>,
    removals: Vec<Removal>,
) -> Result<Vec<SubjectId>, DbError> {
    let mut held = Vec::new();
    let mut fresh = Vec::new();
    // A lease that ran out has freed a row that was held while it ran.
    for removal in removals {
        match removal.departure {
            Some(Departure::Cleared) => {}
            Some(Departure::Held(lot)) => match held::standing_at_once(connection, lot)? {
                Departure::Held(lot) => held.extend(hold(connection, intake.target, lot, &[removal])?),
                _ => clear(connection, intake.target, &[removal])?,
            },
            _ => fresh.push(removal),
        }
    }
    let (unseen, due): (Vec<Removal>, Vec<Removal>) =
        fresh.into_iter().partition(|removal| removal.departure.is_none());
    let rest = with_sweep(connection, intake, unseen, &mut held)?;
    held.extend(judge_fresh(connection, intake, due.into_iter().chain(rest).collect())?);
    Ok(held)
}

/// What nobody marked as a removal goes with the open sweep of the target, which
/// has not come to it yet, and has counted it. Returns what no sweep covers.
fn with_sweep(
    connection: &mut PgConnection,
    intake: Intake<'_>,
    unseen: Vec<Removal>,
    held: &mut Vec<SubjectId>,
) -> Result<Vec<Removal>, DbError> {
    if unseen.is_empty() {
        return Ok(unseen);
    }
    match sweeps::verdict_of_open(connection, intake.target, intake.policy)? {
        None | Some(Departure::Due) => return Ok(unseen),
        Some(Departure::Cleared) => clear(connection, intake.target, &unseen)?,
        Some(Departure::Held(lot)) => held.extend(hold(connection, intake.target, lot, &unseen)?),
    }
    Ok(Vec::new())
}

fn judge_fresh(
    connection: &mut PgConnection,
    intake: Intake<'_>,
    removals: Vec<Removal>,
) -> Result<Vec<SubjectId>, DbError> {
    let Some(first) = removals.first().copied() else { return Ok(Vec::new()) };
    let claimed = removals.len() as u64;
    if intake.policy.guard.is_off() {
        clear(connection, intake.target, &removals)?;
        return Ok(Vec::new());
    }
    let due = claimed + due_beside(connection, intake.target)?;
    if passes(connection, intake.target, intake.policy, due)? {
        release(connection, intake.target, intake.policy, claimed)?;
        clear(connection, intake.target, &removals)?;
        return Ok(Vec::new());
    }
    let present = present(connection, intake.target, i64::MAX)?;
    let opening = Opening { trigger: first.trigger, count: due, present, grows: true };
    let lot = held::open(connection, intake.target.id, opening, intake.policy)?;
    hold_due(connection, intake.target, lot)?;
    hold(connection, intake.target, lot, &removals)
}

/// Judges removals that an operation has counted beforehand, as one: either all
/// may run, or all are held in a lot of their own.
pub(super) fn judge_whole(
    connection: &mut PgConnection,
    target: &Target,
    policy: &GuardPolicy,
    trigger: Trigger,
    count: u64,
) -> Result<Departure, DbError> {
    if count == 0 || policy.guard.is_off() {
        return Ok(Departure::Cleared);
    }
    if passes(connection, target, policy, count)? {
        release(connection, target, policy, count)?;
        return Ok(Departure::Cleared);
    }
    let present = present(connection, target, i64::MAX)?;
    let opening = Opening { trigger, count, present, grows: false };
    Ok(Departure::Held(held::open(connection, target.id, opening, policy)?))
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn passes(
    connection: &mut PgConnection,
    target: &Target,
    policy: &GuardPolicy,
    due: u64,
) -> Result<bool, DbError> {
    let released = released(connection, target, policy)?;
    let present = match policy.guard.enough_present(released, due) {
        0 => 0,
        enough => present(connection, target, i64::try_from(enough).unwrap_or(i64::MAX))?,
    };
    Ok(policy.guard.allows(released, due, present))
}

/// Removals in the queue that are neither claimed nor judged yet.
fn due_beside(connection: &mut PgConnection, target: &Target) -> Result<u64, DbError> {
    let count: Count = sql_query(
        "SELECT count(*) AS count FROM pending WHERE target_id = $1 AND departure = 'due' AND owner IS NULL",
    )
    .bind::<BigInt, _>(target.id.0)
    .get_result(connection)?;
    Ok(count.count.unsigned_abs())
}

/// What the target holds, counted no further than `most`.
fn present(connection: &mut PgConnection, target: &Target, most: i64) -> Result<u64, DbError> {
    let count: Count = sql_query(
        "SELECT count(*) AS count FROM \
            (SELECT FROM provision_state WHERE target_id = $1 AND present LIMIT $2) AS held",
    )
    .bind::<BigInt, _>(target.id.0)
    .bind::<BigInt, _>(most)
    .get_result(connection)?;
    Ok(count.count.unsigned_abs())
}

/// What passed unasked within the window.
fn released(connection: &mut PgConnection, target: &Target, policy: &GuardPolicy) -> Result<u64, DbError> {
    let count: Count = sql_query(
        "SELECT coalesce(sum(released), 0)::bigint AS count FROM guard_released \
         WHERE target_id = $1 AND step > now() - make_interval(secs => $2)",
    )
    .bind::<BigInt, _>(target.id.0)
    .bind::<Double, _>(policy.window.as_secs_f64())
    .get_result(connection)?;
    Ok(count.count.unsigned_abs())
}

/// Notes what passes, and forgets what the window has left behind.
fn release(
    connection: &mut PgConnection,
    target: &Target,
    policy: &GuardPolicy,
    count: u64,
) -> Result<(), DbError> {
    let window = policy.window.as_secs_f64();
    sql_query(
        "WITH old AS (DELETE FROM guard_released WHERE target_id = $1 \
            AND step <= now() - make_interval(secs => $3)) \
         INSERT INTO guard_released AS g (target_id, step, released) \
         VALUES ($1, to_timestamp(ceil(extract(epoch FROM now())::float8 / $4) * $4), $2) \
         ON CONFLICT (target_id, step) DO UPDATE SET released = g.released + excluded.released",
    )
    .bind::<BigInt, _>(target.id.0)
    .bind::<BigInt, _>(i64::try_from(count).unwrap_or(i64::MAX))
    .bind::<Double, _>(window)
    .bind::<Double, _>(window / STEPS)
    .execute(connection)?;
    Ok(())
}

fn columns(removals: &[Removal]) -> (Vec<i64>, Vec<i64>) {
    removals.iter().map(|removal| (removal.subject.0, removal.fence)).unzip()
}

fn clear(connection: &mut PgConnection, target: &Target, removals: &[Removal]) -> Result<(), DbError> {
    let (subjects, fences) = columns(removals);
    sql_query(
        "UPDATE pending p SET departure = 'cleared' FROM unnest($2, $3) AS i(subject_id, fence) \
         WHERE p.target_id = $1 AND p.subject_id = i.subject_id AND p.fence = i.fence",
    )
    .bind::<BigInt, _>(target.id.0)
    .bind::<Array<BigInt>, _>(subjects)
    .bind::<Array<BigInt>, _>(fences)
    .execute(connection)?;
    Ok(())
}

/// Puts claimed rows back, no attempt counted, to wait in a lot.
fn hold(
    connection: &mut PgConnection,
    target: &Target,
    lot: HeldId,
    removals: &[Removal],
) -> Result<Vec<SubjectId>, DbError> {
    let (subjects, fences) = columns(removals);
    sql_query(
        "UPDATE pending p SET owner = NULL, fence = nextval('fence_seq'), due_at = 'infinity', \
            attempts = greatest(p.attempts - 1, 0), departure = 'held', held_id = $4 \
         FROM unnest($2, $3) AS i(subject_id, fence) \
         WHERE p.target_id = $1 AND p.subject_id = i.subject_id AND p.fence = i.fence",
    )
    .bind::<BigInt, _>(target.id.0)
    .bind::<Array<BigInt>, _>(subjects)
    .bind::<Array<BigInt>, _>(fences)
    .bind::<BigInt, _>(lot.0)
    .execute(connection)?;
    Ok(removals.iter().map(|removal| removal.subject).collect())
}

/// Holds what is due and not claimed. A row that a writer has locked is judged
/// when it is claimed.
fn hold_due(connection: &mut PgConnection, target: &Target, lot: HeldId) -> Result<(), DbError> {
    sql_query(
        "WITH due AS MATERIALIZED (SELECT subject_id FROM pending \
            WHERE target_id = $1 AND departure = 'due' AND owner IS NULL FOR UPDATE SKIP LOCKED) \
         UPDATE pending p SET due_at = 'infinity', departure = 'held', held_id = $2 \
         FROM due WHERE p.target_id = $1 AND p.subject_id = due.subject_id",
    )
    .bind::<BigInt, _>(target.id.0)
    .bind::<BigInt, _>(lot.0)
    .execute(connection)?;
    Ok(())
}
