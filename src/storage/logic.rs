//! Logic: one draft a target, and published versions that never change.

use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use serde_json::Value;

use super::DbError;
use super::schema::{logic_drafts, logic_versions, targets};
use crate::domain::ids::TargetId;

/// Source text and what it depends on.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = logic_drafts)]
pub struct Draft {
    /// JavaScript.
    pub code: String,
    /// Package name to version range.
    pub package_dependencies: Value,
    /// When it was saved.
    pub updated_at: DateTime<Utc>,
}

/// A published version.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = logic_versions)]
pub struct Version {
    /// From 1.
    pub version: i32,
    /// JavaScript.
    pub code: String,
    /// Package name to version range.
    pub package_dependencies: Value,
    /// The name of the token that published it.
    pub published_by: String,
    /// When.
    pub published_at: DateTime<Utc>,
}

/// Saves the draft of a target.
pub fn save_draft(
    connection: &mut PgConnection,
    target: TargetId,
    code: &str,
    dependencies: &Value,
) -> Result<(), DbError> {
    let content = (logic_drafts::code.eq(code), logic_drafts::package_dependencies.eq(dependencies));
    diesel::insert_into(logic_drafts::table)
        .values((logic_drafts::target_id.eq(target.0), content))
        .on_conflict(logic_drafts::target_id)
        .do_update()
        .set((content, logic_drafts::updated_at.eq(now)))
        .execute(connection)?;
    Ok(())
}

/// The draft of a target.
pub fn draft(connection: &mut PgConnection, target: TargetId) -> Result<Option<Draft>, DbError> {
    Ok(logic_drafts::table.find(target.0).select(Draft::as_select()).first(connection).optional()?)
}

/// A published version.
pub fn version(
    connection: &mut PgConnection,
    target: TargetId,
    version: i32,
) -> Result<Option<Version>, DbError> {
    let found = logic_versions::table.find((target.0, version)).select(Version::as_select());
    Ok(found.first(connection).optional()?)
}

/// The published versions, newest first.
pub fn versions(connection: &mut PgConnection, target: TargetId) -> Result<Vec<Version>, DbError> {
    Ok(logic_versions::table
        .filter(logic_versions::target_id.eq(target.0))
        .order(logic_versions::version.desc())
        .select(Version::as_select())
        .load(connection)?)
}

/// Publishes the draft as the next version; `None` when there is no draft.
pub fn publish(
    connection: &mut PgConnection,
    target: TargetId,
    by: &str,
) -> Result<Option<Version>, DbError> {
    connection.transaction(|connection| {
        let last: Option<i32> =
            targets::table.find(target.0).select(targets::logic_version).for_update().first(connection)?;
        let Some(draft) = draft(connection, target)? else { return Ok(None) };
        let version: Version = diesel::insert_into(logic_versions::table)
            .values((
                logic_versions::target_id.eq(target.0),
                logic_versions::version.eq(last.unwrap_or(0) + 1),
                logic_versions::code.eq(draft.code),
                logic_versions::package_dependencies.eq(draft.package_dependencies),
                logic_versions::published_by.eq(by),
            ))
            .returning(Version::as_returning())
            .get_result(connection)?;
        diesel::update(targets::table.find(target.0))
            .set(targets::logic_version.eq(version.version))
            .execute(connection)?;
        Ok(Some(version))
    })
}
