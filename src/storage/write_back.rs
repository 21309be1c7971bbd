//! Attributes that logic wrote back: merged into the subject in the
//! transaction of the completion, seen by the store's other targets, never
//! work for the target that wrote them.

use diesel::sql_types::BigInt;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::complete::Completion;
use super::queue::{Change, enqueue, lock_store_shared};
use super::subjects;
use crate::domain::ids::TargetId;
use crate::domain::json::{given_paths, merge_members};
use crate::domain::status::Trigger;
use crate::domain::subject::Subject;

#[derive(QueryableByName)]
struct Claim {
    #[diesel(sql_type = BigInt)]
    change_seq: i64,
}

/// Applies the `attributes` of a batch. Returns the version that each
/// completion counts for, and the targets that got work. A stale fence writes
/// nothing; a deleted subject takes nothing. When no other change came in, a
/// completion counts for the version that it made itself.
///
/// Locks are taken in the order of every writer: store, subjects by id, queue
/// rows.
pub(super) fn write_back(
    connection: &mut PgConnection,
    batch: &[Completion],
) -> Result<(Vec<i64>, Vec<TargetId>), DbError> {
    let mut versions: Vec<i64> = batch.iter().map(|completion| completion.version).collect();
    let mut order: Vec<usize> =
        (0..batch.len()).filter(|index| batch[*index].conclusion.attributes.is_some()).collect();
    order.sort_by_key(|index| batch[*index].subject);
    let mut locked = Vec::new();
    for index in order {
        if let Some(before) = lock_subject(connection, &batch[index])? {
            locked.push((index, before));
        }
    }
    let mut woken = Vec::new();
    for (index, before) in locked {
        if let Some((version, targets)) = apply(connection, &batch[index], before)? {
            versions[index] = version;
            woken.extend(targets);
        }
    }
    woken.sort_unstable();
    woken.dedup();
    Ok((versions, woken))
}

fn lock_subject(connection: &mut PgConnection, completion: &Completion) -> Result<Option<Subject>, DbError> {
    let Some(store) = subjects::store_of(connection, completion.subject)? else { return Ok(None) };
    lock_store_shared(connection, store)?;
    subjects::load_for_update(connection, completion.subject)
}

fn apply(
    connection: &mut PgConnection,
    completion: &Completion,
    before: Subject,
) -> Result<Option<(i64, Vec<TargetId>)>, DbError> {
    let Some(patch) = &completion.conclusion.attributes else { return Ok(None) };
    let Some(change_seq) = live_change_seq(connection, completion)? else { return Ok(None) };
    let mut attributes = before.attributes.clone();
    merge_members(&mut attributes, patch);
    if attributes == before.attributes || before.deleted_at.is_some() {
        return Ok(None);
    }
    let after = subjects::set_attributes(connection, &before, attributes, &given_paths(patch))?;
    let untouched = change_seq == completion.change_seq && before.version == completion.version;
    let version = if untouched { after.version } else { completion.version };
    let store = after.store;
    let change = Change { before: Some(before), after, trigger: Trigger::Updated };
    Ok(Some((version, enqueue(connection, store, &[change], Some(completion.target))?)))
}

/// The queue row's `change_seq` if the completion's fence still holds.
fn live_change_seq(connection: &mut PgConnection, completion: &Completion) -> Result<Option<i64>, DbError> {
    let claims: Vec<Claim> = sql_query(
        "SELECT change_seq FROM pending WHERE target_id = $1 AND subject_id = $2 AND fence = $3 \
         AND owner IS NOT NULL FOR UPDATE",
    )
    .bind::<BigInt, _>(completion.target.0)
    .bind::<BigInt, _>(completion.subject.0)
    .bind::<BigInt, _>(completion.fence)
    .load(connection)?;
    Ok(claims.into_iter().next().map(|claim| claim.change_seq))
}
