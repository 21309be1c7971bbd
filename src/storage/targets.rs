//! Targets: settings, life cycle, secrets, and which node serves which.

use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde_json::Value;

use super::DbError;
use super::dependencies::{self, DependencyError};
use super::gate;
use super::queue::lock_store_exclusive;
use super::schema::targets;
pub use super::secrets::{NewSecrets, SealedSecret, save_secrets, secrets};
use super::subject_row::object;
use super::sweeps::{self, SweepKind};
use crate::domain::ids::{StoreId, TargetId};
use crate::domain::status::{Trigger, UnknownWord};
use crate::domain::target::{GuardSettings, Limits, RetryPolicy, Target, TargetSettings};
use crate::security::SealingError;

/// Why a target was not changed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No such target.
    #[error("there is no such target")]
    NotFound,
    /// The name is taken.
    #[error("the store has a target of the name `{0}` already")]
    NameTaken(String),
    /// The settings changed since they were read.
    #[error("the target is at version {0} by now")]
    VersionMismatch(i64),
    /// The instance's limit is reached.
    #[error("this instance may have {0} targets: delete one or raise `limits.maxTargets`")]
    TooMany(i64),
    /// `dependsOn` cannot be so.
    #[error("`dependsOn` {0}")]
    Dependency(#[from] DependencyError),
    /// Others depend on it.
    #[error("{0}")]
    Needed(String),
    /// Enabling needs published logic.
    #[error("the target has no published logic: publish some, then enable it")]
    NoLogic,
    /// A secret could not be sealed.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A target as its row and its dependencies say.
fn read(connection: &mut PgConnection, row: TargetRow) -> Result<Target, DbError> {
    let mut target = row.read()?;
    dependencies::fill(connection, std::slice::from_mut(&mut target))?;
    Ok(target)
}

impl From<DieselError> for TargetError {
    fn from(error: DieselError) -> Self {
        Self::Db(error.into())
    }
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = targets)]
struct TargetRow {
    id: i64,
    store_id: i64,
    name: String,
    description: String,
    enabled: bool,
    mode: String,
    paused: bool,
    ordering: i32,
    max_parallel_jobs: i32,
    filter: String,
    egress_allow: Vec<Option<String>>,
    config: Value,
    connection: Value,
    secret_hosts: Value,
    egress_inside: Vec<Option<String>>,
    cpu_limit_ms: i32,
    wall_limit_ms: i32,
    heap_limit_mib: i32,
    retry_attempts: i32,
    retry_first_secs: i32,
    retry_max_secs: i32,
    guard_count: Option<i32>,
    guard_percent: Option<i32>,
    isolation: String,
    logic_version: Option<i32>,
    resumes: i64,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TargetRow {
    fn read(self) -> Result<Target, DbError> {
        let word = |error: UnknownWord| DbError::Corrupt(error.to_string());
        let settings = TargetSettings {
            mode: self.mode.parse().map_err(word)?,
            name: self.name,
            description: self.description,
            enabled: self.enabled,
            order: self.ordering,
            // Filled in by `dependencies::fill`.
            depends_on: Vec::new(),
            max_parallel_jobs: self.max_parallel_jobs.unsigned_abs(),
            filter: self.filter,
            egress_allow: self.egress_allow.into_iter().flatten().collect(),
            config: object(self.config),
            connection: object(self.connection),
            secret_hosts: serde_json::from_value(self.secret_hosts)
                .map_err(|error| DbError::Corrupt(format!("secret_hosts: {error}")))?,
            egress_inside: self.egress_inside.into_iter().flatten().collect(),
            limits: Limits {
                cpu_ms: self.cpu_limit_ms.unsigned_abs(),
                wall_ms: self.wall_limit_ms.unsigned_abs(),
                heap_mib: self.heap_limit_mib.unsigned_abs(),
            },
            isolation: self.isolation.parse().map_err(word)?,
            retry: RetryPolicy {
                max_attempts: self.retry_attempts.unsigned_abs(),
                first_delay_secs: self.retry_first_secs.unsigned_abs(),
                max_delay_secs: self.retry_max_secs.unsigned_abs(),
            },
            guard: GuardSettings {
                count: self.guard_count.map(i32::unsigned_abs),
                percent: self.guard_percent.map(i32::unsigned_abs),
            },
        };
        Ok(Target {
            id: TargetId(self.id),
            store: StoreId(self.store_id),
            needs: Vec::new(),
            version: self.version,
            settings,
            paused: self.paused,
            resumes: self.resumes,
            logic_version: self.logic_version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = targets, treat_none_as_null = true)]
struct SettingsRow<'a> {
    name: &'a str,
    description: &'a str,
    enabled: bool,
    mode: &'static str,
    ordering: i32,
    max_parallel_jobs: i32,
    filter: &'a str,
    egress_allow: &'a [String],
    config: Value,
    connection: Value,
    secret_hosts: Value,
    egress_inside: &'a [String],
    cpu_limit_ms: i32,
    wall_limit_ms: i32,
    heap_limit_mib: i32,
    retry_attempts: i32,
    retry_first_secs: i32,
    retry_max_secs: i32,
    guard_count: Option<i32>,
    guard_percent: Option<i32>,
    isolation: &'static str,
}

fn settings_row(settings: &TargetSettings) -> SettingsRow<'_> {
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    SettingsRow {
        name: &settings.name,
        description: &settings.description,
        enabled: settings.enabled,
        mode: settings.mode.as_str(),
        ordering: settings.order,
        max_parallel_jobs: int(settings.max_parallel_jobs),
        filter: &settings.filter,
        egress_allow: &settings.egress_allow,
        config: Value::Object(settings.config.clone()),
        connection: Value::Object(settings.connection.clone()),
        secret_hosts: serde_json::json!(settings.secret_hosts),
        egress_inside: &settings.egress_inside,
        cpu_limit_ms: int(settings.limits.cpu_ms),
        wall_limit_ms: int(settings.limits.wall_ms),
        heap_limit_mib: int(settings.limits.heap_mib),
        retry_attempts: int(settings.retry.max_attempts),
        retry_first_secs: int(settings.retry.first_delay_secs),
        retry_max_secs: int(settings.retry.max_delay_secs),
        guard_count: settings.guard.count.map(int),
        guard_percent: settings.guard.percent.map(int),
        isolation: settings.isolation.as_str(),
    }
}

/// Makes a target. `most` is how many an instance may have.
pub fn create(
    connection: &mut PgConnection,
    store: StoreId,
    settings: &TargetSettings,
    most: i64,
) -> Result<Target, TargetError> {
    connection.transaction(|connection| {
        diesel::sql_query("SELECT pg_advisory_xact_lock(7003)").execute(connection)?;
        let existing: i64 =
            targets::table.filter(targets::deleted_at.is_null()).count().get_result(connection)?;
        if existing >= most {
            return Err(TargetError::TooMany(most));
        }
        let row: TargetRow = diesel::insert_into(targets::table)
            .values((targets::store_id.eq(store.0), settings_row(settings)))
            .returning(TargetRow::as_returning())
            .get_result(connection)
            .map_err(|error| name_taken(error, settings))?;
        dependencies::save(connection, store, TargetId(row.id), &settings.depends_on)?;
        Ok(read(connection, row)?)
    })
}

fn name_taken(error: DieselError, settings: &TargetSettings) -> TargetError {
    match error {
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
            TargetError::NameTaken(settings.name.clone())
        }
        other => other.into(),
    }
}

/// A live target.
pub fn find(connection: &mut PgConnection, id: TargetId) -> Result<Target, TargetError> {
    let row: Option<TargetRow> = targets::table
        .find(id.0)
        .filter(targets::deleted_at.is_null())
        .select(TargetRow::as_select())
        .first(connection)
        .optional()?;
    Ok(read(connection, row.ok_or(TargetError::NotFound)?)?)
}

/// The same, and what it runs stays as it is until the transaction ends, but for
/// what this one changes. Work comes in meanwhile; the leases of owners wait.
pub fn lock(connection: &mut PgConnection, id: TargetId) -> Result<Target, TargetError> {
    targets::table.find(id.0).select(targets::id).for_no_key_update().execute(connection)?;
    find(connection, id)
}

/// The live targets of a store by order, then id; of all stores without one.
pub fn list(connection: &mut PgConnection, store: Option<StoreId>) -> Result<Vec<Target>, DbError> {
    let mut query = targets::table
        .filter(targets::deleted_at.is_null())
        .order((targets::ordering, targets::id))
        .select(TargetRow::as_select())
        .into_boxed();
    if let Some(store) = store {
        query = query.filter(targets::store_id.eq(store.0));
    }
    let rows = query.load(connection)?.into_iter();
    let mut targets = rows.map(TargetRow::read).collect::<Result<Vec<_>, _>>()?;
    dependencies::fill(connection, &mut targets)?;
    Ok(targets)
}

/// Changes settings by `edit`, which sees them under a lock. Enabling a target
/// or editing its filter starts a sweep that finds what entered and what left.
pub fn update<E: From<TargetError>>(
    connection: &mut PgConnection,
    id: TargetId,
    if_match: Option<&[i64]>,
    secrets: Option<&NewSecrets<'_>>,
    edit: impl FnOnce(&mut TargetSettings) -> Result<(), E>,
) -> Result<Target, E> {
    let store = find(connection, id)?.store;
    let result: Result<Result<Target, E>, TargetError> = connection.transaction(|connection| {
        lock_store_exclusive(connection, store)?;
        let before = find(connection, id)?;
        if if_match.is_some_and(|versions| !versions.contains(&before.version)) {
            return Err(TargetError::VersionMismatch(before.version));
        }
        let mut settings = before.settings.clone();
        if let Err(error) = edit(&mut settings) {
            return Ok(Err(error));
        }
        save(connection, &before, &settings, secrets).map(Ok)
    });
    result?
}

fn save(
    connection: &mut PgConnection,
    before: &Target,
    settings: &TargetSettings,
    secrets: Option<&NewSecrets<'_>>,
) -> Result<Target, TargetError> {
    let secrets = secrets.filter(|secrets| !secrets.values.is_empty());
    if settings == &before.settings && secrets.is_none() {
        return Ok(before.clone());
    }
    if settings.is_served() && before.logic_version.is_none() {
        return Err(TargetError::NoLogic);
    }
    if let Some(secrets) = secrets {
        save_secrets(connection, before.id, secrets)?;
    }
    let row: TargetRow = diesel::update(targets::table.find(before.id.0))
        .set((settings_row(settings), targets::version.eq(before.version + 1), targets::updated_at.eq(now)))
        .returning(TargetRow::as_returning())
        .get_result(connection)
        .map_err(|error| name_taken(error, settings))?;
    if settings.depends_on != before.settings.depends_on {
        dependencies::save(connection, before.store, before.id, &settings.depends_on)?;
    }
    let after = read(connection, row)?;
    sweep_after(connection, before, &after)?;
    gate::free_around(connection, after.id)?;
    Ok(after)
}

fn sweep_after(connection: &mut PgConnection, before: &Target, after: &Target) -> Result<(), DbError> {
    if !after.settings.follows_changes() {
        return Ok(());
    }
    if !before.settings.follows_changes() {
        sweeps::start(connection, after, SweepKind::Reconcile, Trigger::Enabled)?;
    } else if before.settings.filter != after.settings.filter {
        sweeps::start(connection, after, SweepKind::Reconcile, Trigger::FilterChanged)?;
    }
    Ok(())
}

/// Holds or frees the work of a target. Freeing it gives a quarantined target
/// another chance at once, paused or not.
pub fn set_paused(connection: &mut PgConnection, id: TargetId, paused: bool) -> Result<Target, TargetError> {
    let row: Option<TargetRow> = diesel::update(targets::table.find(id.0))
        .filter(targets::deleted_at.is_null())
        .set((targets::paused.eq(paused), targets::resumes.eq(targets::resumes + i64::from(!paused))))
        .returning(TargetRow::as_returning())
        .get_result(connection)
        .optional()?;
    Ok(read(connection, row.ok_or(TargetError::NotFound)?)?)
}

/// Deletes a target: its logic, secrets and due work go, what it provisioned
/// where stays known.
pub fn delete(connection: &mut PgConnection, id: TargetId) -> Result<(), TargetError> {
    let store = find(connection, id)?.store;
    connection.transaction(|connection| {
        // Nobody may begin to depend on it meanwhile.
        lock_store_exclusive(connection, store)?;
        if let Some(sentence) = dependencies::needed_by(connection, id)? {
            return Err(TargetError::Needed(sentence));
        }
        let deleted = diesel::update(targets::table.find(id.0))
            .filter(targets::deleted_at.is_null())
            .set((
                targets::deleted_at.eq(now),
                targets::enabled.eq(false),
                targets::logic_version.eq(None::<i32>),
            ))
            .execute(connection)?;
        if deleted == 0 {
            return Err(TargetError::NotFound);
        }
        for statement in [
            "DELETE FROM target_secrets WHERE target_id = $1",
            "DELETE FROM logic_drafts WHERE target_id = $1",
            "DELETE FROM logic_versions WHERE target_id = $1",
            "DELETE FROM logic_canaries WHERE target_id = $1",
            "DELETE FROM pending WHERE target_id = $1",
            "DELETE FROM sweeps WHERE target_id = $1",
            "DELETE FROM held WHERE target_id = $1",
            "DELETE FROM guard_released WHERE target_id = $1",
            "DELETE FROM target_dependencies WHERE target_id = $1",
        ] {
            diesel::sql_query(statement).bind::<diesel::sql_types::BigInt, _>(id.0).execute(connection)?;
        }
        gate::free_around(connection, id)?;
        Ok(())
    })
}
