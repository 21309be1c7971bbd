//! Bulk import of accounts: batches of lines, one transaction each, and the
//! deletion of what no line named.
//!
//! A line is the whole record, as in a PUT. It is matched by external id; a
//! line whose external id is new is matched by user name only if that account
//! has no external id yet: a name that passes from one person to another must
//! not hand the account over.

mod batch;
mod matching;
mod missing;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::DbError;
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::subject::{FieldError, SubjectDraft};

pub use batch::batch;
pub use missing::{Deletion, Missing, delete_missing, judge_missing, missing};

/// Most lines that one batch should have.
pub const MAX_BATCH: usize = 500;

/// An import that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Import {
    /// The store that it writes to.
    pub store: StoreId,
    /// Its number.
    id: i64,
    /// The newest account when it began; younger ones are not its to delete.
    newest: SubjectId,
}

/// A line that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// The record that it holds.
    pub draft: SubjectDraft,
}

/// A line that was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number in the file, from 1.
    pub number: u64,
    /// The field at fault and the rule that it breaks.
    pub error: FieldError,
}

/// What a batch did.
#[derive(Debug, Default)]
pub struct BatchResult {
    /// Accounts that are new.
    pub created: u64,
    /// Accounts whose version rose.
    pub updated: u64,
    /// Accounts that are as the line says.
    pub unchanged: u64,
    /// Lines that were not imported.
    pub bad: Vec<BadLine>,
    /// The targets that got work, to be nudged.
    pub nudge: Vec<TargetId>,
}

#[derive(QueryableByName)]
struct Begun {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    newest: i64,
}

/// Begins an import into a store.
///
/// # Errors
/// Only what the database itself does.
pub fn begin(connection: &mut PgConnection, store: StoreId) -> Result<Import, DbError> {
    let begun: Begun = diesel::sql_query(
        "SELECT nextval('import_seq') AS id, coalesce(max(id), 0) AS newest FROM subjects \
         WHERE store_id = $1 AND kind = 'account'",
    )
    .bind::<BigInt, _>(store.0)
    .get_result(connection)?;
    Ok(Import { store, id: begun.id, newest: SubjectId(begun.newest) })
}

/// Has the planner see how the store has grown. Until PostgreSQL does so by
/// itself, which takes it a minute, it takes the store for empty, and may look
/// names up in an index that does not know them.
///
/// # Errors
/// Only what the database itself does.
pub fn take_stock(connection: &mut PgConnection) -> Result<(), DbError> {
    diesel::sql_query("ANALYZE (SKIP_LOCKED) subjects, memberships").execute(connection)?;
    Ok(())
}

/// Forgets what an import has noted; its writes stay.
///
/// # Errors
/// Only what the database itself does.
pub fn finish(connection: &mut PgConnection, import: Import) -> Result<(), DbError> {
    diesel::sql_query("DELETE FROM import_seen WHERE import_id = $1")
        .bind::<BigInt, _>(import.id)
        .execute(connection)?;
    Ok(())
}
