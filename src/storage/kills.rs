//! Runs that brought their host down.

use diesel::sql_types::{Array, BigInt, Integer, SmallInt, Text};
use diesel::{PgConnection, RunQueryDsl, sql_query};

use super::DbError;
use super::complete::{Completion, RunLog};

/// Writes down those of a batch that this transaction has recorded. They are
/// rare, so the statement that completes a batch only sets the count back;
/// `updated_at` tells which rows it wrote.
pub(super) fn note(connection: &mut PgConnection, batch: &[Completion]) -> Result<(), DbError> {
    let kills: Vec<(&Completion, &RunLog)> = batch
        .iter()
        .filter(|completion| completion.conclusion.kills > 0)
        .filter_map(|completion| Some((completion, completion.run.as_ref()?)))
        .collect();
    if kills.is_empty() {
        return Ok(());
    }
    let column = |pick: fn(&Completion) -> i64| kills.iter().map(|(c, _)| pick(c)).collect::<Vec<_>>();
    let count = |(c, _): &(&Completion, &RunLog)| i16::try_from(c.conclusion.kills).unwrap_or(i16::MAX);
    sql_query(
        "UPDATE provision_state st SET kills = i.kills, kills_version = i.version, kills_logic = i.logic, \
            kills_reason = i.reason \
         FROM unnest($1, $2, $3, $4, $5, $6) AS i(target_id, subject_id, kills, version, logic, reason) \
         WHERE st.target_id = i.target_id AND st.subject_id = i.subject_id AND st.updated_at = now()",
    )
    .bind::<Array<BigInt>, _>(column(|completion| completion.target.0))
    .bind::<Array<BigInt>, _>(column(|completion| completion.subject.0))
    .bind::<Array<SmallInt>, _>(kills.iter().map(count).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(column(|completion| completion.version))
    .bind::<Array<Integer>, _>(kills.iter().map(|(_, run)| run.logic_version).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(kills.iter().map(|(_, run)| run.reason.as_str()).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}
