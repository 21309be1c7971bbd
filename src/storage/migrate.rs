//! The schema, embedded in the binary.

use diesel::PgConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::DbError;

/// Every migration, oldest first.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Brings the schema up to date; returns the names of what was applied.
/// Several nodes may call it at once: an advisory lock lets one work.
pub fn up(connection: &mut PgConnection) -> Result<Vec<String>, DbError> {
    use diesel::RunQueryDsl;
    diesel::sql_query("SELECT pg_advisory_lock(7001)").execute(connection)?;
    let applied = connection
        .run_pending_migrations(MIGRATIONS)
        .map(|versions| versions.iter().map(ToString::to_string).collect())
        .map_err(|error| DbError::Corrupt(format!("a migration failed: {error}")));
    diesel::sql_query("SELECT pg_advisory_unlock(7001)").execute(connection)?;
    applied
}
