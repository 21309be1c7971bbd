//! Subjects that were deleted and come back: the same id, and what each target
//! holds of them. A person asks for it by id, or the source names the external id
//! again, unless the store wants new subjects then.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};

use super::conflict::Wanted;
use super::touch::{lock_members, touch};
use super::{Edit, SubjectError, Written, expect_version, keep_written_back, lock_for_write, save};
use super::{load, load_for_update};
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::subject::{Container, Subject, SubjectDraft, SubjectKind};
use crate::storage::DbError;

/// Restores a deleted subject as it was; one that lives stays as it is. It belongs
/// to what it belonged to, as far as that lives; a container has the members again
/// that it had.
///
/// # Errors
/// [`SubjectError::Unknown`], [`SubjectError::VersionMismatch`], and
/// [`SubjectError::Conflict`] when another one has a name of it by now; nothing is
/// written then.
pub fn restore(
    connection: &mut PgConnection,
    id: SubjectId,
    if_match: Option<&[i64]>,
) -> Result<Written, SubjectError> {
    let known = load(connection, &[id])?.pop().ok_or(SubjectError::Unknown)?;
    let wanted = Wanted::of(known.store, known.kind, &known.draft());
    let restored = connection.transaction(|connection| {
        lock_for_write(connection, known.store, known.kind)?;
        let before = load_for_update(connection, id)?.ok_or(SubjectError::Unknown)?;
        expect_version(&before, if_match)?;
        if before.deleted_at.is_none() {
            return Ok(Written { before: Some(before.clone()), subject: before, nudge: Vec::new() });
        }
        let draft = before.draft();
        bring_back(connection, Edit { before: Some(before), draft })
    });
    restored.map_err(|error| wanted.explain(connection, error))
}

#[derive(QueryableByName)]
struct Deleted {
    #[diesel(sql_type = Text)]
    external_id: String,
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// The subjects that had these external ids and were deleted, of several the
/// latest. None in a store that restores nobody by itself.
pub(in crate::storage) fn deleted(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
    external_ids: &[&str],
) -> Result<HashMap<String, SubjectId>, DbError> {
    if external_ids.is_empty() {
        return Ok(HashMap::new());
    }
    // Each is looked up by its index, and none where nothing was ever deleted.
    let rows: Vec<Deleted> = diesel::sql_query(
        "SELECT wanted.external_id, found.id FROM unnest($3) AS wanted (external_id) CROSS JOIN LATERAL ( \
            SELECT s.id FROM subjects s WHERE s.store_id = $1 AND s.kind = $2 AND s.deleted_at IS NOT NULL \
            AND s.external_id = wanted.external_id ORDER BY s.deleted_at DESC LIMIT 1) AS found \
         WHERE (SELECT restore_on_return FROM stores WHERE id = $1) \
            AND EXISTS (SELECT FROM subjects WHERE store_id = $1 AND kind = $2 AND deleted_at IS NOT NULL)",
    )
    .bind::<BigInt, _>(store.0)
    .bind::<Text, _>(kind.as_str())
    .bind::<Array<Text>, _>(external_ids)
    .load(connection)?;
    Ok(rows.into_iter().map(|row| (row.external_id, SubjectId(row.id))).collect())
}

/// Writes a draft whose external id a deleted subject had: that one is restored.
/// `None` when there is none.
pub(super) fn returning(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
    draft: &SubjectDraft,
) -> Result<Option<Written>, SubjectError> {
    let Some(external_id) = draft.external_id.as_deref() else { return Ok(None) };
    let found = deleted(connection, store, kind, &[external_id])?.remove(external_id);
    let Some(id) = found else { return Ok(None) };
    let before = load_for_update(connection, id)?.filter(|subject| subject.deleted_at.is_some());
    let Some(before) = before else { return Ok(None) };
    let mut edit = [Edit { before: Some(before), draft: draft.clone() }];
    keep_written_back(connection, &mut edit)?;
    let [edit] = edit;
    bring_back(connection, edit).map(Some)
}

/// Restores a locked tombstone with the record of a draft.
fn bring_back(connection: &mut PgConnection, edit: Edit) -> Result<Written, SubjectError> {
    let Some(before) = &edit.before else { return Err(SubjectError::Unknown) };
    let (store, kind) = (before.store, before.kind);
    let mut nudge = if kind == SubjectKind::Account {
        Vec::new()
    } else {
        welcome_members(connection, before, &edit.draft)?
    };
    let mut written = save(connection, store, kind, vec![edit])?.only()?;
    written.nudge.append(&mut nudge);
    Ok(written)
}

/// The records of the members hold the container again.
fn welcome_members(
    connection: &mut PgConnection,
    before: &Subject,
    draft: &SubjectDraft,
) -> Result<Vec<TargetId>, DbError> {
    if before.kind == SubjectKind::Organization {
        forget_who_moved_on(connection, before.id)?;
    }
    let members = lock_members(connection, before.id)?;
    touch(connection, before.store, &members, |containers| {
        containers.push(Container {
            id: before.id,
            kind: before.kind,
            display_name: draft.display_name.clone().unwrap_or_default(),
            external_id: draft.external_id.clone(),
        });
    })
}

/// Nobody belongs to two organizations.
fn forget_who_moved_on(connection: &mut PgConnection, organization: SubjectId) -> Result<(), DbError> {
    diesel::sql_query(
        "DELETE FROM memberships m WHERE m.container_id = $1 AND EXISTS (SELECT FROM memberships other \
            JOIN subjects o ON o.id = other.container_id AND o.kind = 'organization' AND o.deleted_at IS NULL \
            WHERE other.member_id = m.member_id AND other.container_id <> $1)",
    )
    .bind::<BigInt, _>(organization.0)
    .execute(connection)?;
    Ok(())
}
