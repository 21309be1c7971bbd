//! Which node serves which target: a lease with an epoch.

use diesel::sql_types::{Array, BigInt, Bool, Double, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use crate::domain::ids::TargetId;

/// A target that this node serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// Which one.
    pub target: TargetId,
    /// It was not this node's before the call.
    pub taken: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Bool)]
    taken: bool,
}

/// Renews the leases of `held` and takes served targets that are free, whose
/// lease ran out, or whose last owner had this node's name (an earlier life of
/// it: one process per name is the caller's promise). `lease` is in seconds.
///
/// Work leased under an earlier ownership is due again at once.
pub fn take(
    connection: &mut PgConnection,
    node: &str,
    held: &[TargetId],
    lease: f64,
) -> Result<Vec<Owned>, DbError> {
    connection.transaction(|connection| {
        let held: Vec<i64> = held.iter().map(|target| target.0).collect();
        let rows: Vec<Row> = sql_query(
            "UPDATE targets SET owner = $1, owner_until = now() + make_interval(secs => $3), \
                owner_epoch = owner_epoch + CASE WHEN id = ANY($2) THEN 0 ELSE 1 END \
             WHERE deleted_at IS NULL AND enabled AND mode <> 'disabled' AND logic_version IS NOT NULL \
                AND (owner IS NULL OR owner = $1 OR owner_until < now()) \
             RETURNING id, NOT (id = ANY($2)) AS taken",
        )
        .bind::<Text, _>(node)
        .bind::<Array<BigInt>, _>(&held)
        .bind::<Double, _>(lease)
        .load(connection)?;
        let taken: Vec<i64> = rows.iter().filter(|row| row.taken).map(|row| row.id).collect();
        free_leases(connection, &taken)?;
        Ok(rows.into_iter().map(|row| Owned { target: TargetId(row.id), taken: row.taken }).collect())
    })
}

fn free_leases(connection: &mut PgConnection, targets: &[i64]) -> Result<(), DbError> {
    if !targets.is_empty() {
        sql_query(
            "UPDATE pending SET owner = NULL, fence = nextval('fence_seq'), \
                due_at = CASE WHEN departure = 'held' THEN 'infinity' ELSE now() END \
             WHERE target_id = ANY($1) AND owner IS NOT NULL",
        )
        .bind::<Array<BigInt>, _>(targets)
        .execute(connection)?;
    }
    Ok(())
}

/// Gives a target up, so that another node may take it at once.
pub fn give_up(connection: &mut PgConnection, node: &str, target: TargetId) -> Result<(), DbError> {
    sql_query("UPDATE targets SET owner = NULL, owner_until = NULL WHERE id = $1 AND owner = $2")
        .bind::<BigInt, _>(target.0)
        .bind::<Text, _>(node)
        .execute(connection)?;
    Ok(())
}
