//! What a filter would do, before it is saved.

use chrono::Utc;
use diesel::sql_types::{Array, BigInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::filter_sql;
use super::subject_row::SubjectRow;
use crate::domain::filter::Filter;
use crate::domain::ids::{StoreId, TargetId};
use crate::domain::subject::Subject;

/// How many subjects a preview shows.
const SAMPLE: usize = 20;

/// The effect of a filter on a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Accounts that match.
    pub total: i64,
    /// Of these, how many the target does not hold yet.
    pub entering: i64,
    /// Accounts that the target may hold and that do not match.
    pub leaving: i64,
    /// Some of those that match, by id.
    pub sample: Vec<Subject>,
}

#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    entering: i64,
    #[diesel(sql_type = BigInt)]
    leaving: i64,
}

/// Counts and samples what `filter` would select for a target.
pub fn preview(
    connection: &mut PgConnection,
    store: StoreId,
    target: TargetId,
    filter: &Filter,
) -> Result<Preview, DbError> {
    let now = Utc::now();
    let compiled = filter_sql::compile(filter, 3, now);
    let counts: Counts = sql_query(format!(
        "SELECT count(*) FILTER (WHERE wanted) AS total, \
            count(*) FILTER (WHERE wanted AND NOT held) AS entering, \
            count(*) FILTER (WHERE held AND NOT wanted) AS leaving \
         FROM (SELECT s.deleted_at IS NULL AND {} AS wanted, coalesce(st.present AND st.in_scope, false) AS held \
            FROM subjects s LEFT JOIN provision_state st ON st.target_id = $2 AND st.subject_id = s.id \
            WHERE s.store_id = $1 AND s.kind = 'account') AS judged",
        compiled.sql
    ))
    .bind::<BigInt, _>(store.0)
    .bind::<BigInt, _>(target.0)
    .bind::<Array<Text>, _>(compiled.values)
    .get_result(connection)?;
    let compiled = filter_sql::compile(filter, 2, now);
    let rows: Vec<SubjectRow> = sql_query(format!(
        "SELECT {} FROM subjects s WHERE s.store_id = $1 AND s.kind = 'account' AND s.deleted_at IS NULL \
         AND {} ORDER BY s.id LIMIT {SAMPLE}",
        SubjectRow::COLUMNS,
        compiled.sql
    ))
    .bind::<BigInt, _>(store.0)
    .bind::<Array<Text>, _>(compiled.values)
    .load(connection)?;
    let sample = rows.into_iter().map(SubjectRow::read).collect::<Result<_, _>>()?;
    Ok(Preview { total: counts.total, entering: counts.entering, leaving: counts.leaving, sample })
}
