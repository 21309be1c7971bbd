//! Deleting: a subject becomes a tombstone, because targets may still have to
//! be told. Memberships of a tombstone stay, so that logic still sees them.

use diesel::prelude::*;

use super::touch::{lock_members, touch};
use super::write::tombstone;
use super::{SubjectError, lock_live};
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::status::Trigger;
use crate::domain::subject::{Subject, SubjectKind};
use crate::storage::held::Verdicts;
use crate::storage::queue::{self, Change};
use crate::storage::{DbError, subjects::Written};

/// Deletes a subject. A deleted container leaves the records of its members.
///
/// # Errors
/// [`SubjectError::NotFound`], [`SubjectError::Deleted`],
/// [`SubjectError::VersionMismatch`].
pub fn delete(
    connection: &mut PgConnection,
    kind: SubjectKind,
    id: SubjectId,
    if_match: Option<&[i64]>,
) -> Result<Written, SubjectError> {
    connection.transaction(|connection| {
        let before = lock_live(connection, kind, id, if_match)?;
        let mut nudge = Vec::new();
        if kind != SubjectKind::Account {
            let members = lock_members(connection, id)?;
            nudge = touch(connection, before.store, &members, |containers| {
                containers.retain(|container| container.id != id);
            })?;
        }
        let (mut tombstones, targets) =
            remove(connection, before.store, vec![before.clone()], &Verdicts::default())?;
        nudge.extend(targets);
        let subject = tombstones.pop().unwrap_or_else(|| before.clone());
        Ok(Written { before: Some(before), subject, nudge })
    })
}

/// Makes tombstones of locked, live subjects and enqueues them; `verdicts` are
/// those of the guards, if they have judged the removals already.
pub(in crate::storage) fn remove(
    connection: &mut PgConnection,
    store: StoreId,
    subjects: Vec<Subject>,
    verdicts: &Verdicts,
) -> Result<(Vec<Subject>, Vec<TargetId>), DbError> {
    let ids: Vec<SubjectId> = subjects.iter().map(|subject| subject.id).collect();
    let stamps = tombstone(connection, &ids)?;
    let changes: Vec<Change> = subjects
        .into_iter()
        .filter_map(|before| {
            let stamp = stamps.get(&before.id)?;
            let after = Subject {
                version: stamp.version,
                updated_at: stamp.updated_at,
                deleted_at: Some(stamp.updated_at),
                ..before.clone()
            };
            Some(Change { before: Some(before), after, trigger: Trigger::Deleted })
        })
        .collect();
    let nudge = queue::enqueue_judged(connection, store, &changes, None, verdicts)?;
    Ok((changes.into_iter().map(|change| change.after).collect(), nudge))
}
