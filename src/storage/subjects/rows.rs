//! Reading subjects.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt};

use crate::domain::ids::{StoreId, SubjectId};
use crate::domain::subject::{Container, Subject};
use crate::storage::DbError;
use crate::storage::schema::subjects;
use crate::storage::subject_row::SubjectRow;

/// The subjects with these ids, in the order of `ids`, tombstones included;
/// ids that do not exist are left out. Containers are those that live and whose
/// membership is valid now.
///
/// # Errors
/// Only what the database itself does.
pub fn load(connection: &mut PgConnection, ids: &[SubjectId]) -> Result<Vec<Subject>, DbError> {
    let rows: Vec<SubjectRow> =
        sql_query(format!("SELECT {} FROM subjects s WHERE s.id = ANY($1)", SubjectRow::COLUMNS))
            .bind::<Array<BigInt>, _>(numbers(ids))
            .load(connection)?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let mut subject = row.read()?;
        sort(&mut subject.containers);
        found.insert(subject.id, subject);
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// The store that holds a subject, `None` when there is no such subject.
///
/// # Errors
/// Only what the database itself does.
pub fn store_of(connection: &mut PgConnection, id: SubjectId) -> Result<Option<StoreId>, DbError> {
    let store = subjects::table.find(id.0).select(subjects::store_id).first::<i64>(connection).optional()?;
    Ok(store.map(StoreId))
}

/// A subject, locked against other writers until the transaction ends.
///
/// # Errors
/// Only what the database itself does.
pub fn load_for_update(connection: &mut PgConnection, id: SubjectId) -> Result<Option<Subject>, DbError> {
    lock(connection, &[id])?;
    Ok(load(connection, &[id])?.pop())
}

/// Locks rows against other writers, in the order of their ids, so that two
/// batches cannot wait for each other, and in the mode that lets memberships
/// refer to them meanwhile. What is read afterwards is as new as the lock.
pub(in crate::storage) fn lock(connection: &mut PgConnection, ids: &[SubjectId]) -> Result<(), DbError> {
    subjects::table
        .filter(subjects::id.eq_any(numbers(ids)))
        .order(subjects::id)
        .select(subjects::id)
        .for_no_key_update()
        .load::<i64>(connection)?;
    Ok(())
}

/// The bare numbers of ids, as a bind.
pub(in crate::storage) fn numbers(ids: &[SubjectId]) -> Vec<i64> {
    ids.iter().map(|id| id.0).collect()
}

/// Puts containers into the order in which a subject lists them: kind, then name.
pub(in crate::storage) fn sort(containers: &mut [Container]) {
    containers.sort_by(|a, b| (a.kind, &a.display_name, a.id).cmp(&(b.kind, &b.display_name, b.id)));
}
