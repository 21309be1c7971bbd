//! Pages of subjects, by keyset: a page begins after an id, so that subjects
//! that come or go meanwhile neither repeat nor hide others.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use super::filter_sql;
use super::subject_row::SubjectRow;
use super::{DbError, Measured};
use crate::domain::filter::Filter;
use crate::domain::ids::StoreId;
use crate::domain::subject::{Subject, SubjectKind};

/// Whether deleted subjects are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Life {
    /// Those that live.
    #[default]
    Living,
    /// Those that were deleted.
    Deleted,
    /// Both.
    Any,
}

impl Life {
    const fn condition(self) -> &'static str {
        match self {
            Self::Living => "s.deleted_at IS NULL",
            Self::Deleted => "s.deleted_at IS NOT NULL",
            Self::Any => "true",
        }
    }
}

/// Which subjects to list.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Their kind.
    pub kind: SubjectKind,
    /// Only the account with this log-in name, whatever the case of its ASCII letters.
    pub user_name: Option<String>,
    /// Only the one with this external id.
    pub external_id: Option<String>,
    /// Only those that match.
    pub filter: Option<Filter>,
    /// Living or deleted.
    pub life: Life,
}

/// At most `limit` of the subjects wanted after the id `after`, in the order
/// of their ids, with their sizes.
///
/// # Errors
/// Only what the database itself does.
pub fn sizes(
    connection: &mut PgConnection,
    store: StoreId,
    wanted: &Wanted,
    after: i64,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Measured>, DbError> {
    let filter = wanted.filter.as_ref().map(|filter| filter_sql::compile(filter, 7, now));
    let condition = filter.as_ref().map_or("true", |filter| &filter.sql);
    Ok(diesel::sql_query(format!(
        "SELECT t.id, octet_length(t::text)::bigint AS size FROM (\
         SELECT {} FROM subjects s WHERE s.store_id = $1 AND s.kind = $2 AND s.id > $3 AND {} \
         AND ($4 IS NULL OR lower(s.user_name COLLATE \"C\") = $4) AND ($5 IS NULL OR s.external_id = $5) \
         AND {condition} ORDER BY s.id LIMIT $6) AS t ORDER BY t.id",
        SubjectRow::COLUMNS,
        wanted.life.condition()
    ))
    .bind::<BigInt, _>(store.0)
    .bind::<Text, _>(wanted.kind.as_str())
    .bind::<BigInt, _>(after)
    .bind::<Nullable<Text>, _>(wanted.user_name.as_ref().map(|name| name.to_ascii_lowercase()))
    .bind::<Nullable<Text>, _>(wanted.external_id.as_deref())
    .bind::<BigInt, _>(limit)
    .bind::<Array<Text>, _>(filter.as_ref().map_or(&[][..], |filter| &filter.values))
    .load(connection)?)
}

/// Subjects by their ids, in the order of these, without those that have been deleted
/// or restored since they were found.
///
/// # Errors
/// Only what the database itself does.
pub fn load(connection: &mut PgConnection, ids: &[i64], life: Life) -> Result<Vec<Subject>, DbError> {
    let rows: Vec<SubjectRow> = diesel::sql_query(format!(
        "SELECT {} FROM subjects s WHERE s.id = ANY($1) AND {} ORDER BY s.id",
        SubjectRow::COLUMNS,
        life.condition()
    ))
    .bind::<Array<BigInt>, _>(ids)
    .load(connection)?;
    rows.into_iter().map(SubjectRow::read).collect()
}
