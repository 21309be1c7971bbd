//! Which subjects a plan is about.

use chrono::Utc;
use diesel::sql_types::{Array, BigInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use crate::domain::filter::Filter;
use crate::domain::ids::SubjectId;
use crate::domain::target::Target;
use crate::storage::{DbError, filter_sql};

/// Everybody a target has to do with: `wanted` is in scope, the others left and
/// may still be in the external system.
const CONCERNED: &str = "SELECT s.id, w.wanted FROM subjects s \
    LEFT JOIN provision_state st ON st.target_id = $1 AND st.subject_id = s.id \
    CROSS JOIN LATERAL (SELECT s.deleted_at IS NULL AND {filter} AS wanted) w \
    WHERE s.store_id = $2 AND s.kind = 'account' AND (w.wanted OR coalesce(st.present, false))";

fn concerned(filter: &Filter) -> (String, Vec<String>) {
    let compiled = filter_sql::compile(filter, 3, Utc::now());
    (CONCERNED.replace("{filter}", &compiled.sql), compiled.values)
}

/// How many subjects a target has to do with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct Concerned {
    /// In scope.
    #[diesel(sql_type = BigInt)]
    pub staying: i64,
    /// Out of scope, and maybe still in the external system.
    #[diesel(sql_type = BigInt)]
    pub leaving: i64,
}

/// Counts everybody that a plan for all is about.
///
/// # Errors
/// Those of the database.
pub fn count(connection: &mut PgConnection, target: &Target, filter: &Filter) -> Result<Concerned, DbError> {
    let (concerned, values) = concerned(filter);
    let counts = sql_query(format!(
        "SELECT count(*) FILTER (WHERE wanted) AS staying, count(*) FILTER (WHERE NOT wanted) AS leaving \
         FROM ({concerned}) AS concerned"
    ))
    .bind::<BigInt, _>(target.id.0)
    .bind::<BigInt, _>(target.store.0)
    .bind::<Array<Text>, _>(values)
    .get_result(connection)?;
    Ok(counts)
}

/// At most `size` of them, evenly spread over the order in which they came in. A
/// fifth of the sample has left, if so many have.
///
/// # Errors
/// Those of the database.
pub fn sample(
    connection: &mut PgConnection,
    target: &Target,
    filter: &Filter,
    among: Concerned,
    size: i64,
) -> Result<Vec<SubjectId>, DbError> {
    let leaving = among.leaving.min((size / 5).max(size - among.staying));
    let staying = among.staying.min(size - leaving);
    let (concerned, values) = concerned(filter);
    let rows: Vec<Id> = sql_query(format!(
        "WITH placed AS (SELECT id, row_number() OVER (PARTITION BY wanted ORDER BY id) - 1 AS place, \
            count(*) OVER (PARTITION BY wanted) AS alike, CASE WHEN wanted THEN $4 ELSE $5 END AS share \
            FROM ({concerned}) AS concerned) \
         SELECT id FROM placed WHERE share > 0 \
         AND (place = 0 OR place * share / alike <> (place - 1) * share / alike) ORDER BY id"
    ))
    .bind::<BigInt, _>(target.id.0)
    .bind::<BigInt, _>(target.store.0)
    .bind::<Array<Text>, _>(values)
    .bind::<BigInt, _>(staying)
    .bind::<BigInt, _>(leaving)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| SubjectId(row.id)).collect())
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// The next subjects of a plan for all, after an id.
///
/// # Errors
/// Those of the database.
pub fn page(
    connection: &mut PgConnection,
    target: &Target,
    filter: &Filter,
    after: SubjectId,
    limit: i64,
) -> Result<Vec<SubjectId>, DbError> {
    let (concerned, values) = concerned(filter);
    let rows: Vec<Id> = sql_query(format!("{concerned} AND s.id > $4 ORDER BY s.id LIMIT $5"))
        .bind::<BigInt, _>(target.id.0)
        .bind::<BigInt, _>(target.store.0)
        .bind::<Array<Text>, _>(values)
        .bind::<BigInt, _>(after.0)
        .bind::<BigInt, _>(limit)
        .load(connection)?;
    Ok(rows.into_iter().map(|row| SubjectId(row.id)).collect())
}
