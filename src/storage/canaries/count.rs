//! What runs say about a version on trial.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool};

use super::{CanaryRow, end};
use crate::domain::ids::TargetId;
use crate::domain::who::Who;
use crate::storage::DbError;
use crate::storage::complete::{Completion, RunLog};
use crate::storage::schema::logic_canaries;

/// An account's latest run: whether it was the new version, and failed.
struct Outcome {
    tried: bool,
    failed: bool,
}

/// Counts the accounts of a batch whose runs belong to a canary, and rolls it
/// back when too many failed. Runs inside the transaction that writes the batch,
/// and after that: what it did not write does not count.
pub(in crate::storage) fn count(connection: &mut PgConnection, batch: &[Completion]) -> Result<(), DbError> {
    let counts = |completion: &&Completion| completion.run.as_ref().and_then(|run| run.canary).is_some();
    let Some(first) = batch.iter().find(counts) else { return Ok(()) };
    let Some(canary) = locked(connection, first.target)? else { return Ok(()) };
    let outcomes = outcomes(&canary, batch);
    if outcomes.is_empty() {
        return Ok(());
    }
    let counted = note(connection, first.target, &canary, &outcomes)?;
    if let Some(reason) = counted.canary().verdict(counted.figures()) {
        log::warn!("logic of target {} is rolled back: {reason}", first.target);
        end(connection, canary.id, "rolledBack", &Who::daemon(), &reason)?;
    }
    Ok(())
}

/// The one that is running, which stays so meanwhile.
fn locked(connection: &mut PgConnection, target: TargetId) -> Result<Option<CanaryRow>, DbError> {
    let all = logic_canaries::table.filter(logic_canaries::target_id.eq(target.0));
    let running = all.filter(logic_canaries::state.eq("running")).for_no_key_update();
    Ok(running.select(CanaryRow::as_select()).first(connection).optional()?)
}

fn outcomes(canary: &CanaryRow, batch: &[Completion]) -> BTreeMap<i64, Outcome> {
    let of_trial = |run: &&RunLog| run.canary == Some(canary.id);
    let outcome = |completion: &Completion| {
        let run = completion.run.as_ref().filter(of_trial)?;
        let end = &completion.conclusion;
        let failed = end.error_class.is_some();
        // One that was interrupted says nothing.
        let ended = failed || end.done;
        let outcome = Outcome { tried: run.logic_version == canary.version, failed };
        ended.then_some((completion.subject.0, outcome))
    };
    batch.iter().filter_map(outcome).collect()
}

/// Keeps what is known of each account, and the sums. `updated_at` tells which
/// rows the transaction has written: a stale completion wrote none.
const NOTE: &str = "WITH input AS MATERIALIZED ( \
    SELECT i.* FROM unnest($3, $4, $5) AS i(subject_id, tried, failed) \
    JOIN provision_state st ON st.target_id = $2 AND st.subject_id = i.subject_id \
    WHERE st.updated_at = now()), \
before AS MATERIALIZED ( \
    SELECT a.subject_id, a.failed FROM input i \
    JOIN logic_canary_accounts a ON a.canary_id = $1 AND a.subject_id = i.subject_id), \
noted AS ( \
    INSERT INTO logic_canary_accounts (canary_id, subject_id, failed) \
    SELECT $1, subject_id, failed FROM input \
    ON CONFLICT (canary_id, subject_id) DO UPDATE SET failed = excluded.failed), \
sums AS ( \
    SELECT count(*) FILTER (WHERE i.tried AND b.subject_id IS NULL) AS runs, \
        count(*) FILTER (WHERE NOT i.tried AND b.subject_id IS NULL) AS base_runs, \
        coalesce(sum(i.failed::int - coalesce(b.failed::int, 0)) FILTER (WHERE i.tried), 0) AS failures, \
        coalesce(sum(i.failed::int - coalesce(b.failed::int, 0)) FILTER (WHERE NOT i.tried), 0) AS base_failures \
    FROM input i LEFT JOIN before b ON b.subject_id = i.subject_id) \
UPDATE logic_canaries c SET runs = c.runs + s.runs, failures = c.failures + s.failures, \
    base_runs = c.base_runs + s.base_runs, base_failures = c.base_failures + s.base_failures \
FROM sums s WHERE c.id = $1";

fn note(
    connection: &mut PgConnection,
    target: TargetId,
    canary: &CanaryRow,
    outcomes: &BTreeMap<i64, Outcome>,
) -> Result<CanaryRow, DbError> {
    sql_query(NOTE)
        .bind::<BigInt, _>(canary.id)
        .bind::<BigInt, _>(target.0)
        .bind::<Array<BigInt>, _>(outcomes.keys().copied().collect::<Vec<_>>())
        .bind::<Array<Bool>, _>(outcomes.values().map(|outcome| outcome.tried).collect::<Vec<_>>())
        .bind::<Array<Bool>, _>(outcomes.values().map(|outcome| outcome.failed).collect::<Vec<_>>())
        .execute(connection)?;
    let counted = logic_canaries::table.find(canary.id).select(CanaryRow::as_select());
    Ok(counted.first(connection)?)
}

/// Forgets what is known of accounts from trials that have ended; the sums stay.
pub fn forget_ended(connection: &mut PgConnection) -> Result<(), DbError> {
    sql_query(
        "DELETE FROM logic_canary_accounts a USING logic_canaries c \
         WHERE c.id = a.canary_id AND c.state <> 'running'",
    )
    .execute(connection)?;
    Ok(())
}
