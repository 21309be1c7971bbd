//! Targets that write what another one has written. All of this is rare: nothing
//! here is asked for an attribute that one target writes.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::Applied;
use crate::domain::filter::Filter;
use crate::domain::ids::TargetId;
use crate::domain::status::Reason;
use crate::domain::subject::Subject;
use crate::plan::{Refusal, WriteBacks, fingerprint};
use crate::storage::DbError;
use crate::storage::complete::Completion;

#[derive(QueryableByName)]
struct Rival {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    filter: String,
}

/// Of these targets, those that work and have the subject in scope. What another
/// one wrote is free: it was deleted, is disabled, or the subject has left it.
pub(super) fn in_force(
    connection: &mut PgConnection,
    targets: &BTreeSet<TargetId>,
    subject: &Subject,
    now: DateTime<Utc>,
) -> Result<BTreeSet<TargetId>, DbError> {
    let rivals: Vec<Rival> = sql_query(
        "SELECT id, filter FROM targets WHERE id = ANY($1) AND deleted_at IS NULL AND enabled \
         AND mode <> 'disabled'",
    )
    .bind::<Array<BigInt>, _>(numbers(targets))
    .load(connection)?;
    let has = |rival: &Rival| Filter::parse(&rival.filter).is_ok_and(|filter| filter.matches(subject, now));
    Ok(rivals.into_iter().filter(has).map(|rival| TargetId(rival.id)).collect())
}

/// What is recorded in place of a completion whose attributes are refused.
pub(super) fn refused(
    connection: &mut PgConnection,
    completion: &Completion,
    known: &WriteBacks,
    refusal: &Refusal,
) -> Result<Applied, DbError> {
    let (Some(failed), Some(run)) = (&completion.refused, &completion.run) else {
        return Ok(Applied::Nothing);
    };
    let mut all = known.targets();
    all.insert(completion.target);
    let names = names(connection, &all)?;
    let name = |target: TargetId| names.get(&target).cloned().unwrap_or_else(|| target.to_string());
    let message = refusal.sentence(completion.target, &all, name);
    log::info!("target {}, subject {}: {message}", completion.target, completion.subject);
    let about: (Reason, u32) = (run.reason, run.attempt);
    let conclusion = refusal.conclude(&completion.conclusion, failed, message, about);
    let dead = conclusion.dead.then(|| fingerprint(conclusion.error_class, &conclusion.message, &[]));
    Ok(Applied::Refused(Box::new(Completion { conclusion, fingerprint: dead, ..completion.clone() })))
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    name: String,
}

fn names(
    connection: &mut PgConnection,
    targets: &BTreeSet<TargetId>,
) -> Result<BTreeMap<TargetId, String>, DbError> {
    let rows: Vec<Named> = sql_query("SELECT id, name FROM targets WHERE id = ANY($1)")
        .bind::<Array<BigInt>, _>(numbers(targets))
        .load(connection)?;
    Ok(rows.into_iter().map(|row| (TargetId(row.id), row.name)).collect())
}

fn numbers(targets: &BTreeSet<TargetId>) -> Vec<i64> {
    targets.iter().map(|target| target.0).collect()
}
