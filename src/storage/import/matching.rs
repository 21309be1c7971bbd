//! Which account a line is about, found for a whole batch with one query, and a
//! second one for those that may have been deleted.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use super::batch::Job;
use super::{BadLine, Import, Line};
use crate::domain::ids::SubjectId;
use crate::domain::subject::{FieldError, SubjectKind};
use crate::storage::DbError;
use crate::storage::subjects::{deleted, numbers};

/// A line and the account that it is about.
#[derive(Debug)]
pub(super) struct Matched<'a> {
    /// The line.
    pub line: &'a Line,
    /// The account, `None` when it is new.
    pub account: Option<SubjectId>,
    /// The account was deleted and comes back.
    pub returns: bool,
}

/// A line whose user name another account has.
#[derive(Debug)]
pub(super) struct Blocked<'a> {
    /// The line.
    pub line: &'a Line,
    /// The account that it is about, `None` when it is new.
    pub account: Option<SubjectId>,
    holder: Known,
}

/// What became of the lines that are not bad.
#[derive(Debug, Default)]
pub(super) struct Matches<'a> {
    /// Can be written, all together: a user name that one gives up another one of
    /// them may take.
    pub matched: Vec<Matched<'a>>,
    /// Cannot be written now.
    pub blocked: Vec<Blocked<'a>>,
}

#[derive(Debug, Clone, QueryableByName)]
struct Known {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    external_id: Option<String>,
    #[diesel(sql_type = Text)]
    user_name: String,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    seen: bool,
}

impl Blocked<'_> {
    /// Why it cannot be written.
    pub(super) fn error(&self) -> FieldError {
        name_taken(SubjectId(self.holder.id), self.holder.external_id.as_deref())
    }
}

/// A user name that an account has which the line is not about.
pub(super) fn name_taken(holder: SubjectId, external_id: Option<&str>) -> FieldError {
    let known_by = match external_id {
        Some(external_id) => format!("the external id `{external_id}`"),
        None => "no external id".into(),
    };
    FieldError::new("userName", format!("belongs to account {holder}, which has {known_by}"))
}

fn named_twice() -> FieldError {
    FieldError::new("userName", "names an account that another line names")
}

/// A line with what was found about it.
struct Candidate<'a, 'k> {
    line: &'a Line,
    account: Option<SubjectId>,
    returns: bool,
    /// Another account that has its user name.
    holder: Option<&'k Known>,
}

/// Finds the account of each line; what cannot be imported goes to `bad`.
pub(super) fn match_lines<'a>(
    connection: &mut PgConnection,
    job: Job<'_>,
    lines: &[&'a Line],
    bad: &mut Vec<BadLine>,
) -> Result<Matches<'a>, DbError> {
    let known = known(connection, job.import, lines)?;
    let index = Index::of(&known);
    let mut candidates = Vec::with_capacity(lines.len());
    for line in lines {
        let (account, holder) = index.find(line);
        let is_own = |account: &Known| job.noted.is_some_and(|noted| noted.contains(&SubjectId(account.id)));
        if account.is_some_and(|account| account.seen && !is_own(account)) {
            bad.push(BadLine::new(line, named_twice()));
        } else {
            let account = account.map(|account| SubjectId(account.id));
            candidates.push(Candidate { line, account, returns: false, holder });
        }
    }
    find_deleted(connection, job, &mut candidates, bad)?;
    let mut named = Named::default();
    candidates.retain(|candidate| match named.note(candidate.line, candidate.account) {
        Ok(()) => true,
        Err(error) => {
            bad.push(BadLine::new(candidate.line, error));
            false
        }
    });
    Ok(split(candidates))
}

/// Looks for deleted accounts that had the external ids of lines that no living
/// account is found for.
fn find_deleted(
    connection: &mut PgConnection,
    job: Job<'_>,
    candidates: &mut Vec<Candidate<'_, '_>>,
    bad: &mut Vec<BadLine>,
) -> Result<(), DbError> {
    let unknown = candidates.iter().filter(|candidate| candidate.account.is_none());
    let external_ids: Vec<&str> =
        unknown.filter_map(|candidate| candidate.line.draft.external_id.as_deref()).collect();
    let found = deleted(connection, job.import.store, SubjectKind::Account, &external_ids)?;
    if found.is_empty() {
        return Ok(());
    }
    let ids: Vec<SubjectId> = found.values().copied().collect();
    let seen = if job.noted.is_some() { HashSet::new() } else { seen(connection, job.import, &ids)? };
    candidates.retain_mut(|candidate| {
        let external_id = candidate.line.draft.external_id.as_ref().filter(|_| candidate.account.is_none());
        let Some(id) = external_id.and_then(|external_id| found.get(external_id)) else { return true };
        (candidate.account, candidate.returns) = (Some(*id), true);
        if seen.contains(id) {
            bad.push(BadLine::new(candidate.line, named_twice()));
        }
        !seen.contains(id)
    });
    Ok(())
}

/// Tells those that can be written together from those whose user name stays with
/// another account.
fn split<'a>(candidates: Vec<Candidate<'a, '_>>) -> Matches<'a> {
    let mut moving: HashSet<SubjectId> =
        candidates.iter().filter_map(|candidate| candidate.account).collect();
    // No two lines of the batch have one name, so an account among them gives up
    // the name that another line wants.
    let is_free = |moving: &HashSet<SubjectId>, candidate: &Candidate<'_, '_>| {
        candidate.holder.is_none_or(|holder| moving.contains(&SubjectId(holder.id)))
    };
    loop {
        let staying: Vec<SubjectId> = candidates
            .iter()
            .filter(|candidate| !is_free(&moving, candidate))
            .filter_map(|candidate| candidate.account)
            .filter(|account| moving.contains(account))
            .collect();
        if staying.is_empty() {
            break;
        }
        staying.iter().for_each(|account| _ = moving.remove(account));
    }
    let mut matches = Matches::default();
    for candidate in candidates {
        let is_free = is_free(&moving, &candidate);
        let Candidate { line, account, returns, holder } = candidate;
        match holder.filter(|_| !is_free) {
            Some(holder) => matches.blocked.push(Blocked { line, account, holder: holder.clone() }),
            None => matches.matched.push(Matched { line, account, returns }),
        }
    }
    matches
}

fn known(connection: &mut PgConnection, import: Import, lines: &[&Line]) -> Result<Vec<Known>, DbError> {
    let external_ids: Vec<&str> = lines.iter().filter_map(|line| line.draft.external_id.as_deref()).collect();
    let user_names: Vec<String> = lines.iter().map(|line| folded(line)).collect();
    // Each name is looked up by its index, whatever the planner knows or thinks
    // it knows of the table: joined or in one condition with OR, a batch would
    // read the whole store. `seen` is no EXISTS for the same reason.
    let known = diesel::sql_query(
        "SELECT id, external_id, lower(user_name COLLATE \"C\") AS user_name, \
           coalesce((SELECT true FROM import_seen WHERE import_id = $4 AND subject_id = id), false) AS seen \
         FROM subjects WHERE id = ANY(ARRAY( \
           SELECT (SELECT s.id FROM subjects s WHERE s.store_id = $1 AND s.kind = 'account' \
                AND s.deleted_at IS NULL AND s.external_id = name) FROM unnest($2) AS name \
           UNION SELECT (SELECT s.id FROM subjects s WHERE s.store_id = $1 AND s.kind = 'account' \
                AND s.deleted_at IS NULL AND lower(s.user_name COLLATE \"C\") = name) FROM unnest($3) AS name))",
    )
    .bind::<BigInt, _>(import.store.0)
    .bind::<Array<Text>, _>(external_ids)
    .bind::<Array<Text>, _>(user_names)
    .bind::<BigInt, _>(import.id)
    .load(connection)?;
    Ok(known)
}

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
}

fn seen(
    connection: &mut PgConnection,
    import: Import,
    ids: &[SubjectId],
) -> Result<HashSet<SubjectId>, DbError> {
    let seen: Vec<Seen> =
        diesel::sql_query("SELECT subject_id FROM import_seen WHERE import_id = $1 AND subject_id = ANY($2)")
            .bind::<BigInt, _>(import.id)
            .bind::<Array<BigInt>, _>(numbers(ids))
            .load(connection)?;
    Ok(seen.into_iter().map(|row| SubjectId(row.subject_id)).collect())
}

/// The user name that a line gives, its ASCII letters in lower case.
pub(super) fn folded(line: &Line) -> String {
    line.draft.user_name.as_deref().unwrap_or_default().to_ascii_lowercase()
}

/// The accounts that the lines of a batch may be about.
struct Index<'a> {
    by_external_id: HashMap<&'a str, &'a Known>,
    by_user_name: HashMap<&'a str, &'a Known>,
}

impl<'a> Index<'a> {
    fn of(known: &'a [Known]) -> Self {
        Self {
            by_external_id: known
                .iter()
                .filter_map(|account| Some((account.external_id.as_deref()?, account)))
                .collect(),
            by_user_name: known.iter().map(|account| (account.user_name.as_str(), account)).collect(),
        }
    }

    /// The account that a line is about, and the other one that has its user name.
    fn find(&self, line: &Line) -> (Option<&'a Known>, Option<&'a Known>) {
        let external_id = line.draft.external_id.as_deref();
        let by_id = external_id.and_then(|external_id| self.by_external_id.get(external_id)).copied();
        let by_name = self.by_user_name.get(folded(line).as_str()).copied();
        match (by_id, by_name) {
            (Some(account), holder) => (Some(account), holder.filter(|holder| holder.id != account.id)),
            (None, Some(identified)) if identified.external_id.is_some() => (None, Some(identified)),
            (None, account) => (account, None),
        }
    }
}

/// What the lines of a batch have named so far.
#[derive(Default)]
struct Named<'a> {
    user_names: HashMap<String, u64>,
    external_ids: HashMap<&'a str, u64>,
    accounts: HashSet<SubjectId>,
}

impl<'a> Named<'a> {
    fn note(&mut self, line: &'a Line, account: Option<SubjectId>) -> Result<(), FieldError> {
        let external_id = line.draft.external_id.as_deref();
        if let Some(first) = self.user_names.get(&folded(line)) {
            return Err(FieldError::new("userName", format!("is that of line {first}")));
        }
        if let Some(first) = external_id.and_then(|external_id| self.external_ids.get(external_id)) {
            return Err(FieldError::new("externalId", format!("is that of line {first}")));
        }
        if account.is_some_and(|account| !self.accounts.insert(account)) {
            return Err(named_twice());
        }
        self.user_names.insert(folded(line), line.number);
        self.external_ids.extend(external_id.map(|external_id| (external_id, line.number)));
        Ok(())
    }
}
