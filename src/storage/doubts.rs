//! The accounts by which a filter is judged: few, and of bounded size, however
//! large the store is.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Jsonb, Text};
use serde_json::Value;

use super::DbError;
use super::subject_row::object;
use crate::domain::filter::Filter;
use crate::domain::filter::doubts::Sample;
use crate::domain::ids::StoreId;
use crate::domain::subject::SubjectKind;

/// Accounts that are looked at: half of them the oldest, half the newest.
pub const MOST_ACCOUNTS: i64 = 1_000;
/// Rows that are passed by in search of them, deleted ones too.
const MOST_ROWS: i64 = 5_000;
/// Bytes of their attributes, as they are stored and as text.
const MOST_BYTES: i64 = 4 << 20;
/// Groups or organizations beyond which none are looked at.
const MOST_CONTAINERS: i64 = 2_000;

#[derive(QueryableByName)]
struct Account {
    #[diesel(sql_type = Jsonb)]
    attributes: Value,
    #[diesel(sql_type = Bool)]
    whole: bool,
}

/// What a filter of a store is judged by.
///
/// # Errors
/// Only what the database itself does.
pub fn sample(connection: &mut PgConnection, store: StoreId, filter: &Filter) -> Result<Sample, DbError> {
    if filter.expression().is_none() {
        return Ok(Sample::default());
    }
    let rows = accounts(connection, store)?;
    let whole = rows.first().is_none_or(|row| row.whole);
    let mut names = |kind| if filter.names(kind) { containers(connection, store, kind) } else { Ok(None) };
    Ok(Sample {
        groups: names(SubjectKind::Group)?,
        organizations: names(SubjectKind::Organization)?,
        accounts: rows.into_iter().map(|row| object(row.attributes)).collect(),
        whole,
    })
}

fn accounts(connection: &mut PgConnection, store: StoreId) -> Result<Vec<Account>, DbError> {
    let rows = diesel::sql_query(
        "WITH newest AS MATERIALIZED (SELECT id, deleted_at FROM subjects \
            WHERE store_id = $1 AND kind = 'account' ORDER BY id DESC LIMIT $2), \
         oldest AS MATERIALIZED (SELECT id, deleted_at FROM subjects \
            WHERE store_id = $1 AND kind = 'account' ORDER BY id LIMIT $2), \
         chosen AS MATERIALIZED ( \
            (SELECT id FROM newest WHERE deleted_at IS NULL ORDER BY id DESC LIMIT $3) UNION \
            (SELECT id FROM oldest WHERE deleted_at IS NULL ORDER BY id LIMIT $3)), \
         stored AS MATERIALIZED (SELECT s.id, s.attributes, \
            sum(pg_column_size(s.attributes)) OVER (ORDER BY s.id) AS bytes \
            FROM subjects s JOIN chosen USING (id)), \
         sized AS (SELECT attributes, sum(octet_length(attributes::text)) OVER (ORDER BY id) AS bytes \
            FROM stored WHERE bytes <= $4), \
         fitting AS MATERIALIZED (SELECT attributes FROM sized WHERE bytes <= $4) \
         SELECT attributes, (SELECT count(*) FROM newest) < $2 AND (SELECT count(*) FROM fitting) = \
            (SELECT count(*) FROM newest WHERE deleted_at IS NULL) AS whole FROM fitting",
    )
    .bind::<BigInt, _>(store.0)
    .bind::<BigInt, _>(MOST_ROWS)
    .bind::<BigInt, _>(MOST_ACCOUNTS / 2)
    .bind::<BigInt, _>(MOST_BYTES)
    .load(connection)?;
    Ok(rows)
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    display_name: String,
}

fn containers(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
) -> Result<Option<std::collections::BTreeSet<String>>, DbError> {
    let rows: Vec<Named> = diesel::sql_query(
        "SELECT display_name FROM subjects WHERE store_id = $1 AND kind = $2 AND deleted_at IS NULL LIMIT $3",
    )
    .bind::<BigInt, _>(store.0)
    .bind::<Text, _>(kind.as_str())
    .bind::<BigInt, _>(MOST_CONTAINERS + 1)
    .load(connection)?;
    let few = i64::try_from(rows.len()).is_ok_and(|rows| rows <= MOST_CONTAINERS);
    Ok(few.then(|| rows.into_iter().map(|row| row.display_name).collect()))
}
