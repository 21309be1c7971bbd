//! Removals of subjects that were deleted and have come back.

use chrono::Utc;
use diesel::sql_types::{Array, BigInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::Change;
use crate::domain::filter::Filter;
use crate::domain::ids::StoreId;
use crate::domain::subject::Subject;
use crate::storage::DbError;

#[derive(QueryableByName)]
struct Scope {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    filter: String,
}

/// Takes back what is still to be removed of restored subjects, held or due,
/// wherever they are wanted again, also at targets that follow no changes now.
/// What has begun runs to its end, and the subject is provisioned after it.
pub(in crate::storage) fn take_back_removals(
    connection: &mut PgConnection,
    store: StoreId,
    changes: &[Change],
) -> Result<(), DbError> {
    let restored: Vec<&Subject> = changes.iter().filter_map(restored).collect();
    if restored.is_empty() {
        return Ok(());
    }
    let now = Utc::now();
    let (mut targets, mut subjects) = (Vec::new(), Vec::new());
    for Scope { id, filter } in scopes(connection, store)? {
        let filter = Filter::parse(&filter)
            .map_err(|error| DbError::Corrupt(format!("filter of target {id}: {error}")))?;
        for subject in restored.iter().filter(|subject| filter.matches(subject, now)) {
            targets.push(id);
            subjects.push(subject.id.0);
        }
    }
    sql_query(
        "UPDATE pending p SET reason = NULL, departure = NULL, held_id = NULL, trigger = 'enteredFilter', \
            change_seq = nextval('change_seq'), attempts = 0, blocked_by = NULL, blocked_at = NULL, \
            due_at = CASE WHEN p.owner IS NULL THEN now() ELSE p.due_at END \
         FROM unnest($1, $2) AS i(target_id, subject_id) \
         WHERE p.target_id = i.target_id AND p.subject_id = i.subject_id \
            AND (p.reason IS NOT NULL OR p.departure IS NOT NULL OR p.trigger = 'deleted')",
    )
    .bind::<Array<BigInt>, _>(targets)
    .bind::<Array<BigInt>, _>(subjects)
    .execute(connection)?;
    Ok(())
}

fn restored(change: &Change) -> Option<&Subject> {
    let was_deleted = change.before.as_ref().is_some_and(|before| before.deleted_at.is_some());
    (was_deleted && change.after.deleted_at.is_none()).then_some(&change.after)
}

fn scopes(connection: &mut PgConnection, store: StoreId) -> Result<Vec<Scope>, DbError> {
    let scopes = sql_query("SELECT id, filter FROM targets WHERE store_id = $1 AND deleted_at IS NULL")
        .bind::<BigInt, _>(store.0)
        .load(connection)?;
    Ok(scopes)
}
