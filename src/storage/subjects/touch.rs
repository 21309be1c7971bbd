//! Changes of a container that change the records of its members.
//!
//! Members are touched before the container or the memberships are written,
//! so that what is read of them is how they were.

use diesel::prelude::*;

use super::SubjectError;
use super::rows::{self, load, lock};
use super::write::bump;
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::status::Trigger;
use crate::domain::subject::{Container, Subject, SubjectDraft, SubjectKind};
use crate::storage::DbError;
use crate::storage::queue::{self, Change};
use crate::storage::schema::{memberships, subjects};

/// How many members one statement handles.
const CHUNK: usize = 1_000;

/// Locks the live members of a container and returns their ids, sorted.
pub(super) fn lock_members(
    connection: &mut PgConnection,
    container: SubjectId,
) -> Result<Vec<SubjectId>, DbError> {
    let ids: Vec<i64> = memberships::table
        .inner_join(subjects::table.on(subjects::id.eq(memberships::member_id)))
        .filter(memberships::container_id.eq(container.0))
        .filter(subjects::deleted_at.is_null())
        .order(memberships::member_id)
        .select(memberships::member_id)
        .load(connection)?;
    let ids: Vec<SubjectId> = ids.into_iter().map(SubjectId).collect();
    for chunk in ids.chunks(CHUNK) {
        lock(connection, chunk)?;
    }
    Ok(ids)
}

/// Raises the version of each locked account whose containers `edit` changes,
/// and enqueues it. The caller writes the container or the memberships after.
pub(in crate::storage) fn touch(
    connection: &mut PgConnection,
    store: StoreId,
    members: &[SubjectId],
    edit: impl Fn(&mut Vec<Container>),
) -> Result<Vec<TargetId>, DbError> {
    let mut nudge = Vec::new();
    for chunk in members.chunks(CHUNK) {
        let mut changes = Vec::new();
        for before in load(connection, chunk)?.into_iter().filter(|subject| subject.deleted_at.is_none()) {
            let mut containers = before.containers.clone();
            edit(&mut containers);
            rows::sort(&mut containers);
            if containers != before.containers {
                let after = Subject { containers, ..before.clone() };
                changes.push(Change { before: Some(before), after, trigger: Trigger::MembershipChanged });
            }
        }
        stamp(connection, &mut changes)?;
        nudge.append(&mut queue::enqueue(connection, store, &changes, None)?);
    }
    Ok(nudge)
}

fn stamp(connection: &mut PgConnection, changes: &mut [Change]) -> Result<(), DbError> {
    let ids: Vec<SubjectId> = changes.iter().map(|change| change.after.id).collect();
    let stamps = bump(connection, &ids)?;
    for change in changes {
        if let Some(stamp) = stamps.get(&change.after.id) {
            change.after.version = stamp.version;
            change.after.updated_at = stamp.updated_at;
        }
    }
    Ok(())
}

/// Touches the members of a locked container that is about to be written with
/// another name or external id, which their records hold.
pub(super) fn rename(
    connection: &mut PgConnection,
    before: &Subject,
    draft: &SubjectDraft,
) -> Result<Vec<TargetId>, SubjectError> {
    let same = before.display_name == draft.display_name && before.external_id == draft.external_id;
    if same || before.kind == SubjectKind::Account {
        return Ok(Vec::new());
    }
    let members = lock_members(connection, before.id)?;
    let nudge = touch(connection, before.store, &members, |containers| {
        for container in containers.iter_mut().filter(|container| container.id == before.id) {
            container.display_name = draft.display_name.clone().unwrap_or_default();
            container.external_id = draft.external_id.clone();
        }
    })?;
    Ok(nudge)
}

/// Raises the version of a locked container whose list of members was changed
/// by its name, and enqueues it.
pub(in crate::storage) fn note_members_changed(
    connection: &mut PgConnection,
    container: &Subject,
) -> Result<(Subject, Vec<TargetId>), DbError> {
    let change = Change {
        before: Some(container.clone()),
        after: container.clone(),
        trigger: Trigger::MembershipChanged,
    };
    let mut changes = [change];
    stamp(connection, &mut changes)?;
    let nudge = queue::enqueue(connection, container.store, &changes, None)?;
    let [change] = changes;
    Ok((change.after, nudge))
}
