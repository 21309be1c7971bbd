//! Lines that wait for a user name which another account has. They are kept in the
//! database: there may be many, and long ones.

use std::collections::{BTreeSet, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::matching::{Blocked, folded, name_taken};
use super::missing::was_there;
use super::order::{Fate, Step, order};
use super::{BadLine, BatchResult, Import, Keys, Line};
use crate::domain::ids::SubjectId;
use crate::domain::subject::{FieldError, SubjectDraft, SubjectStatus};
use crate::storage::DbError;

/// Most lines of an import that may wait.
pub const MAX_WAITING: usize = 100_000;

/// A draft as text.
#[derive(Serialize, Deserialize)]
struct Kept {
    external_id: Option<String>,
    user_name: Option<String>,
    display_name: Option<String>,
    status: SubjectStatus,
    attributes: Map<String, Value>,
    groups: BTreeSet<String>,
    organization: Option<String>,
}

impl From<SubjectDraft> for Kept {
    fn from(draft: SubjectDraft) -> Self {
        let SubjectDraft { external_id, user_name, display_name, status, attributes, groups, organization } =
            draft;
        Self { external_id, user_name, display_name, status, attributes, groups, organization }
    }
}

impl From<Kept> for SubjectDraft {
    fn from(kept: Kept) -> Self {
        let Kept { external_id, user_name, display_name, status, attributes, groups, organization } = kept;
        Self { external_id, user_name, display_name, status, attributes, groups, organization }
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Keeps lines until the end of the file. What there is no room for is bad.
pub(super) fn keep(
    connection: &mut PgConnection,
    import: Import,
    blocked: &[Blocked<'_>],
    result: &mut BatchResult,
) -> Result<(), DbError> {
    let kept: Count = diesel::sql_query("SELECT count(*) FROM import_waiting WHERE import_id = $1")
        .bind::<BigInt, _>(import.id)
        .get_result(connection)?;
    let room = MAX_WAITING.saturating_sub(usize::try_from(kept.count).unwrap_or(MAX_WAITING));
    let (kept, rest) = blocked.split_at(room.min(blocked.len()));
    result.bad.extend(rest.iter().map(|blocked| {
        let FieldError { field, rule } = blocked.error();
        let rule = format!("{rule}, and {MAX_WAITING} lines wait for such names already: import it again");
        BadLine::new(blocked.line, FieldError { field, rule })
    }));
    let text = |blocked: &Blocked<'_>| serde_json::to_string(&Kept::from(blocked.line.draft.clone()));
    let drafts: Result<Vec<String>, _> = kept.iter().map(text).collect();
    let drafts = drafts.map_err(|error| DbError::Corrupt(error.to_string()))?;
    diesel::sql_query(
        "INSERT INTO import_waiting (import_id, number, account_id, external_id, user_name, draft) \
         SELECT $1, * FROM unnest($2, $3, $4, $5, $6)",
    )
    .bind::<BigInt, _>(import.id)
    .bind::<Array<BigInt>, _>(kept.iter().map(|blocked| signed(blocked.line.number)).collect::<Vec<_>>())
    .bind::<Array<Nullable<BigInt>>, _>(
        kept.iter().map(|blocked| blocked.account.map(|id| id.0)).collect::<Vec<_>>(),
    )
    .bind::<Array<Nullable<Text>>, _>(
        kept.iter().map(|blocked| blocked.line.draft.external_id.as_deref()).collect::<Vec<_>>(),
    )
    .bind::<Array<Text>, _>(kept.iter().map(|blocked| folded(blocked.line)).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(drafts)
    .execute(connection)?;
    result.waiting += kept.len() as u64;
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    account_id: Option<i64>,
    #[diesel(sql_type = Text)]
    draft: String,
}

/// Lines that were kept, and the accounts that were noted for them.
pub(super) fn load(
    connection: &mut PgConnection,
    import: Import,
    wanted: &[u64],
) -> Result<(Vec<Line>, HashSet<SubjectId>), DbError> {
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT number, account_id, draft FROM import_waiting WHERE import_id = $1 AND number = ANY($2) \
         ORDER BY number",
    )
    .bind::<BigInt, _>(import.id)
    .bind::<Array<BigInt>, _>(wanted.iter().map(|number| signed(*number)).collect::<Vec<_>>())
    .load(connection)?;
    let noted = rows.iter().filter_map(|row| row.account_id.map(SubjectId)).collect();
    let line = |row: Row| {
        let kept: Kept =
            serde_json::from_str(&row.draft).map_err(|error| DbError::Corrupt(error.to_string()))?;
        Ok(Line { number: row.number.unsigned_abs(), draft: kept.into() })
    };
    Ok((rows.into_iter().map(line).collect::<Result<_, DbError>>()?, noted))
}

/// Forgets lines that wait no longer.
pub(super) fn forget(connection: &mut PgConnection, import: Import, settled: &[u64]) -> Result<(), DbError> {
    diesel::sql_query("DELETE FROM import_waiting WHERE import_id = $1 AND number = ANY($2)")
        .bind::<BigInt, _>(import.id)
        .bind::<Array<BigInt>, _>(settled.iter().map(|number| signed(*number)).collect::<Vec<_>>())
        .execute(connection)?;
    Ok(())
}

/// What can be done about the lines that wait.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Numbers of lines to [`settle`](super::settle), in this order. Those of a batch
    /// hand names on among each other.
    pub batches: Vec<Vec<u64>>,
    /// Lines whose name is free when the accounts are deleted that no line names.
    pub leaving: Vec<BadLine>,
    /// Lines whose name stays with another account; they are forgotten.
    pub stuck: Vec<BadLine>,
}

#[derive(QueryableByName)]
struct Wait {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    account_id: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    external_id: Option<String>,
    #[diesel(sql_type = Text)]
    user_name: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    holder_id: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    holder_external_id: Option<String>,
    #[diesel(sql_type = Bool)]
    leaves: bool,
}

/// Looks at the lines that wait: whose name is free by now, or will be when others
/// of them are written, and whose is not.
///
/// # Errors
/// Only what the database itself does.
pub fn waiting(connection: &mut PgConnection, import: Import) -> Result<Waiting, DbError> {
    let waits = waits(connection, import)?;
    if waits.is_empty() {
        return Ok(Waiting::default());
    }
    let steps: Vec<Step<'_>> = waits.iter().map(Wait::step).collect();
    let (groups, fates) = order(&steps);
    let mut waiting = Waiting { batches: packed(&waits, groups), ..Waiting::default() };
    for (wait, fate) in waits.iter().zip(fates) {
        match fate {
            Fate::Free => {}
            Fate::Leaves => waiting.leaving.push(wait.bad(wait.taken())),
            Fate::Stuck => waiting.stuck.push(wait.bad(wait.taken())),
            Fate::Twin(first) => {
                let rule = format!("is that of line {}", waits[first].number);
                waiting.stuck.push(wait.bad(FieldError::new("userName", rule)));
            }
            Fate::LongRing(length) => {
                let rule = format!("is handed on in a ring of {length} accounts, which is too long a one");
                waiting.stuck.push(wait.bad(FieldError::new("userName", rule)));
            }
        }
    }
    let stuck: Vec<u64> = waiting.stuck.iter().map(|bad| bad.number).collect();
    forget(connection, import, &stuck)?;
    Ok(waiting)
}

/// A line without an external id may well be about the account that has its name:
/// it does not wait for that one to be deleted.
fn waits(connection: &mut PgConnection, import: Import) -> Result<Vec<Wait>, DbError> {
    let waits = diesel::sql_query(concat!(
        "SELECT w.number, w.account_id, w.external_id, w.user_name, holder.id AS holder_id, \
            holder.external_id AS holder_external_id, \
            coalesce(holder.leaves AND w.external_id IS NOT NULL, false) AS leaves \
         FROM import_waiting w LEFT JOIN LATERAL (SELECT s.id, s.external_id, (",
        was_there!(),
        " AND NOT EXISTS (SELECT FROM import_seen seen WHERE seen.import_id = $4 AND seen.subject_id = s.id)) \
                AS leaves \
            FROM subjects s WHERE s.store_id = $1 AND s.kind = 'account' AND s.deleted_at IS NULL \
            AND lower(s.user_name COLLATE \"C\") = w.user_name LIMIT 1) AS holder ON true \
         WHERE w.import_id = $4 ORDER BY w.number"
    ))
    .bind::<BigInt, _>(import.store.0)
    .bind::<BigInt, _>(import.newest.0)
    .bind::<Timestamptz, _>(import.began)
    .bind::<BigInt, _>(import.id)
    .load(connection)?;
    Ok(waits)
}

impl Wait {
    fn step(&self) -> Step<'_> {
        Step {
            name: &self.user_name,
            account: self.account_id.map(SubjectId),
            holder: self.holder_id.map(SubjectId),
            leaves: self.leaves,
        }
    }

    fn taken(&self) -> FieldError {
        let Some(holder) = self.holder_id else {
            return FieldError::new("userName", "belongs to another account");
        };
        let FieldError { field, mut rule } =
            name_taken(SubjectId(holder), self.holder_external_id.as_deref());
        if self.leaves {
            rule.push_str("; no good line names that account, and the name is free once it is deleted");
        }
        FieldError { field, rule }
    }

    fn bad(&self, error: FieldError) -> BadLine {
        let keys = Keys { external_id: self.external_id.clone(), user_name: Some(self.user_name.clone()) };
        BadLine { number: self.number.unsigned_abs(), keys, error }
    }
}

/// Batches of groups, each of which stays together.
fn packed(waits: &[Wait], groups: Vec<Vec<usize>>) -> Vec<Vec<u64>> {
    let mut batches: Vec<Vec<u64>> = Vec::new();
    for group in groups {
        let group = group.into_iter().map(|index| waits[index].number.unsigned_abs());
        match batches.last_mut() {
            Some(batch) if batch.len() + group.len() <= super::MAX_BATCH => batch.extend(group),
            _ => batches.push(group.collect()),
        }
    }
    batches
}
