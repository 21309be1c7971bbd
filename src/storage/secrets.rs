//! Secrets of targets, sealed.

use std::collections::BTreeMap;

use diesel::dsl::now;
use diesel::prelude::*;

use super::DbError;
use super::schema::target_secrets;
use super::targets::TargetError;
use crate::domain::ids::TargetId;
use crate::security::{Place, Sealer, SealingError, Secret};

/// Secrets to be stored, by name; `None` removes one.
pub struct NewSecrets<'a> {
    /// Seals them, each with the version that it gets.
    pub sealer: &'a Sealer,
    /// Their values.
    pub values: &'a BTreeMap<String, Option<Secret>>,
}

/// A secret as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// Which of its values it is; 0 for one from before they were counted.
    pub version: i64,
    /// The bytes.
    pub sealed: Vec<u8>,
}

impl SealedSecret {
    /// Opens it.
    ///
    /// # Errors
    /// Those of [`Sealer::open`].
    pub fn open(&self, sealer: &Sealer, target: TargetId, name: &str) -> Result<Secret, SealingError> {
        let owner = owner_of(target);
        sealer.open(Place { owner: &owner, name, version: self.version }, &self.sealed)
    }
}

/// As whose secrets those of a target are sealed.
fn owner_of(target: TargetId) -> String {
    format!("target:{target}")
}

/// Seals and stores, replaces and removes secrets, in the transaction of the
/// caller: what is replaced stays as it is until that ends.
pub fn save_secrets(
    connection: &mut PgConnection,
    target: TargetId,
    secrets: &NewSecrets<'_>,
) -> Result<(), TargetError> {
    let owner = owner_of(target);
    for (name, value) in secrets.values {
        let Some(value) = value else {
            diesel::delete(target_secrets::table.find((target.0, name))).execute(connection)?;
            continue;
        };
        let before: Option<i64> = target_secrets::table
            .find((target.0, name))
            .select(target_secrets::version)
            .for_update()
            .first(connection)
            .optional()?;
        let version = before.unwrap_or(0) + 1;
        let sealed = secrets.sealer.seal(Place { owner: &owner, name, version }, value)?;
        let set = (target_secrets::version.eq(version), target_secrets::sealed.eq(&sealed));
        diesel::insert_into(target_secrets::table)
            .values((target_secrets::target_id.eq(target.0), target_secrets::name.eq(name), set))
            .on_conflict((target_secrets::target_id, target_secrets::name))
            .do_update()
            .set((set, target_secrets::updated_at.eq(now)))
            .execute(connection)?;
    }
    Ok(())
}

/// The sealed secrets of a target by name.
pub fn secrets(
    connection: &mut PgConnection,
    target: TargetId,
) -> Result<BTreeMap<String, SealedSecret>, DbError> {
    let rows: Vec<(String, i64, Vec<u8>)> = target_secrets::table
        .filter(target_secrets::target_id.eq(target.0))
        .select((target_secrets::name, target_secrets::version, target_secrets::sealed))
        .load(connection)?;
    Ok(rows.into_iter().map(|(name, version, sealed)| (name, SealedSecret { version, sealed })).collect())
}
