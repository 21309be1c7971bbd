//! One batch of lines, in one transaction.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};

use super::matching::{Matched, Matches, match_lines};
use super::{BadLine, BatchResult, Import, Line, waiting};
use crate::domain::ids::SubjectId;
use crate::domain::subject::{FieldError, Subject, SubjectKind};
use crate::storage::DbError;
use crate::storage::subjects::{
    Edit, Outcome, SubjectError, errors, keep_written_back, load, lock, lock_for_write, save,
};

/// Lines to write.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    /// For which import.
    pub import: Import,
    /// Which.
    pub lines: &'a [Line],
    /// Of lines that have waited for a user name, the accounts that were noted for
    /// them. They wait no longer. `None` of lines as they come.
    pub noted: Option<&'a HashSet<SubjectId>>,
}

/// Writes a batch of lines. A line that breaks a rule is reported and does not
/// keep the others from being written; one whose user name another account has is
/// put aside for [`settle`].
///
/// # Errors
/// Only what the database itself does; the batch may be given again then.
pub fn batch(connection: &mut PgConnection, import: Import, lines: &[Line]) -> Result<BatchResult, DbError> {
    write(connection, Job { import, lines, noted: None })
}

/// Writes lines that have waited, in one batch; see [`waiting()`](super::waiting()).
///
/// # Errors
/// Only what the database itself does.
pub fn settle(
    connection: &mut PgConnection,
    import: Import,
    numbers: &[u64],
) -> Result<BatchResult, DbError> {
    let (lines, noted) = waiting::load(connection, import, numbers)?;
    let result = write(connection, Job { import, lines: &lines, noted: Some(&noted) })?;
    waiting::forget(connection, import, numbers)?;
    Ok(result)
}

fn write(connection: &mut PgConnection, job: Job<'_>) -> Result<BatchResult, DbError> {
    for _ in 0..RETRIES {
        match attempt(connection, job) {
            Ok(result) => return Ok(result),
            Err(SubjectError::Db(error)) if is_deadlock(&error) => log::info!("again: {error}"),
            Err(SubjectError::Db(error)) => return Err(error),
            // Somebody took a name between the check and the write. The next check
            // sees it; names that are handed on in a ring have to be written together.
            Err(error) => log::info!("again: {error}"),
        }
    }
    one_by_one(connection, job)
}

/// How often a batch is tried as a whole when another import that names the
/// same new accounts in another order is in its way.
const RETRIES: usize = 3;

fn is_deadlock(error: &DbError) -> bool {
    matches!(error, DbError::Unavailable(message) if message.contains("deadlock detected"))
}

fn one_by_one(connection: &mut PgConnection, job: Job<'_>) -> Result<BatchResult, DbError> {
    let mut all = BatchResult::default();
    for line in job.lines {
        // Whoever took the name has committed by now: the second time the line
        // finds that account, or says whose the name is.
        let alone = Job { lines: std::slice::from_ref(line), ..job };
        let result = match attempt(connection, alone) {
            Err(SubjectError::Conflict { .. }) => attempt(connection, alone),
            other => other,
        };
        match result {
            Ok(result) => all.add(result),
            Err(SubjectError::Db(error)) => return Err(error),
            Err(error) => all.bad.push(BadLine::new(line, blame(error))),
        }
    }
    Ok(all)
}

fn blame(error: SubjectError) -> FieldError {
    match error {
        SubjectError::Conflict { field, .. } => FieldError::new(field, "belongs to another account"),
        other => FieldError::new("", other.to_string()),
    }
}

fn attempt(connection: &mut PgConnection, job: Job<'_>) -> Result<BatchResult, SubjectError> {
    let import = job.import;
    connection.transaction(|connection| {
        let mut result = BatchResult::default();
        let good = well_formed(job.lines, &mut result.bad);
        lock_for_write(connection, import.store, SubjectKind::Account)?;
        let Matches { matched, blocked } = match_lines(connection, job, &good, &mut result.bad)?;
        let (lines, edits) = edits(connection, matched, &mut result.bad)?;
        let saved = save(connection, import.store, SubjectKind::Account, edits)?;
        let mut seen = result.count(lines, saved.outcomes);
        result.nudge = saved.nudge;
        if job.noted.is_some() {
            result.bad.extend(blocked.iter().map(|blocked| BadLine::new(blocked.line, blocked.error())));
        } else if !blocked.is_empty() {
            seen.extend(blocked.iter().filter_map(|blocked| blocked.account));
            waiting::keep(connection, import, &blocked, &mut result)?;
        }
        note_seen(connection, import, &seen)?;
        Ok(result)
    })
}

fn well_formed<'a>(lines: &'a [Line], bad: &mut Vec<BadLine>) -> Vec<&'a Line> {
    let mut good = Vec::with_capacity(lines.len());
    for line in lines {
        match errors(&line.draft, SubjectKind::Account).into_iter().next() {
            None => good.push(line),
            Some(error) => bad.push(BadLine::new(line, error)),
        }
    }
    good
}

/// Locks and reads the accounts that exist, and pairs them with their lines.
fn edits<'a>(
    connection: &mut PgConnection,
    matched: Vec<Matched<'a>>,
    bad: &mut Vec<BadLine>,
) -> Result<(Vec<&'a Line>, Vec<Edit>), DbError> {
    let ids: Vec<SubjectId> = matched.iter().filter_map(|matched| matched.account).collect();
    lock(connection, &ids)?;
    let mut subjects: HashMap<SubjectId, Subject> =
        load(connection, &ids)?.into_iter().map(|subject| (subject.id, subject)).collect();
    let (mut lines, mut edits) = (Vec::with_capacity(matched.len()), Vec::with_capacity(matched.len()));
    for Matched { line, account, returns } in matched {
        let before = account.and_then(|id| subjects.remove(&id));
        let before = before.filter(|subject| returns || subject.deleted_at.is_none());
        if account.is_some() && before.is_none() {
            let error = FieldError::new("userName", "named an account that was deleted meanwhile");
            bad.push(BadLine::new(line, error));
        } else {
            lines.push(line);
            edits.push(Edit { before, draft: line.draft.clone() });
        }
    }
    keep_written_back(connection, &mut edits)?;
    Ok((lines, edits))
}

impl BatchResult {
    fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.restored += other.restored;
        self.unchanged += other.unchanged;
        self.waiting += other.waiting;
        self.bad.extend(other.bad);
        self.nudge.extend(other.nudge);
    }

    /// Counts outcomes; returns the accounts that the lines named.
    fn count(&mut self, lines: Vec<&Line>, outcomes: Vec<Outcome>) -> Vec<SubjectId> {
        let mut seen = Vec::with_capacity(outcomes.len());
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Created(subject) => {
                    self.created += 1;
                    seen.push(subject.id);
                }
                Outcome::Updated(change) => {
                    let was_deleted =
                        change.before.as_ref().is_some_and(|before| before.deleted_at.is_some());
                    *(if was_deleted { &mut self.restored } else { &mut self.updated }) += 1;
                    seen.push(change.after.id);
                }
                Outcome::Unchanged(subject) => {
                    self.unchanged += 1;
                    seen.push(subject.id);
                }
                Outcome::Refused(error) => self.bad.push(BadLine::new(line, error)),
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
