//! The statements that write rows of `subjects`, many at a time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use serde_json::{Map, Value};

use super::SubjectError;
use super::rows::numbers;
use crate::domain::ids::{StoreId, SubjectId};
use crate::domain::subject::{Subject, SubjectDraft, SubjectKind};
use crate::plan::WriteBacks;
use crate::storage::subject_row::SubjectRow;
use crate::storage::{DbError, former_names};

/// The columns of many drafts, turned on their side for `unnest`.
struct Columns<'a> {
    external_id: Vec<Option<&'a str>>,
    user_name: Vec<Option<&'a str>>,
    display_name: Vec<Option<&'a str>>,
    status: Vec<&'static str>,
    attributes: Vec<String>,
}

impl<'a> Columns<'a> {
    fn of(drafts: &[&'a SubjectDraft]) -> Self {
        Self {
            external_id: drafts.iter().map(|draft| draft.external_id.as_deref()).collect(),
            user_name: drafts.iter().map(|draft| draft.user_name.as_deref()).collect(),
            display_name: drafts.iter().map(|draft| draft.display_name.as_deref()).collect(),
            status: drafts.iter().map(|draft| draft.status.as_str()).collect(),
            attributes: drafts.iter().map(|draft| json_text(&draft.attributes)).collect(),
        }
    }
}

fn json_text(attributes: &Map<String, Value>) -> String {
    serde_json::to_string(attributes).unwrap_or_else(|_| "{}".into())
}

/// What a taken name means for an insert.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// The statement fails.
    Fails,
    /// The row is left out of the answer.
    Skips,
}

/// Inserts drafts of one kind. The subjects come back in no particular order
/// and belong to nothing yet.
pub(super) fn insert(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
    drafts: &[&SubjectDraft],
    taken: Taken,
) -> Result<Vec<Subject>, SubjectError> {
    let columns = Columns::of(drafts);
    let on_conflict = if taken == Taken::Skips { "ON CONFLICT DO NOTHING" } else { "" };
    let rows: Vec<SubjectRow> = diesel::sql_query(format!(
        "INSERT INTO subjects AS s (store_id, kind, external_id, user_name, display_name, status, attributes) \
         SELECT $1, $2, external_id, user_name, display_name, status, attributes::jsonb \
         FROM unnest($3, $4, $5, $6, $7) WITH ORDINALITY \
              AS draft (external_id, user_name, display_name, status, attributes, position) \
         ORDER BY position {on_conflict} RETURNING {}",
        SubjectRow::COLUMNS
    ))
    .bind::<BigInt, _>(store.0)
    .bind::<Text, _>(kind.as_str())
    .bind::<Array<Nullable<Text>>, _>(columns.external_id)
    .bind::<Array<Nullable<Text>>, _>(columns.user_name)
    .bind::<Array<Nullable<Text>>, _>(columns.display_name)
    .bind::<Array<Text>, _>(columns.status)
    .bind::<Array<Text>, _>(columns.attributes)
    .load(connection)?;
    Ok(rows.into_iter().map(SubjectRow::read).collect::<Result<_, _>>()?)
}

/// The version of a row after a write, and when that was.
#[derive(Debug, Clone, Copy, QueryableByName)]
pub(in crate::storage) struct Stamp {
    #[diesel(sql_type = BigInt)]
    id: i64,
    /// The version after the write.
    #[diesel(sql_type = BigInt)]
    pub version: i64,
    /// When the version rose.
    #[diesel(sql_type = Timestamptz)]
    pub updated_at: DateTime<Utc>,
}

/// The stamps of a statement by subject.
pub(in crate::storage) type Stamps = HashMap<SubjectId, Stamp>;

/// The attributes that logic wrote, as they are stored, by subject.
pub(super) type WrittenBack = HashMap<SubjectId, Vec<String>>;

fn by_id(stamps: Vec<Stamp>) -> Stamps {
    stamps.into_iter().map(|stamp| (SubjectId(stamp.id), stamp)).collect()
}

#[derive(QueryableByName)]
struct Updated {
    #[diesel(embed)]
    stamp: Stamp,
    #[diesel(sql_type = Array<Text>)]
    written_back: Vec<String>,
}

/// Replaces the records of rows that the caller has locked; tombstones live
/// again. Returns, of those that have any, the attributes that logic wrote, too.
pub(super) fn update(
    connection: &mut PgConnection,
    edits: &[(SubjectId, &SubjectDraft)],
) -> Result<(Stamps, WrittenBack), SubjectError> {
    let ids: Vec<i64> = edits.iter().map(|(id, _)| id.0).collect();
    let drafts: Vec<&SubjectDraft> = edits.iter().map(|(_, draft)| *draft).collect();
    let columns = Columns::of(&drafts);
    former_names::renaming(connection, &ids, &columns.user_name, &columns.external_id)?;
    let rows: Vec<Updated> = diesel::sql_query(
        "UPDATE subjects SET external_id = draft.external_id, user_name = draft.user_name, \
             display_name = draft.display_name, status = draft.status, attributes = draft.attributes::jsonb, \
             version = version + 1, updated_at = clock_timestamp(), deleted_at = NULL, \
             restored_at = CASE WHEN deleted_at IS NULL THEN restored_at ELSE clock_timestamp() END, \
             writers = '{}', write_backs_until = NULL \
         FROM unnest($1, $2, $3, $4, $5, $6) \
              AS draft (id, external_id, user_name, display_name, status, attributes) \
         WHERE subjects.id = draft.id RETURNING subjects.id, version, updated_at, written_back",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Nullable<Text>>, _>(columns.external_id)
    .bind::<Array<Nullable<Text>>, _>(columns.user_name)
    .bind::<Array<Nullable<Text>>, _>(columns.display_name)
    .bind::<Array<Text>, _>(columns.status)
    .bind::<Array<Text>, _>(columns.attributes)
    .load(connection)?;
    let mut written_back = WrittenBack::new();
    let mut stamps = Stamps::with_capacity(rows.len());
    for Updated { stamp, written_back: written } in rows {
        let id = SubjectId(stamp.id);
        stamps.insert(id, stamp);
        if !written.is_empty() {
            written_back.insert(id, written);
        }
    }
    Ok((stamps, written_back))
}

/// Takes the user names of locked rows away until [`update`] gives them others,
/// in the same transaction: another row of the statement may be in need of them.
/// What stands there meanwhile no user name can be.
pub(super) fn vacate(connection: &mut PgConnection, ids: &[SubjectId]) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::sql_query("UPDATE subjects SET user_name = E'\\x01' || id WHERE id = ANY($1)")
        .bind::<Array<BigInt>, _>(numbers(ids))
        .execute(connection)?;
    Ok(())
}

/// Raises the version of rows whose record changed outside their own row.
pub(in crate::storage) fn bump(connection: &mut PgConnection, ids: &[SubjectId]) -> Result<Stamps, DbError> {
    stamp(
        connection,
        ids,
        "version = version + 1, updated_at = clock_timestamp(), writers = '{}', write_backs_until = NULL",
    )
}

/// Makes tombstones of rows that the caller has locked.
pub(super) fn tombstone(connection: &mut PgConnection, ids: &[SubjectId]) -> Result<Stamps, DbError> {
    former_names::deleting(connection, &numbers(ids))?;
    // One moment for both columns: a tombstone's last change is its deletion.
    stamp(
        connection,
        ids,
        "version = version + 1, updated_at = statement_timestamp(), deleted_at = statement_timestamp()",
    )
}

fn stamp(connection: &mut PgConnection, ids: &[SubjectId], assignments: &str) -> Result<Stamps, DbError> {
    let stamps = diesel::sql_query(format!(
        "UPDATE subjects SET {assignments} WHERE id = ANY($1) RETURNING id, version, updated_at"
    ))
    .bind::<Array<BigInt>, _>(numbers(ids))
    .load::<Stamp>(connection)?;
    Ok(by_id(stamps))
}

/// Replaces the attributes of one row that the caller has locked, and notes
/// which of them logic wrote.
pub(super) fn set_attributes(
    connection: &mut PgConnection,
    id: SubjectId,
    attributes: &Map<String, Value>,
    written_back: &[String],
    known: &WriteBacks,
) -> Result<Stamp, DbError> {
    let stamp = diesel::sql_query(
        "UPDATE subjects SET attributes = $2::jsonb, version = version + 1, updated_at = clock_timestamp(), \
         written_back = ARRAY(SELECT DISTINCT unnest(written_back || $3)), \
         writers = $4::jsonb, write_backs_until = $5 \
         WHERE id = $1 RETURNING id, version, updated_at",
    )
    .bind::<BigInt, _>(id.0)
    .bind::<Text, _>(json_text(attributes))
    .bind::<Array<Text>, _>(written_back)
    .bind::<Text, _>(serde_json::to_string(&known.writers).unwrap_or_else(|_| "{}".into()))
    .bind::<Nullable<Timestamptz>, _>(known.until)
    .get_result::<Stamp>(connection)?;
    Ok(stamp)
}
