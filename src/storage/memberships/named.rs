//! From texts to the accounts that they name.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use crate::domain::ids::{StoreId, SubjectId};
use crate::domain::subject::{FieldError, SubjectKind};
use crate::storage::schema::subjects;
use crate::storage::subjects::SubjectError;

#[derive(QueryableByName)]
struct Account {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    user_name: Option<String>,
}

/// The live accounts of a store that texts name by id or user name. `field` is
/// the one to blame for a text that names none.
pub(super) fn accounts(
    connection: &mut PgConnection,
    store: StoreId,
    field: &str,
    texts: &[String],
) -> Result<BTreeSet<SubjectId>, SubjectError> {
    let ids: Vec<i64> = texts.iter().filter_map(|text| text.parse().ok().map(|SubjectId(id)| id)).collect();
    let names: Vec<String> =
        texts.iter().filter(|text| !text.contains('\0')).map(|text| text.to_ascii_lowercase()).collect();
    let found: Vec<Account> = diesel::sql_query(
        "SELECT id, user_name FROM subjects WHERE store_id = $1 AND kind = 'account' AND deleted_at IS NULL \
         AND (id = ANY($2) OR lower(user_name COLLATE \"C\") = ANY($3))",
    )
    .bind::<BigInt, _>(store.0)
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Text>, _>(names)
    .load(connection)?;
    pick(&found, field, texts)
}

/// Checks that a live account of the store has this id.
pub(super) fn account(
    connection: &mut PgConnection,
    store: StoreId,
    field: &str,
    id: SubjectId,
) -> Result<(), SubjectError> {
    let live = subjects::table
        .filter(subjects::id.eq(id.0).and(subjects::store_id.eq(store.0)))
        .filter(subjects::kind.eq(SubjectKind::Account.as_str()).and(subjects::deleted_at.is_null()))
        .select(subjects::id);
    match live.first::<i64>(connection).optional()? {
        Some(_) => Ok(()),
        None => Err(unknown(field, &id.to_string())),
    }
}

/// A text that is one account's id and another one's name is refused: nobody
/// should join a group by accident.
fn pick(found: &[Account], field: &str, texts: &[String]) -> Result<BTreeSet<SubjectId>, SubjectError> {
    let by_name: BTreeMap<String, i64> = found
        .iter()
        .filter_map(|account| Some((account.user_name.as_ref()?.to_ascii_lowercase(), account.id)))
        .collect();
    let by_id: BTreeSet<i64> = found.iter().map(|account| account.id).collect();
    let mut picked = BTreeSet::new();
    for text in texts {
        let as_id = text.parse().ok().map(|SubjectId(id)| id).filter(|id| by_id.contains(id));
        let as_name = by_name.get(&text.to_ascii_lowercase()).copied();
        match (as_id, as_name) {
            (Some(id), Some(other)) if id != other => return Err(ambiguous(field, text)),
            (Some(id), _) | (None, Some(id)) => picked.insert(SubjectId(id)),
            (None, None) => return Err(unknown(field, text)),
        };
    }
    Ok(picked)
}

fn ambiguous(field: &str, text: &str) -> SubjectError {
    SubjectError::Invalid(vec![FieldError::new(
        field,
        format!("must not name `{text}`: it is the id of one account and the user name of another"),
    )])
}

fn unknown(field: &str, text: &str) -> SubjectError {
    let text: String = text.chars().take(64).collect();
    SubjectError::Invalid(vec![FieldError::new(
        field,
        format!("must name accounts of the store: `{text}` is none"),
    )])
}
