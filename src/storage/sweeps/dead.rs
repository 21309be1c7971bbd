//! The sweep that retries dead letters: all of a target, or those selected.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, SmallInt, Text, Timestamptz};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use serde::{Deserialize, Serialize};

use super::{Chunk, Sweep, SweepKind, filter_of};
use crate::domain::filter::Filter;
use crate::domain::ids::{SubjectId, TargetId};
use crate::domain::status::Trigger;
use crate::domain::target::Target;
use crate::storage::DbError;
use crate::storage::dead_letters::IS_DEAD;
use crate::storage::filter_sql::{self, SqlFilter};
use crate::storage::held::Departure;
use crate::storage::queue::{PRIORITY_SWEEP, coalesce_clause};

/// Which dead letters to retry: those that meet every condition given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Of one group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Of these subjects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Vec<SubjectId>>,
    /// Of subjects that match a filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// That died then or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
}

/// A condition on `provision_state st`; its three parameters come first.
const CONDITION: &str = "($1::text IS NULL OR st.fingerprint = $1) \
    AND ($2::bigint[] IS NULL OR st.subject_id = ANY($2)) AND ($3::timestamptz IS NULL OR st.updated_at >= $3)";

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    last: i64,
}

impl Selection {
    fn of(sweep: &Sweep) -> Result<Self, DbError> {
        serde_json::from_value(sweep.selection.clone().unwrap_or_default())
            .map_err(|error| DbError::Corrupt(format!("selection of sweep {}: {error}", sweep.id)))
    }

    fn ids(&self) -> Option<Vec<i64>> {
        self.subjects.as_ref().map(|subjects| subjects.iter().map(|subject| subject.0).collect())
    }

    fn sql_filter(&self, parameter: usize) -> Result<SqlFilter, DbError> {
        let filter = Filter::parse(self.filter.as_deref().unwrap_or_default())
            .map_err(|error| DbError::Corrupt(format!("filter of a sweep: {error}")))?;
        Ok(filter_sql::compile(&filter, parameter, Utc::now()))
    }
}

/// Starts a sweep over the dead letters selected; other sweeps go on.
pub fn start(connection: &mut PgConnection, target: &Target, wanted: &Selection) -> Result<Sweep, DbError> {
    connection.transaction(|connection| {
        let found = find(connection, target.id, wanted)?;
        let selection = serde_json::to_value(wanted).map_err(|error| DbError::Corrupt(error.to_string()))?;
        let sweep = sql_query(
            "INSERT INTO sweeps (target_id, kind, trigger, last_subject, total, selection) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING *",
        )
        .bind::<BigInt, _>(target.id.0)
        .bind::<Text, _>(SweepKind::DeadLetters.as_str())
        .bind::<Text, _>(Trigger::Manual.as_str())
        .bind::<BigInt, _>(found.last)
        .bind::<BigInt, _>(found.total)
        .bind::<Jsonb, _>(selection)
        .get_result(connection)?;
        Ok(sweep)
    })
}

fn find(connection: &mut PgConnection, target: TargetId, wanted: &Selection) -> Result<Found, DbError> {
    let filter = wanted.sql_filter(5)?;
    let found = sql_query(format!(
        "SELECT count(*) AS total, coalesce(max(st.subject_id), 0) AS last \
         FROM provision_state st JOIN subjects s ON s.id = st.subject_id \
         WHERE st.target_id = $4 AND {IS_DEAD} AND {CONDITION} AND {}",
        filter.sql
    ))
    .bind::<Nullable<Text>, _>(wanted.fingerprint.as_deref())
    .bind::<Nullable<Array<BigInt>>, _>(wanted.ids())
    .bind::<Nullable<Timestamptz>, _>(wanted.since)
    .bind::<BigInt, _>(target.0)
    .bind::<Array<Text>, _>(filter.values)
    .get_result(connection)?;
    Ok(found)
}

/// A removal, by the target's filter: the external system may hold what should
/// not be there.
fn is_removal(filter: &SqlFilter) -> String {
    format!("st.present AND NOT (s.deleted_at IS NULL AND {})", filter.sql)
}

/// The guard has let this removal pass before it died: nobody is asked twice.
const IS_CLEARED: &str = "coalesce(st.cleared_version = s.version, false)";

/// How many removals a sweep makes due that the guard has not let pass before.
pub(super) fn count_removals(
    connection: &mut PgConnection,
    target: &Target,
    sweep: &Sweep,
) -> Result<i64, DbError> {
    let wanted = Selection::of(sweep)?;
    let (filter, scope) = (wanted.sql_filter(6)?, filter_sql::compile(&filter_of(target)?, 7, Utc::now()));
    let found: Found = sql_query(format!(
        "SELECT count(*) AS total, 0::bigint AS last \
         FROM provision_state st JOIN subjects s ON s.id = st.subject_id \
         WHERE st.target_id = $4 AND st.updated_at <= $5 AND {IS_DEAD} AND {CONDITION} AND {} \
            AND {} AND NOT {IS_CLEARED}",
        filter.sql,
        is_removal(&scope)
    ))
    .bind::<Nullable<Text>, _>(wanted.fingerprint.as_deref())
    .bind::<Nullable<Array<BigInt>>, _>(wanted.ids())
    .bind::<Nullable<Timestamptz>, _>(wanted.since)
    .bind::<BigInt, _>(target.id.0)
    .bind::<Timestamptz, _>(sweep.created_at)
    .bind::<Array<Text>, _>(filter.values)
    .bind::<Array<Text>, _>(scope.values)
    .get_result(connection)?;
    Ok(found.total)
}

/// The next chunk of dead letters, each with what is known of it as a removal.
fn chunk_query(filter: &SqlFilter, scope: &SqlFilter) -> String {
    format!(
        "WITH c AS MATERIALIZED ( \
            SELECT st.subject_id AS id, {} AS removal, {IS_CLEARED} AS cleared \
            FROM provision_state st JOIN subjects s ON s.id = st.subject_id \
            WHERE st.target_id = $4 AND st.subject_id > $5 AND st.subject_id <= $6 AND st.updated_at <= $7 \
                AND {IS_DEAD} AND {CONDITION} AND {} ORDER BY st.subject_id LIMIT $8), \
         d AS (SELECT c.id, CASE WHEN NOT removal THEN NULL WHEN cleared THEN 'cleared' ELSE $14 END AS departure FROM c), \
         made AS (INSERT INTO pending (target_id, subject_id, trigger, priority, sweep_id, due_at, departure, held_id) \
            SELECT $4, d.id, $9, $10, $13, CASE WHEN d.departure = 'held' THEN 'infinity' ELSE now() END, \
                d.departure, CASE WHEN d.departure = 'held' THEN $15 END FROM d WHERE true {} RETURNING 1) \
         SELECT coalesce(max(id), $5) AS last, count(*) AS seen, (SELECT count(*) FROM made) AS enqueued FROM c",
        is_removal(scope),
        filter.sql,
        coalesce_clause()
    )
}

/// Makes due work of the next chunk. What died after the sweep began is left
/// alone, or a sweep could chase its own failures.
pub(super) fn enqueue_chunk(
    connection: &mut PgConnection,
    target: &Target,
    sweep: &Sweep,
    verdict: Departure,
) -> Result<Chunk, DbError> {
    let wanted = Selection::of(sweep)?;
    let (filter, scope) = (wanted.sql_filter(11)?, filter_sql::compile(&filter_of(target)?, 12, Utc::now()));
    let chunk = sql_query(chunk_query(&filter, &scope))
        .bind::<Nullable<Text>, _>(wanted.fingerprint.as_deref())
        .bind::<Nullable<Array<BigInt>>, _>(wanted.ids())
        .bind::<Nullable<Timestamptz>, _>(wanted.since)
        .bind::<BigInt, _>(target.id.0)
        .bind::<BigInt, _>(sweep.cursor)
        .bind::<BigInt, _>(sweep.last_subject)
        .bind::<Timestamptz, _>(sweep.created_at)
        .bind::<BigInt, _>(sweep.chunk())
        .bind::<Text, _>(&sweep.trigger)
        .bind::<SmallInt, _>(PRIORITY_SWEEP)
        .bind::<Array<Text>, _>(filter.values)
        .bind::<Array<Text>, _>(scope.values)
        .bind::<BigInt, _>(sweep.id)
        .bind::<Text, _>(verdict.as_str())
        .bind::<Nullable<BigInt>, _>(verdict.lot())
        .get_result(connection)?;
    Ok(chunk)
}
