//! Names that subjects have given up, by a rename or by being deleted. A target
//! may hold one still, so whoever has the name now waits there (see
//! [`super::holders`]). What no target can hold any more is forgotten.

use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::prepared::prepared;
use crate::domain::ids::{SubjectId, TargetId};
use crate::plan::Field;

/// User names as their unique index folds them.
pub(super) fn folded(user_name: &str) -> String {
    user_name.to_ascii_lowercase()
}

/// Who has given a name up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Former {
    pub field: Field,
    /// As it is compared.
    pub name: String,
    pub subject: SubjectId,
    /// The first version without it.
    pub version: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    field: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

fn read(row: Row) -> Result<Former, DbError> {
    let field = row.field.parse().map_err(|error| DbError::Corrupt(format!("former_names: {error}")))?;
    Ok(Former { field, name: row.name, subject: SubjectId(row.subject_id), version: row.version })
}

const REMEMBER: &str = "INSERT INTO former_names AS f (store_id, field, name, subject_id, version) \
    SELECT s.store_id, n.field, n.name, s.id, s.version + 1 FROM subjects s";

const AGAIN: &str = "ON CONFLICT (store_id, field, name, subject_id) \
    DO UPDATE SET version = greatest(f.version, excluded.version), since = excluded.since";

/// Remembers the names of accounts that the caller has locked and is about to
/// delete.
pub(super) fn deleting(connection: &mut PgConnection, ids: &[i64]) -> Result<(), DbError> {
    sql_query(format!(
        "{REMEMBER} CROSS JOIN LATERAL (VALUES ('userName', lower(s.user_name COLLATE \"C\")), \
            ('externalId', s.external_id)) AS n(field, name) \
         WHERE s.id = ANY($1) AND s.kind = 'account' AND n.name IS NOT NULL ORDER BY s.id {AGAIN}"
    ))
    .bind::<Array<BigInt>, _>(ids)
    .execute(connection)?;
    Ok(())
}

/// Remembers the names that accounts, which the caller has locked, are about to
/// give up for these.
pub(super) fn renaming(
    connection: &mut PgConnection,
    ids: &[i64],
    user_names: &[Option<&str>],
    external_ids: &[Option<&str>],
) -> Result<(), DbError> {
    sql_query(format!(
        "{REMEMBER} JOIN unnest($1, $2, $3) AS d(id, user_name, external_id) ON d.id = s.id \
         CROSS JOIN LATERAL (VALUES \
            ('userName', lower(s.user_name COLLATE \"C\"), lower(d.user_name COLLATE \"C\")), \
            ('externalId', s.external_id, d.external_id)) AS n(field, name, becomes) \
         WHERE s.kind = 'account' AND n.name IS NOT NULL AND n.name IS DISTINCT FROM n.becomes \
         ORDER BY s.id {AGAIN}"
    ))
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Nullable<Text>>, _>(user_names)
    .bind::<Array<Nullable<Text>>, _>(external_ids)
    .execute(connection)?;
    Ok(())
}

struct Find;

/// Who in the store of a target had one of these names before. One look at the
/// index says of most stores that nobody did.
pub(super) fn of_names(
    connection: &mut PgConnection,
    target: TargetId,
    user_names: &[String],
    external_ids: &[&str],
) -> Result<Vec<Former>, DbError> {
    let query = sql_query(
        "WITH here AS MATERIALIZED (SELECT store_id FROM targets t WHERE id = $1 \
            AND EXISTS (SELECT FROM former_names f WHERE f.store_id = t.store_id)) \
         SELECT field, name, subject_id, version FROM former_names \
         WHERE EXISTS (SELECT FROM here) AND store_id = (SELECT store_id FROM here) \
            AND (field = 'userName' AND name = ANY($2) OR field = 'externalId' AND name = ANY($3))",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<Array<Text>, _>(user_names)
    .bind::<Array<Text>, _>(external_ids);
    let rows: Vec<Row> = prepared::<Find, _>(query).load(connection)?;
    rows.into_iter().map(read).collect()
}

/// Forgets names that no target of a target's store can hold any more. The newest stay:
/// a claim that read the subject before it gave the name up may not be seen yet.
pub fn forget(connection: &mut PgConnection, target: TargetId) -> Result<(), DbError> {
    sql_query(
        "WITH here AS MATERIALIZED (SELECT store_id FROM targets WHERE id = $1), \
         t AS MATERIALIZED (SELECT id FROM targets JOIN here USING (store_id) WHERE deleted_at IS NULL), \
         free AS MATERIALIZED (SELECT f.ctid AS place FROM former_names f \
            WHERE f.store_id = (SELECT store_id FROM here) AND f.since < now() - interval '1 minute' \
                AND NOT EXISTS (SELECT FROM t JOIN subjects s ON s.id = f.subject_id \
                    JOIN provision_state st ON st.target_id = t.id AND st.subject_id = f.subject_id AND st.present \
                    WHERE st.taken_version < f.version OR s.deleted_at IS NOT NULL) \
                AND NOT EXISTS (SELECT FROM t JOIN pending p ON p.target_id = t.id AND p.subject_id = f.subject_id) \
            FOR UPDATE SKIP LOCKED) \
         DELETE FROM former_names f USING free WHERE f.ctid = free.place",
    )
    .bind::<BigInt, _>(target.0)
    .execute(connection)?;
    Ok(())
}
