//! What a filter would do, before it is saved.
//!
//! What it costs is bounded: an account is judged by one comparison after the
//! other, so that a long filter judges fewer of them, drawn by lot, and says so.

use chrono::Utc;
use diesel::sql_types::{Array, BigInt, Double, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::filter_sql;
use super::subject_row::SubjectRow;
use crate::domain::filter::Filter;
use crate::domain::ids::{StoreId, TargetId};
use crate::domain::subject::Subject;

/// How many subjects a preview shows.
const SAMPLE: usize = 20;
/// Comparisons that a preview makes: a second's worth.
const MOST_COMPARISONS: u64 = 500_000;
/// Standard deviations of what is stated: 99 of 100 samples lie within.
const DEVIATIONS: f64 = 2.576;

/// The effect of a filter on a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Accounts that match.
    pub total: i64,
    /// Of these, how many the target does not hold yet.
    pub entering: i64,
    /// Accounts that the target may hold and that do not match.
    pub leaving: i64,
    /// Accounts that were judged, tombstones included.
    pub judged: i64,
    /// By how much the figures may be wrong, since not all were judged; 0 when all
    /// were.
    pub margin: i64,
    /// Some of those that match, by id.
    pub sample: Vec<Subject>,
}

#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = BigInt)]
    judged: i64,
    #[diesel(sql_type = BigInt)]
    total: i64,
    #[diesel(sql_type = BigInt)]
    entering: i64,
    #[diesel(sql_type = BigInt)]
    leaving: i64,
}

#[derive(QueryableByName)]
struct Accounts {
    #[diesel(sql_type = BigInt)]
    accounts: i64,
}

/// Counts and samples what `filter` would select for a target.
pub fn preview(
    connection: &mut PgConnection,
    store: StoreId,
    target: TargetId,
    filter: &Filter,
) -> Result<Preview, DbError> {
    within(connection, store, target, filter, MOST_COMPARISONS)
}

/// The same with so many comparisons.
fn within(
    connection: &mut PgConnection,
    store: StoreId,
    target: TargetId,
    filter: &Filter,
    comparisons: u64,
) -> Result<Preview, DbError> {
    let accounts = accounts(connection, store)?;
    let share = share(accounts, filter.comparisons(), comparisons);
    let counts = counts(connection, store, target, filter, share)?;
    let sample = sample(connection, store, filter, share)?;
    if share.is_none() {
        let Counts { judged, total, entering, leaving } = counts;
        return Ok(Preview { total, entering, leaving, judged, margin: 0, sample });
    }
    let of_all = |count: i64| extrapolated(count, counts.judged, accounts);
    let margins =
        [counts.total, counts.entering, counts.leaving].map(|count| margin(count, counts.judged, accounts));
    Ok(Preview {
        total: of_all(counts.total),
        entering: of_all(counts.entering),
        leaving: of_all(counts.leaving),
        judged: counts.judged,
        margin: margins.into_iter().max().unwrap_or_default(),
        sample,
    })
}

fn accounts(connection: &mut PgConnection, store: StoreId) -> Result<i64, DbError> {
    let found: Accounts =
        sql_query("SELECT count(*) AS accounts FROM subjects WHERE store_id = $1 AND kind = 'account'")
            .bind::<BigInt, _>(store.0)
            .get_result(connection)?;
    Ok(found.accounts)
}

/// The percentage of accounts that can be judged, `None` for all of them.
#[allow(clippy::cast_precision_loss)]
fn share(accounts: i64, each: usize, comparisons: u64) -> Option<f64> {
    let needed = u64::try_from(accounts).unwrap_or(0).saturating_mul(each.max(1) as u64);
    (needed > comparisons).then(|| 100.0 * comparisons as f64 / needed as f64)
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn extrapolated(count: i64, judged: i64, accounts: i64) -> i64 {
    (count as f64 / judged.max(1) as f64 * accounts as f64).round() as i64
}

/// By how much an extrapolated figure may be wrong. One that was never seen may
/// still be there: as often as a thing that was seen once.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn margin(count: i64, judged: i64, accounts: i64) -> i64 {
    if judged == 0 {
        return accounts;
    }
    let share = (count.clamp(1, (judged - 1).max(1)) as f64) / judged as f64;
    let deviation = (share * (1.0 - share).max(0.0) / judged as f64).sqrt();
    ((DEVIATIONS * deviation * accounts as f64).ceil() as i64).min(accounts)
}

/// The accounts to be judged. The same ones are drawn each time.
fn drawn(share: Option<f64>, parameter: usize) -> String {
    share.map_or(String::new(), |_| format!(" TABLESAMPLE BERNOULLI (${parameter}) REPEATABLE (1)"))
}

fn counts(
    connection: &mut PgConnection,
    store: StoreId,
    target: TargetId,
    filter: &Filter,
    share: Option<f64>,
) -> Result<Counts, DbError> {
    let compiled = filter_sql::compile(filter, 3, Utc::now());
    Ok(sql_query(format!(
        "SELECT count(*) AS judged, count(*) FILTER (WHERE wanted) AS total, \
            count(*) FILTER (WHERE wanted AND NOT held) AS entering, \
            count(*) FILTER (WHERE held AND NOT wanted) AS leaving \
         FROM (SELECT s.deleted_at IS NULL AND {} AS wanted, coalesce(st.present AND st.in_scope, false) AS held \
            FROM subjects s{} LEFT JOIN provision_state st ON st.target_id = $2 AND st.subject_id = s.id \
            WHERE s.store_id = $1 AND s.kind = 'account' AND $4 >= 0) AS judged",
        compiled.sql,
        drawn(share, 4)
    ))
    .bind::<BigInt, _>(store.0)
    .bind::<BigInt, _>(target.0)
    .bind::<Array<Text>, _>(compiled.values)
    .bind::<Double, _>(share.unwrap_or_default())
    .get_result(connection)?)
}

fn sample(
    connection: &mut PgConnection,
    store: StoreId,
    filter: &Filter,
    share: Option<f64>,
) -> Result<Vec<Subject>, DbError> {
    let compiled = filter_sql::compile(filter, 2, Utc::now());
    let rows: Vec<SubjectRow> = sql_query(format!(
        "SELECT {} FROM subjects s{} WHERE s.store_id = $1 AND s.kind = 'account' AND s.deleted_at IS NULL \
         AND {} AND $3 >= 0 ORDER BY s.id LIMIT {SAMPLE}",
        SubjectRow::COLUMNS,
        drawn(share, 3),
        compiled.sql
    ))
    .bind::<BigInt, _>(store.0)
    .bind::<Array<Text>, _>(compiled.values)
    .bind::<Double, _>(share.unwrap_or_default())
    .load(connection)?;
    rows.into_iter().map(SubjectRow::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_filter_judges_fewer_accounts() {
        assert_eq!(share(1_000_000, 1, 2_000_000), None);
        assert_eq!(share(7_812, 256, 2_000_000), None);
        assert_eq!(share(4_000, 256, 102_400), Some(10.0));
        assert_eq!(share(0, 256, 1), None);
    }

    #[test]
    fn figures_of_a_part_are_stretched_and_say_how_far_to_trust_them() {
        assert_eq!(extrapolated(100, 400, 4_000), 1_000);
        assert_eq!(extrapolated(0, 0, 4_000), 0);
        // Half of 400 accounts: 2.576 × √(0.25 / 400) × 4000.
        assert_eq!(margin(200, 400, 4_000), 258);
        assert!((1..300).contains(&margin(0, 400, 4_000)), "what was not seen may be there");
        assert!(margin(400, 400, 4_000) > 0);
        assert_eq!(margin(0, 0, 4_000), 4_000);
    }
}
