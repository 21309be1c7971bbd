//! Dead letters: failures that nothing will retry, by what they have in common.
//! One for which work is due again, be it from a change or because a person
//! asked, is none.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::complete::Completion;
use crate::domain::ids::TargetId;
use crate::domain::status::Reason;

/// A condition on `provision_state st`: a failure that nothing will retry.
pub(super) const IS_DEAD: &str = "st.dead AND NOT EXISTS (SELECT FROM pending p \
    WHERE p.target_id = st.target_id AND p.subject_id = st.subject_id)";

/// Most groups that are told apart; beyond, a target has other worries.
const MOST_GROUPS: i64 = 500;

/// Dead letters with one fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Group {
    /// What they have in common.
    #[diesel(sql_type = Text)]
    pub fingerprint: String,
    /// The class of the failures.
    #[diesel(sql_type = Nullable<Text>)]
    pub error_class: Option<String>,
    /// The message of one of them.
    #[diesel(sql_type = Text)]
    pub message: String,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
    /// When the first of them died.
    #[diesel(sql_type = Timestamptz)]
    pub first_at: DateTime<Utc>,
    /// When the last of them died.
    #[diesel(sql_type = Timestamptz)]
    pub last_at: DateTime<Utc>,
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Letter {
    /// Whose.
    #[diesel(sql_type = BigInt)]
    pub subject_id: i64,
    /// The account's log-in name.
    #[diesel(sql_type = Nullable<Text>)]
    pub user_name: Option<String>,
    /// Its name for people.
    #[diesel(sql_type = Nullable<Text>)]
    pub display_name: Option<String>,
    /// The message of the last run.
    #[diesel(sql_type = Text)]
    pub message: String,
    /// The class of the failure.
    #[diesel(sql_type = Nullable<Text>)]
    pub error_class: Option<String>,
    /// When it died.
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Writes the fingerprints of dead letters that this transaction has recorded.
/// They are rare, so the statement that completes a batch does not carry them;
/// `updated_at` tells which rows it wrote, and a stale completion wrote none.
/// With them go the `versions` of removals: each had passed the guard, and need
/// not pass it again as long as the subject stays as it is.
pub(super) fn mark(
    connection: &mut PgConnection,
    batch: &[Completion],
    versions: &[i64],
) -> Result<(), DbError> {
    let dead: Vec<(&Completion, &str, i64)> = batch
        .iter()
        .zip(versions)
        .filter(|(completion, _)| completion.conclusion.dead)
        .filter_map(|(completion, version)| Some((completion, completion.fingerprint.as_deref()?, *version)))
        .collect();
    if dead.is_empty() {
        return Ok(());
    }
    let column = |pick: fn(&Completion) -> i64| dead.iter().map(|(c, ..)| pick(c)).collect::<Vec<_>>();
    let fingerprints: Vec<&str> = dead.iter().map(|(_, fingerprint, _)| *fingerprint).collect();
    let cleared: Vec<Option<i64>> =
        dead.iter().map(|(c, _, version)| is_removal(c).then_some(*version)).collect();
    sql_query(
        "UPDATE provision_state st SET fingerprint = i.fingerprint, cleared_version = i.cleared_version \
         FROM unnest($1, $2, $3, $4) AS i(target_id, subject_id, fingerprint, cleared_version) \
         WHERE st.target_id = i.target_id AND st.subject_id = i.subject_id AND st.dead AND st.updated_at = now() \
            AND (st.fingerprint, st.cleared_version) IS DISTINCT FROM (i.fingerprint, i.cleared_version)",
    )
    .bind::<Array<BigInt>, _>(column(|completion| completion.target.0))
    .bind::<Array<BigInt>, _>(column(|completion| completion.subject.0))
    .bind::<Array<Text>, _>(fingerprints)
    .bind::<Array<Nullable<BigInt>>, _>(cleared)
    .execute(connection)?;
    Ok(())
}

fn is_removal(completion: &Completion) -> bool {
    completion.run.as_ref().is_some_and(|run| run.reason == Reason::Deprovision)
}

/// The groups of a target, the largest first.
pub fn groups(connection: &mut PgConnection, target: TargetId) -> Result<Vec<Group>, DbError> {
    let groups = sql_query(format!(
        "SELECT coalesce(fingerprint, '') AS fingerprint, min(error_class) AS error_class, \
            (array_agg(message ORDER BY updated_at DESC))[1] AS message, count(*) AS count, \
            min(updated_at) AS first_at, max(updated_at) AS last_at \
         FROM provision_state st WHERE target_id = $1 AND {IS_DEAD} \
         GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT {MOST_GROUPS}"
    ))
    .bind::<BigInt, _>(target.0)
    .load(connection)?;
    Ok(groups)
}

/// How many a target has.
pub fn count(connection: &mut PgConnection, target: TargetId) -> Result<i64, DbError> {
    let found: Count = sql_query(format!(
        "SELECT count(*) AS count FROM provision_state st WHERE target_id = $1 AND {IS_DEAD}"
    ))
    .bind::<BigInt, _>(target.0)
    .get_result(connection)?;
    Ok(found.count)
}

/// At most `limit` of a group after the subject `after`, in the order of ids.
pub fn page(
    connection: &mut PgConnection,
    target: TargetId,
    fingerprint: &str,
    after: i64,
    limit: i64,
) -> Result<Vec<Letter>, DbError> {
    let letters = sql_query(format!(
        "SELECT st.subject_id, s.user_name, s.display_name, st.message, st.error_class, st.updated_at AS at \
         FROM provision_state st JOIN subjects s ON s.id = st.subject_id \
         WHERE st.target_id = $1 AND st.fingerprint = $2 AND st.subject_id > $3 AND {IS_DEAD} \
         ORDER BY st.subject_id LIMIT $4"
    ))
    .bind::<BigInt, _>(target.0)
    .bind::<Text, _>(fingerprint)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(connection)?;
    Ok(letters)
}
