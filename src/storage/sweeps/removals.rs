//! What the guard says about the removals of a sweep. They are counted before
//! the first of them is due, and pass or wait as one.

use chrono::Utc;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::{Sweep, SweepKind, dead, filter_of};
use crate::domain::ids::HeldId;
use crate::domain::status::Trigger;
use crate::domain::target::Target;
use crate::plan::GuardPolicy;
use crate::storage::guard::judge_whole;
use crate::storage::held::{self, Departure};
use crate::storage::{DbError, filter_sql};

/// The sweep over all of a store that has not come to its end, paused or not;
/// the newest, if there are several.
const OPEN: &str = "SELECT * FROM sweeps WHERE target_id = $1 AND kind <> 'deadletters' AND finished_at IS NULL \
    AND state IN ('running', 'pausing', 'paused', 'resuming') ORDER BY id DESC LIMIT 1";

/// How removals are to be treated that the open sweep of a target has not come
/// to yet; `None` when there is no such sweep. For who has locked rows of the
/// queue, for which the sweeper may be waiting: it waits for nobody itself.
///
/// # Errors
/// [`DbError::Unavailable`] when the sweep is being judged this moment.
pub(in crate::storage) fn verdict_of_open(
    connection: &mut PgConnection,
    target: &Target,
    policy: &GuardPolicy,
) -> Result<Option<Departure>, DbError> {
    let open: Vec<Sweep> = sql_query(OPEN).bind::<BigInt, _>(target.id.0).load(connection)?;
    let Some(sweep) = open.first() else { return Ok(None) };
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
pub(super) fn verdict(
    connection: &mut PgConnection,
    target: &Target,
    sweep: &Sweep,
    policy: &GuardPolicy,
) -> Result<Departure, DbError> {
    if sweep.departures.is_some() {
        let lot = sweep.held_id.map(|lot| held::standing(connection, HeldId(lot)));
        return Ok(lot.transpose()?.unwrap_or(Departure::Cleared));
    }
    let count = match sweep.kind()? {
        SweepKind::DeadLetters => dead::count_removals(connection, target, sweep)?,
        SweepKind::Force | SweepKind::Reconcile => count_departures(connection, target)?,
    };
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
