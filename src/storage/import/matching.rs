//! Which account a line is about, found for a whole batch with one query.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use super::{BadLine, Import, Line};
use crate::domain::ids::SubjectId;
use crate::domain::subject::FieldError;
use crate::storage::DbError;

/// A line and the account that it is about, `None` when that is new.
pub(super) type Matched<'a> = (&'a Line, Option<SubjectId>);

#[derive(QueryableByName)]
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

/// Finds the account of each line; what cannot be imported goes to `bad`.
pub(super) fn match_lines<'a>(
    connection: &mut PgConnection,
    import: Import,
    lines: &[&'a Line],
    bad: &mut Vec<BadLine>,
) -> Result<Vec<Matched<'a>>, DbError> {
    let known = known(connection, import, lines)?;
    let index = Index::of(&known);
    let mut named = Named::default();
    let mut matched = Vec::with_capacity(lines.len());
    for line in lines {
        match index.find(line).and_then(|account| named.note(line, account)) {
            Ok(account) => matched.push((*line, account)),
            Err(error) => bad.push(BadLine { number: line.number, error }),
        }
    }
    Ok(matched)
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

fn folded(line: &Line) -> String {
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

    fn find(&self, line: &Line) -> Result<Option<SubjectId>, FieldError> {
        let external_id = line.draft.external_id.as_deref();
        let by_id = external_id.and_then(|external_id| self.by_external_id.get(external_id));
        let by_name = self.by_user_name.get(folded(line).as_str());
        let account = match (by_id, by_name) {
            (Some(account), Some(other)) if account.id != other.id => return Err(name_taken(other)),
            (Some(account), _) => Some(account),
            (None, Some(other)) if external_id.is_some() && other.external_id.is_some() => {
                return Err(name_taken(other));
            }
            (None, other) => other,
        };
        match account {
            Some(account) if account.seen => {
                Err(FieldError::new("userName", "names an account that an earlier line named"))
            }
            account => Ok(account.map(|account| SubjectId(account.id))),
        }
    }
}

fn name_taken(account: &Known) -> FieldError {
    let other = match &account.external_id {
        Some(external_id) => format!("another external id, `{external_id}`"),
        None => "no external id".into(),
    };
    FieldError::new("userName", format!("belongs to account {}, which has {other}", account.id))
}

/// What the lines of a batch have named so far.
#[derive(Default)]
struct Named<'a> {
    user_names: HashMap<String, u64>,
    external_ids: HashMap<&'a str, u64>,
    accounts: HashSet<SubjectId>,
}

impl<'a> Named<'a> {
    fn note(&mut self, line: &'a Line, account: Option<SubjectId>) -> Result<Option<SubjectId>, FieldError> {
        let external_id = line.draft.external_id.as_deref();
        if let Some(first) = self.user_names.get(&folded(line)) {
            return Err(FieldError::new("userName", format!("is that of line {first}")));
        }
        if let Some(first) = external_id.and_then(|external_id| self.external_ids.get(external_id)) {
            return Err(FieldError::new("externalId", format!("is that of line {first}")));
        }
        if account.is_some_and(|account| !self.accounts.insert(account)) {
            return Err(FieldError::new("userName", "names an account that an earlier line named"));
        }
        self.user_names.insert(folded(line), line.number);
        self.external_ids.extend(external_id.map(|external_id| (external_id, line.number)));
        Ok(account)
    }
}
