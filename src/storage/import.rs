//! Bulk import of accounts: batches of lines, one transaction each, then the lines
//! that had to wait for a user name, and the deletion of what no line named.
//!
//! A line is the whole record, as in a PUT. It is matched by external id: a living
//! account first, then a deleted one, which is restored. A line whose external id is
//! new, or that has none, is matched by user name only if that account has no
//! external id: a name that passes from one person to another must not hand the
//! account over.
//!
//! A name that another account has is no fault of the line: that account may be
//! given another name further down, or be named by no line at all. Such lines wait
//! (`import_waiting`) until the end of the file.

mod batch;
mod matching;
mod missing;
mod order;
mod waiting;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz};

use super::DbError;
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::subject::{FieldError, SubjectDraft};

pub use batch::{batch, settle};
pub use missing::{Deletion, Missing, delete_missing, judge_missing, missing};
pub use waiting::{MAX_WAITING, Waiting, waiting};

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
    /// When it began; accounts that others restored later are not its to delete.
    began: DateTime<Utc>,
}

/// A line that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// The record that it holds.
    pub draft: SubjectDraft,
}

/// Whom a line is about, as far as it says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Its external id.
    pub external_id: Option<String>,
    /// Its user name.
    pub user_name: Option<String>,
}

/// A line that was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Whom it is about.
    pub keys: Keys,
    /// The field at fault and the rule that it breaks.
    pub error: FieldError,
}

impl BadLine {
    fn new(line: &Line, error: FieldError) -> Self {
        let SubjectDraft { external_id, user_name, .. } = &line.draft;
        let keys = Keys { external_id: external_id.clone(), user_name: user_name.clone() };
        Self { number: line.number, keys, error }
    }
}

/// What a batch did.
#[derive(Debug, Default)]
pub struct BatchResult {
    /// Accounts that are new.
    pub created: u64,
    /// Accounts whose version rose.
    pub updated: u64,
    /// Deleted accounts that live again.
    pub restored: u64,
    /// Accounts that are as the line says.
    pub unchanged: u64,
    /// Lines that wait for a user name.
    pub waiting: u64,
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
    #[diesel(sql_type = Timestamptz)]
    began: DateTime<Utc>,
}

/// Begins an import into a store.
///
/// # Errors
/// Only what the database itself does.
pub fn begin(connection: &mut PgConnection, store: StoreId) -> Result<Import, DbError> {
    let begun: Begun = diesel::sql_query(
        "SELECT nextval('import_seq') AS id, coalesce(max(id), 0) AS newest, clock_timestamp() AS began \
         FROM subjects WHERE store_id = $1 AND kind = 'account'",
    )
    .bind::<BigInt, _>(store.0)
    .get_result(connection)?;
    Ok(Import { store, id: begun.id, newest: SubjectId(begun.newest), began: begun.began })
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

/// Notes accounts as named that have one of these external ids or user names:
/// what is known of lines that could not be imported.
///
/// # Errors
/// Only what the database itself does.
pub fn spare(
    connection: &mut PgConnection,
    import: Import,
    external_ids: &[String],
    user_names: &[String],
) -> Result<(), DbError> {
    let folded: Vec<String> = user_names.iter().map(|name| name.to_ascii_lowercase()).collect();
    diesel::sql_query(
        "INSERT INTO import_seen (import_id, subject_id) SELECT $1, s.id FROM subjects s \
         WHERE s.store_id = $2 AND s.kind = 'account' AND s.deleted_at IS NULL \
            AND (s.external_id = ANY($3) OR lower(s.user_name COLLATE \"C\") = ANY($4)) ON CONFLICT DO NOTHING",
    )
    .bind::<BigInt, _>(import.id)
    .bind::<BigInt, _>(import.store.0)
    .bind::<Array<Text>, _>(external_ids)
    .bind::<Array<Text>, _>(folded)
    .execute(connection)?;
    Ok(())
}

/// Forgets what an import has noted; its writes stay.
///
/// # Errors
/// Only what the database itself does.
pub fn finish(connection: &mut PgConnection, import: Import) -> Result<(), DbError> {
    for notes in ["import_seen", "import_waiting"] {
        diesel::sql_query(format!("DELETE FROM {notes} WHERE import_id = $1"))
            .bind::<BigInt, _>(import.id)
            .execute(connection)?;
    }
    Ok(())
}
