//! Attributes that logic wrote, or members of them. Their source does not know
//! them: a record that leaves them out, be it a PUT, a POST of someone who comes back
//! or a line of an import, does not erase them, or each would, and every run write
//! them anew. A value that the source gives, `null` included, is the source's from
//! then on.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};

use super::Edit;
use super::rows::numbers;
use super::same::same;
use super::write::WrittenBack;
use crate::domain::ids::SubjectId;
use crate::domain::json::{Path, fill_in, value_at};
use crate::domain::subject::{Subject, SubjectDraft};
use crate::storage::DbError;

/// A path as it is stored: a JSON array of its steps.
pub(super) fn text(path: &Path) -> String {
    serde_json::Value::from(path.clone()).to_string()
}

/// Before, only names of whole attributes were stored, as they are.
fn path(text: &str) -> Path {
    serde_json::from_str(text).unwrap_or_else(|_| vec![text.to_owned()])
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Array<Text>)]
    written_back: Vec<String>,
}

/// Adds what logic wrote to drafts that leave it out. The subjects are locked.
pub(in crate::storage) fn keep_written_back(
    connection: &mut PgConnection,
    edits: &mut [Edit],
) -> Result<(), DbError> {
    let ids: Vec<SubjectId> =
        edits.iter().filter_map(|edit| edit.before.as_ref()).map(|before| before.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let written = written_back(connection, &ids)?;
    for Edit { before, draft } in edits {
        let Some(before) = before else { continue };
        for path in written.get(&before.id).into_iter().flatten().map(|text| path(text)) {
            if let Some(value) = value_at(&before.attributes, &path) {
                fill_in(&mut draft.attributes, &path, value);
            }
        }
    }
    Ok(())
}

fn written_back(connection: &mut PgConnection, ids: &[SubjectId]) -> Result<WrittenBack, DbError> {
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT id, written_back FROM subjects WHERE id = ANY($1) AND written_back <> '{}'",
    )
    .bind::<Array<BigInt>, _>(numbers(ids))
    .load(connection)?;
    Ok(rows.into_iter().map(|row| (SubjectId(row.id), row.written_back)).collect())
}

/// What has another value after an update is no longer logic's.
pub(super) fn forget_replaced<'a>(
    connection: &mut PgConnection,
    updated: impl Iterator<Item = (&'a Subject, &'a SubjectDraft)>,
    written: &WrittenBack,
) -> Result<(), DbError> {
    if written.is_empty() {
        return Ok(());
    }
    let updated: HashMap<SubjectId, _> =
        updated.map(|(before, draft)| (before.id, (before, draft))).collect();
    let (mut ids, mut replaced) = (Vec::new(), Vec::new());
    for (id, texts) in written {
        let Some((before, draft)) = updated.get(id) else { continue };
        for text in texts {
            let path = path(text);
            let (old, new) = (value_at(&before.attributes, &path), value_at(&draft.attributes, &path));
            if !old.zip(new).is_some_and(|(old, new)| same(old, new)) {
                ids.push(id.0);
                replaced.push(text.as_str());
            }
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "UPDATE subjects s SET written_back = ARRAY(SELECT path FROM unnest(s.written_back) AS path \
            WHERE NOT EXISTS (SELECT FROM unnest($1, $2) AS replaced (id, path) \
                WHERE replaced.id = s.id AND replaced.path = path.path)) \
         WHERE s.id = ANY($1)",
    )
    .bind::<Array<BigInt>, _>(&ids)
    .bind::<Array<Text>, _>(&replaced)
    .execute(connection)?;
    Ok(())
}
