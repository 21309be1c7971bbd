//! The statements that write rows of `memberships`.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt};

use crate::domain::ids::SubjectId;
use crate::storage::DbError;

/// One membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) struct Pair {
    /// The account.
    pub member: SubjectId,
    /// What it belongs to.
    pub container: SubjectId,
}

fn columns(pairs: &[Pair]) -> (Vec<i64>, Vec<i64>) {
    pairs.iter().map(|pair| (pair.member.0, pair.container.0)).unzip()
}

/// Writes memberships that are in force at once and without an end.
pub(in crate::storage) fn join(connection: &mut PgConnection, pairs: &[Pair]) -> Result<(), DbError> {
    if pairs.is_empty() {
        return Ok(());
    }
    let (members, containers) = columns(pairs);
    diesel::sql_query(
        "INSERT INTO memberships (member_id, container_id) SELECT * FROM unnest($1, $2) \
         ON CONFLICT (member_id, container_id) DO UPDATE SET valid_from = NULL, valid_through = NULL",
    )
    .bind::<Array<BigInt>, _>(members)
    .bind::<Array<BigInt>, _>(containers)
    .execute(connection)?;
    Ok(())
}

/// Removes memberships.
pub(in crate::storage) fn leave(connection: &mut PgConnection, pairs: &[Pair]) -> Result<(), DbError> {
    if pairs.is_empty() {
        return Ok(());
    }
    let (members, containers) = columns(pairs);
    diesel::sql_query(
        "DELETE FROM memberships USING unnest($1, $2) AS pair (member, container) \
         WHERE member_id = pair.member AND container_id = pair.container",
    )
    .bind::<Array<BigInt>, _>(members)
    .bind::<Array<BigInt>, _>(containers)
    .execute(connection)?;
    Ok(())
}

/// Takes accounts out of every organization.
pub(in crate::storage) fn leave_organizations(
    connection: &mut PgConnection,
    members: &[SubjectId],
) -> Result<(), DbError> {
    diesel::sql_query(
        "DELETE FROM memberships USING subjects AS organization \
         WHERE member_id = ANY($1) AND organization.id = container_id AND organization.kind = 'organization'",
    )
    .bind::<Array<BigInt>, _>(members.iter().map(|id| id.0).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}
