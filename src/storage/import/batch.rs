//! One batch of lines, in one transaction.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};

use super::matching::{Matched, match_lines};
use super::{BadLine, BatchResult, Import, Line};
use crate::domain::ids::SubjectId;
use crate::domain::subject::{FieldError, Subject, SubjectDraft, SubjectKind};
use crate::storage::DbError;
use crate::storage::subjects::{Edit, Outcome, SubjectError, errors, load, lock, lock_for_write, save};

/// Writes a batch of lines. A line that breaks a rule is reported and does not
/// keep the others from being written.
///
/// # Errors
/// Only what the database itself does; the batch may be given again then.
pub fn batch(connection: &mut PgConnection, import: Import, lines: &[Line]) -> Result<BatchResult, DbError> {
    for _ in 0..DEADLOCK_RETRIES {
        match attempt(connection, import, lines) {
            Ok(result) => return Ok(result),
            Err(SubjectError::Db(error)) if is_deadlock(&error) => log::info!("again: {error}"),
            Err(SubjectError::Db(error)) => return Err(error),
            // Somebody took a name between the check and the write: that line
            // alone has to fail.
            Err(_) => return one_by_one(connection, import, lines),
        }
    }
    one_by_one(connection, import, lines)
}

/// How often a batch is tried as a whole when another import that names the
/// same new accounts in another order is in its way.
const DEADLOCK_RETRIES: usize = 3;

fn is_deadlock(error: &DbError) -> bool {
    matches!(error, DbError::Unavailable(message) if message.contains("deadlock detected"))
}

fn one_by_one(connection: &mut PgConnection, import: Import, lines: &[Line]) -> Result<BatchResult, DbError> {
    let mut all = BatchResult::default();
    for line in lines {
        // Whoever took the name has committed by now: the second time the line
        // finds that account, or says whose the name is.
        let once = attempt(connection, import, std::slice::from_ref(line));
        let result = match once {
            Err(SubjectError::Conflict { .. }) => attempt(connection, import, std::slice::from_ref(line)),
            other => other,
        };
        match result {
            Ok(result) => all.add(result),
            Err(SubjectError::Db(error)) => return Err(error),
            Err(error) => all.bad.push(BadLine { number: line.number, error: blame(error) }),
        }
    }
    Ok(all)
}

fn blame(error: SubjectError) -> FieldError {
    match error {
        SubjectError::Conflict { field } => FieldError::new(field, "belongs to another account"),
        other => FieldError::new("", other.to_string()),
    }
}

impl BatchResult {
    fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.bad.extend(other.bad);
        self.nudge.extend(other.nudge);
    }
}

fn attempt(
    connection: &mut PgConnection,
    import: Import,
    lines: &[Line],
) -> Result<BatchResult, SubjectError> {
    connection.transaction(|connection| {
        let mut result = BatchResult::default();
        let good = well_formed(lines, &mut result.bad);
        lock_for_write(connection, import.store, SubjectKind::Account)?;
        let matched = match_lines(connection, import, &good, &mut result.bad)?;
        let (numbers, edits) = edits(connection, matched, &mut result.bad)?;
        let saved = save(connection, import.store, SubjectKind::Account, edits)?;
        let seen = result.count(numbers, saved.outcomes);
        note_seen(connection, import, &seen)?;
        result.nudge = saved.nudge;
        Ok(result)
    })
}

fn well_formed<'a>(lines: &'a [Line], bad: &mut Vec<BadLine>) -> Vec<&'a Line> {
    let mut good = Vec::with_capacity(lines.len());
    for line in lines {
        match errors(&line.draft, SubjectKind::Account).into_iter().next() {
            None => good.push(line),
            Some(error) => bad.push(BadLine { number: line.number, error }),
        }
    }
    good
}

/// Locks and reads the accounts that exist, and pairs them with their lines.
fn edits(
    connection: &mut PgConnection,
    matched: Vec<Matched<'_>>,
    bad: &mut Vec<BadLine>,
) -> Result<(Vec<u64>, Vec<Edit>), DbError> {
    let ids: Vec<SubjectId> = matched.iter().filter_map(|(_, account)| *account).collect();
    lock(connection, &ids)?;
    let subjects = load(connection, &ids)?;
    let written_back = written_back(connection, &ids)?;
    let mut live: HashMap<SubjectId, Subject> = subjects
        .into_iter()
        .filter(|subject| subject.deleted_at.is_none())
        .map(|subject| (subject.id, subject))
        .collect();
    let (mut numbers, mut edits) = (Vec::new(), Vec::new());
    for (line, account) in matched {
        let before = account.and_then(|id| live.remove(&id));
        if account.is_some() && before.is_none() {
            let error = FieldError::new("userName", "named an account that was deleted meanwhile");
            bad.push(BadLine { number: line.number, error });
        } else {
            numbers.push(line.number);
            let mut draft = line.draft.clone();
            if let Some(before) = &before {
                keep_written_back(&mut draft, before, &written_back);
            }
            edits.push(Edit { before, draft });
        }
    }
    Ok((numbers, edits))
}

#[derive(QueryableByName)]
struct WrittenBack {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Array<Text>)]
    written_back: Vec<String>,
}

/// The attributes that logic wrote, by account.
fn written_back(
    connection: &mut PgConnection,
    ids: &[SubjectId],
) -> Result<HashMap<SubjectId, Vec<String>>, DbError> {
    let rows: Vec<WrittenBack> = diesel::sql_query(
        "SELECT id, written_back FROM subjects WHERE id = ANY($1) AND written_back <> '{}'",
    )
    .bind::<Array<BigInt>, _>(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .load(connection)?;
    Ok(rows.into_iter().map(|row| (SubjectId(row.id), row.written_back)).collect())
}

/// The source of an import does not know what logic wrote back. What its line
/// leaves out stays, or every import would erase it and every run write it anew.
fn keep_written_back(
    draft: &mut SubjectDraft,
    before: &Subject,
    written_back: &HashMap<SubjectId, Vec<String>>,
) {
    for name in written_back.get(&before.id).into_iter().flatten() {
        if let Some(value) = before.attributes.get(name) {
            draft.attributes.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}

impl BatchResult {
    /// Counts outcomes; returns the accounts that the lines named.
    fn count(&mut self, numbers: Vec<u64>, outcomes: Vec<Outcome>) -> Vec<SubjectId> {
        let mut seen = Vec::with_capacity(outcomes.len());
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Created(subject) => {
                    self.created += 1;
                    seen.push(subject.id);
                }
                Outcome::Updated(change) => {
                    self.updated += 1;
                    seen.push(change.after.id);
                }
                Outcome::Unchanged(subject) => {
                    self.unchanged += 1;
                    seen.push(subject.id);
                }
                Outcome::Refused(error) => self.bad.push(BadLine { number, error }),
            }
        }
        seen
    }
}

fn note_seen(connection: &mut PgConnection, import: Import, seen: &[SubjectId]) -> Result<(), DbError> {
    diesel::sql_query(
        "INSERT INTO import_seen (import_id, subject_id) SELECT $1, unnest($2) ON CONFLICT DO NOTHING",
    )
    .bind::<BigInt, _>(import.id)
    .bind::<Array<BigInt>, _>(seen.iter().map(|id| id.0).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}
