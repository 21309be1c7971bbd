//! Attributes that logic wrote back: merged into the subject in the
//! transaction of the completion, seen by the store's other targets, never
//! work for the target that wrote them.

mod contest;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Jsonb, Nullable, Timestamptz};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use serde_json::Value;

use super::DbError;
use super::complete::Completion;
use super::queue::{Change, enqueue, lock_store_shared};
use super::subjects;
use crate::domain::ids::TargetId;
use crate::domain::json::{given_paths, merge_members};
use crate::domain::status::Trigger;
use crate::domain::subject::Subject;
use crate::plan::WriteBacks;

#[derive(QueryableByName)]
struct Claim {
    #[diesel(sql_type = BigInt)]
    change_seq: i64,
    #[diesel(sql_type = Jsonb)]
    writers: Value,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    write_backs_until: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    now: DateTime<Utc>,
}

/// What came of the `attributes` of a batch.
pub(super) struct WrittenBack<'a> {
    /// The batch; what was refused is concluded otherwise.
    pub batch: Cow<'a, [Completion]>,
    /// The version that each completion counts for.
    pub versions: Vec<i64>,
    /// The targets that got work.
    pub woken: Vec<TargetId>,
}

/// Applies the `attributes` of a batch. A stale fence writes nothing; a deleted
/// subject takes nothing; targets that would go on for ever are stopped
/// (`plan/write_back`). When no other change came in, a completion counts for the
/// version that it made itself.
///
/// Locks are taken in the order of every writer: store, subjects by id, queue
/// rows.
pub(super) fn write_back<'a>(
    connection: &mut PgConnection,
    batch: &'a [Completion],
) -> Result<WrittenBack<'a>, DbError> {
    let versions = batch.iter().map(|completion| completion.version).collect();
    let mut written = WrittenBack { batch: Cow::Borrowed(batch), versions, woken: Vec::new() };
    let mut order: Vec<usize> =
        (0..batch.len()).filter(|index| batch[*index].conclusion.attributes.is_some()).collect();
    order.sort_by_key(|index| batch[*index].subject);
    let mut locked = Vec::new();
    for index in order {
        if let Some(before) = lock_subject(connection, &batch[index])? {
            locked.push((index, before));
        }
    }
    for (index, before) in locked {
        match apply(connection, &batch[index], before)? {
            Applied::Nothing => {}
            Applied::Written(version, targets) => {
                written.versions[index] = version;
                written.woken.extend(targets);
            }
            Applied::Refused(instead) => written.batch.to_mut()[index] = *instead,
        }
    }
    written.woken.sort_unstable();
    written.woken.dedup();
    Ok(written)
}

fn lock_subject(connection: &mut PgConnection, completion: &Completion) -> Result<Option<Subject>, DbError> {
    let Some(store) = subjects::store_of(connection, completion.subject)? else { return Ok(None) };
    lock_store_shared(connection, store)?;
    subjects::load_for_update(connection, completion.subject)
}

enum Applied {
    Nothing,
    /// The version that the completion counts for, and who got work.
    Written(i64, Vec<TargetId>),
    /// The completion that is recorded instead.
    Refused(Box<Completion>),
}

fn apply(
    connection: &mut PgConnection,
    completion: &Completion,
    before: Subject,
) -> Result<Applied, DbError> {
    let Some(patch) = &completion.conclusion.attributes else { return Ok(Applied::Nothing) };
    let Some(claim) = live_claim(connection, completion)? else { return Ok(Applied::Nothing) };
    let mut attributes = before.attributes.clone();
    merge_members(&mut attributes, patch);
    if attributes == before.attributes || before.deleted_at.is_some() {
        return Ok(Applied::Nothing);
    }
    let (change_seq, now) = (claim.change_seq, claim.now);
    let known = claim.known();
    let differs = |name: &&String| attributes.get(*name) != before.attributes.get(*name);
    let changed: Vec<&str> = patch.keys().filter(differs).map(String::as_str).collect();
    let changed = || changed.iter().copied();
    let rivals = known.rivals(completion.target, changed());
    let rivals =
        if rivals.is_empty() { rivals } else { contest::in_force(connection, &rivals, &before, now)? };
    let trigger = completion.run.as_ref().map_or(Trigger::Updated, |run| run.trigger);
    let known = match known.after(completion.target, changed(), &rivals, trigger, now) {
        Ok(after) => after,
        Err(refusal) => return contest::refused(connection, completion, &known, &refusal),
    };
    let after = subjects::set_attributes(connection, &before, attributes, &given_paths(patch), &known)?;
    let untouched = change_seq == completion.change_seq && before.version == completion.version;
    let version = if untouched { after.version } else { completion.version };
    let store = after.store;
    let change = Change { before: Some(before), after, trigger: Trigger::Updated };
    Ok(Applied::Written(version, enqueue(connection, store, &[change], Some(completion.target))?))
}

impl Claim {
    fn known(self) -> WriteBacks {
        // What a later version may have written there is no reason to stop.
        let writers = serde_json::from_value(self.writers).unwrap_or_default();
        WriteBacks { writers, until: self.write_backs_until }
    }
}

/// The queue row's `change_seq` if the completion's fence still holds, and what is
/// known of write-backs to the subject.
fn live_claim(connection: &mut PgConnection, completion: &Completion) -> Result<Option<Claim>, DbError> {
    let claims: Vec<Claim> = sql_query(
        "SELECT p.change_seq, s.writers, s.write_backs_until, clock_timestamp() AS now \
         FROM pending p JOIN subjects s ON s.id = p.subject_id \
         WHERE p.target_id = $1 AND p.subject_id = $2 AND p.fence = $3 AND p.owner IS NOT NULL FOR UPDATE OF p",
    )
    .bind::<BigInt, _>(completion.target.0)
    .bind::<BigInt, _>(completion.subject.0)
    .bind::<BigInt, _>(completion.fence)
    .load(connection)?;
    Ok(claims.into_iter().next())
}
