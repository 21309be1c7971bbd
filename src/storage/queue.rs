//! Stub; the queue itself comes with the engine.

use diesel::PgConnection;

use super::DbError;
use crate::domain::ids::{StoreId, TargetId};
use crate::domain::status::Trigger;
use crate::domain::subject::Subject;

/// A change of a subject that targets may have to be told of.
#[derive(Debug, Clone)]
pub struct Change {
    /// The record before; `None` when it was created.
    pub before: Option<Subject>,
    /// The record after.
    pub after: Subject,
    /// What happened.
    pub trigger: Trigger,
}

/// Makes due work of changes; returns the targets to nudge.
pub fn enqueue(
    _connection: &mut PgConnection,
    _store: StoreId,
    _changes: &[Change],
    _skip_target: Option<TargetId>,
) -> Result<Vec<TargetId>, DbError> {
    Ok(Vec::new())
}

/// Keeps filters of the store as they are until the transaction ends.
pub fn lock_store_shared(_connection: &mut PgConnection, _store: StoreId) -> Result<(), DbError> {
    Ok(())
}
