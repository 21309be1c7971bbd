//! The breaker of a target, so that a quarantine outlives a restart.

use diesel::prelude::*;
use serde_json::Value;

use super::DbError;
use super::schema::targets;
use crate::domain::ids::TargetId;
use crate::plan::breaker::Saved;

/// What is written down about a target's breaker; nothing when it is closed, or
/// was written by a version that is not understood: it then forms anew.
///
/// # Errors
/// Those of the database.
pub fn load(connection: &mut PgConnection, target: TargetId) -> Result<Option<Saved>, DbError> {
    let value: Option<Option<Value>> =
        targets::table.find(target.0).select(targets::breaker).first(connection).optional()?;
    let Some(value) = value.flatten() else { return Ok(None) };
    let read = serde_json::from_value(value);
    Ok(read.inspect_err(|error| log::warn!("the breaker of target {target} is not understood: {error}")).ok())
}

/// Writes a breaker down, as long as `node` owns the target.
///
/// # Errors
/// Those of the database.
pub fn save(
    connection: &mut PgConnection,
    target: TargetId,
    node: &str,
    breaker: Option<&Saved>,
) -> Result<(), DbError> {
    let value = breaker.map(|saved| serde_json::to_value(saved).unwrap_or_default());
    diesel::update(targets::table.find(target.0))
        .filter(targets::owner.eq(node))
        .set(targets::breaker.eq(value))
        .execute(connection)?;
    Ok(())
}
