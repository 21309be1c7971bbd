//! Accounts that a finished import did not name.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz};

use super::{Import, MAX_BATCH};
use crate::domain::ids::{SubjectId, TargetId};
use crate::domain::status::Trigger;
use crate::domain::subject::SubjectKind;
use crate::plan::{DeletionGuard, GuardPolicy};
use crate::storage::held::{self, Departure, Verdicts};
use crate::storage::subjects::{load, lock, lock_for_write, remove};
use crate::storage::{DbError, guard, targets};

/// How many accounts an import did not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Missing {
    /// Those that no line named.
    #[diesel(sql_type = BigInt)]
    pub missing: i64,
    /// All that were there when the import began and still are.
    #[diesel(sql_type = BigInt)]
    pub accounts: i64,
}

impl Missing {
    /// How many may be deleted unasked.
    pub fn allowed(self, guard: &DeletionGuard) -> i64 {
        i64::try_from(guard.most(self.accounts.unsigned_abs())).unwrap_or(i64::MAX)
    }
}

/// Which accounts are the import's to delete when no line names them: binds 1, 2
/// and 3 are the store, the newest account and the time when it began.
macro_rules! was_there {
    () => {
        "s.store_id = $1 AND s.kind = 'account' AND s.deleted_at IS NULL AND s.id <= $2 \
         AND (s.restored_at IS NULL OR s.restored_at < $3)"
    };
}
pub(super) use was_there;

/// Counts the accounts that the import did not name. Accounts that came in
/// while it ran do not count.
///
/// # Errors
/// Only what the database itself does.
pub fn missing(connection: &mut PgConnection, import: Import) -> Result<Missing, DbError> {
    let counted = diesel::sql_query(concat!(
        "SELECT count(*) AS accounts, count(*) FILTER (WHERE seen.subject_id IS NULL) AS missing \
         FROM subjects s LEFT JOIN import_seen seen ON seen.import_id = $4 AND seen.subject_id = s.id \
         WHERE ",
        was_there!()
    ))
    .bind::<BigInt, _>(import.store.0)
    .bind::<BigInt, _>(import.newest.0)
    .bind::<Timestamptz, _>(import.began)
    .bind::<BigInt, _>(import.id)
    .get_result(connection)?;
    Ok(counted)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// What [`delete_missing`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// How many were deleted.
    pub deleted: u64,
    /// None is left.
    pub exhausted: bool,
    /// The targets that got work, to be nudged.
    pub nudge: Vec<TargetId>,
}

#[derive(QueryableByName)]
struct Leaving {
    #[diesel(sql_type = BigInt)]
    target_id: i64,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Lets the guard of each target judge all that [`delete_missing`] is about to
/// remove there, before the first of it. `policy` is the instance's.
///
/// # Errors
/// Only what the database itself does.
pub fn judge_missing(
    connection: &mut PgConnection,
    import: Import,
    policy: &GuardPolicy,
) -> Result<Verdicts, DbError> {
    connection.transaction(|connection| {
        let mut verdicts = Verdicts::new();
        let leaving = leaving(connection, import)?;
        for target in targets::list(connection, Some(import.store))? {
            let counted = leaving.iter().find(|leaving| leaving.target_id == target.id.0);
            let Some(counted) = counted.filter(|_| target.settings.follows_changes()) else { continue };
            let policy = policy.with(target.settings.guard);
            let count = counted.count.unsigned_abs();
            let verdict = guard::judge_whole(connection, &target, &policy, Trigger::Deleted, count)?;
            verdicts.insert(target.id, verdict);
        }
        Ok(verdicts)
    })
}

/// What the targets of the store hold of the accounts that no line named.
fn leaving(connection: &mut PgConnection, import: Import) -> Result<Vec<Leaving>, DbError> {
    let leaving = diesel::sql_query(concat!(
        "SELECT st.target_id, count(*) AS count FROM subjects s \
         JOIN provision_state st ON st.subject_id = s.id AND st.present WHERE ",
        was_there!(),
        " AND NOT EXISTS (SELECT FROM import_seen seen WHERE seen.import_id = $4 AND seen.subject_id = s.id) \
         AND NOT EXISTS (SELECT FROM pending p WHERE p.target_id = st.target_id AND p.subject_id = s.id \
            AND p.departure = 'cleared') \
         GROUP BY st.target_id"
    ))
    .bind::<BigInt, _>(import.store.0)
    .bind::<BigInt, _>(import.newest.0)
    .bind::<Timestamptz, _>(import.began)
    .bind::<BigInt, _>(import.id)
    .load(connection)?;
    Ok(leaving)
}

/// The verdicts as they are by now: a person may have approved a lot meanwhile.
fn current(connection: &mut PgConnection, verdicts: &Verdicts) -> Result<Verdicts, DbError> {
    let now = |(target, verdict): (&TargetId, &Departure)| {
        let verdict = match verdict {
            Departure::Held(lot) => held::standing(connection, *lot)?,
            other => *other,
        };
        Ok((*target, verdict))
    };
    verdicts.iter().map(now).collect()
}

/// Deletes one chunk of the accounts that the import did not name, in its own
/// transaction. `verdicts` are those of [`judge_missing`].
///
/// # Errors
/// Only what the database itself does.
pub fn delete_missing(
    connection: &mut PgConnection,
    import: Import,
    verdicts: &Verdicts,
) -> Result<Deletion, DbError> {
    connection.transaction(|connection| {
        lock_for_write(connection, import.store, SubjectKind::Account)?;
        let verdicts = current(connection, verdicts)?;
        let ids = unnamed(connection, import)?;
        lock(connection, &ids)?;
        let mut live = load(connection, &ids)?;
        live.retain(|subject| subject.deleted_at.is_none());
        let (deleted, nudge) = remove(connection, import.store, live, &verdicts)?;
        Ok(Deletion { deleted: deleted.len() as u64, exhausted: ids.is_empty(), nudge })
    })
}

fn unnamed(connection: &mut PgConnection, import: Import) -> Result<Vec<SubjectId>, DbError> {
    let ids: Vec<Id> = diesel::sql_query(concat!(
        "SELECT s.id FROM subjects s WHERE ",
        was_there!(),
        " AND NOT EXISTS (SELECT FROM import_seen seen WHERE seen.import_id = $4 AND seen.subject_id = s.id) \
         ORDER BY s.id LIMIT $5"
    ))
    .bind::<BigInt, _>(import.store.0)
    .bind::<BigInt, _>(import.newest.0)
    .bind::<Timestamptz, _>(import.began)
    .bind::<BigInt, _>(import.id)
    .bind::<BigInt, _>(i64::try_from(MAX_BATCH).unwrap_or(i64::MAX))
    .load(connection)?;
    Ok(ids.into_iter().map(|row| SubjectId(row.id)).collect())
}
