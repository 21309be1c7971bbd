//! What failed runs need to be run again offline.

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz};
use serde_json::Value;

use super::DbError;
use super::complete::{Completion, ReplayLog, RunLog};
use super::runs::Run;
use super::schema::run_replays;

/// What is kept of a failed run.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = run_replays)]
pub struct Kept {
    /// `ctx` as JSON, secrets as labels.
    pub context: String,
    /// What the exchanges of the log leave out.
    pub rest: Value,
    /// The external system may have held something before.
    pub present_before: bool,
    /// The subject was in scope.
    pub wanted: bool,
}

/// Keeps what the failed runs of a batch need, as far as their log row was
/// written: those whose fence was stale have none.
pub(super) fn keep(connection: &mut PgConnection, batch: &[Completion]) -> Result<(), DbError> {
    let failed = |completion| -> Option<(&Completion, &RunLog, &ReplayLog)> {
        let completion: &Completion = completion;
        let run = completion.run.as_ref()?;
        Some((completion, run, run.replay.as_ref()?))
    };
    let failed: Vec<_> = batch.iter().filter_map(failed).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let began = failed.iter().map(|(_, run, _)| run.started_at);
    sql_query(
        "INSERT INTO run_replays (target_id, subject_id, started_at, context, rest, present_before, wanted) \
         SELECT i.* FROM unnest($1, $2, $3, $4, $5, $6, $7) \
            AS i(target_id, subject_id, started_at, context, rest, present_before, wanted) \
         WHERE EXISTS (SELECT FROM runs r WHERE r.subject_id = i.subject_id AND r.target_id = i.target_id \
            AND r.started_at = i.started_at AND r.started_at BETWEEN $8 AND $9) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<BigInt>, _>(failed.iter().map(|(completion, ..)| completion.target.0).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(failed.iter().map(|(completion, ..)| completion.subject.0).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(began.clone().collect::<Vec<_>>())
    .bind::<Array<Text>, _>(failed.iter().map(|(.., kept)| kept.context.as_str()).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(failed.iter().map(|(.., kept)| &kept.rest).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(failed.iter().map(|(.., kept)| kept.present_before).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(failed.iter().map(|(.., kept)| kept.wanted).collect::<Vec<_>>())
    .bind::<Nullable<Timestamptz>, _>(began.clone().min())
    .bind::<Nullable<Timestamptz>, _>(began.max())
    .execute(connection)?;
    Ok(())
}

/// Whether a run can be replayed.
///
/// # Errors
/// Those of the database.
pub fn is_kept(connection: &mut PgConnection, run: &Run) -> Result<bool, DbError> {
    let key = (run.target_id, run.subject_id, run.started_at);
    Ok(diesel::select(exists(run_replays::table.find(key))).get_result(connection)?)
}

/// What is kept of a run; `None` for one that went well or is too old.
///
/// # Errors
/// Those of the database.
pub fn find(connection: &mut PgConnection, run: &Run) -> Result<Option<Kept>, DbError> {
    let key = (run.target_id, run.subject_id, run.started_at);
    Ok(run_replays::table.find(key).select(Kept::as_select()).first(connection).optional()?)
}
