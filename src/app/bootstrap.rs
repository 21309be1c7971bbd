//! What every start needs: data directory, database, schema, first token.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::AppError;
use crate::config::Config;
use crate::domain::encoding;
use crate::security::{MasterKey, Role, Sealer, Token};
use crate::storage::embedded::{EmbeddedPostgres, make_data_dir};
use crate::storage::tokens::{Name, NewToken, TokenStoreError};
use crate::storage::{Connection, connect, migrate as schema, runs, tokens};

/// A database that can be connected to, and what keeps it there.
pub(super) struct Database {
    /// How to connect.
    pub url: String,
    /// The private PostgreSQL, when it is this process's.
    pub embedded: Option<EmbeddedPostgres>,
    /// Keeps other daemons out of the data directory.
    _lock: Option<File>,
}

/// Opens the database as its only daemon: starts the private PostgreSQL when
/// no URL is configured.
pub(super) fn own_database(config: &Config) -> Result<Database, AppError> {
    let data_dir = &config.server.data_dir;
    match &config.database.url {
        Some(url) => {
            let lock = lock(data_dir)?;
            Ok(Database { url: url.expose().to_owned(), embedded: None, _lock: Some(lock) })
        }
        None => {
            let embedded = EmbeddedPostgres::start(data_dir)?;
            Ok(Database { url: embedded.url(), embedded: Some(embedded), _lock: None })
        }
    }
}

/// Opens the database also when a daemon has it; starts the private PostgreSQL
/// only when none runs.
fn share_database(config: &Config) -> Result<Database, AppError> {
    let shared = match &config.database.url {
        Some(url) => Some(url.expose().to_owned()),
        None => EmbeddedPostgres::attach(&config.server.data_dir)?,
    };
    match shared {
        Some(url) => Ok(Database { url, embedded: None, _lock: None }),
        None => own_database(config),
    }
}

fn lock(data_dir: &Path) -> Result<File, AppError> {
    make_data_dir(data_dir).map_err(|error| file("make", data_dir, error))?;
    let path = data_dir.join("lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| file("open", &path, error))?;
    lock.set_permissions(Permissions::from_mode(0o600)).map_err(|error| file("close", &path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(_) => Err(AppError::InUse(data_dir.display().to_string())),
    }
}

pub(super) fn file(action: &'static str, path: &Path, error: std::io::Error) -> AppError {
    AppError::File { action, path: path.display().to_string(), error }
}

/// Brings the schema up to date; returns what was applied.
pub fn migrate(config: &Config) -> Result<Vec<String>, AppError> {
    let database = share_database(config)?;
    prepare(&mut connect(&database.url)?)
}

/// Schema, and today's partitions of the log.
pub(super) fn prepare(connection: &mut Connection) -> Result<Vec<String>, AppError> {
    let applied = schema::up(connection)?;
    runs::make_partitions(connection, Utc::now().date_naive())?;
    Ok(applied)
}

/// Makes a token, also beside a running daemon. One without a name gets a usual
/// one that is free.
pub fn create_token(
    config: &Config,
    role: Role,
    name: Option<String>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<Token, AppError> {
    let database = share_database(config)?;
    let mut connection = connect(&database.url)?;
    prepare(&mut connection)?;
    new_token(&mut connection, role, name.map_or(Name::Usual("command line"), Name::Given), expires_at)
}

fn new_token(
    connection: &mut Connection,
    role: Role,
    name: Name,
    expires_at: Option<DateTime<Utc>>,
) -> Result<Token, AppError> {
    let token = Token::generate();
    let new = NewToken { name, role, hash: token.hash(), expires_at };
    tokens::create(connection, &new, Utc::now()).map_err(|error| match error {
        TokenStoreError::NameTaken(_) => AppError::Taken(error.to_string()),
        error => AppError::Token(error.to_string()),
    })?;
    Ok(token)
}

/// At the very first start, makes an owner's token and leaves it in a file
/// that only its owner can read.
pub(super) fn first_token(connection: &mut Connection, data_dir: &Path) -> Result<(), AppError> {
    if tokens::any(connection)? {
        return Ok(());
    }
    let path = data_dir.join("initial-token");
    // Without an end: who runs the daemon unattended has no other way in.
    let token = new_token(connection, Role::Owner, Name::Usual("made at the first start"), None)?;
    write_private(&path, token.expose())?;
    log::info!("the first owner's token is in {}", path.display());
    Ok(())
}

/// Writes a file of mode 600, whole or not at all.
fn write_private(path: &Path, content: &str) -> Result<(), AppError> {
    let unfinished = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&unfinished)?;
        writeln!(file, "{content}")?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)
    };
    write().map_err(|error| file("write", path, error))
}

/// Opens and makes secrets, with the configured master key or the one in the
/// data directory.
pub(super) fn sealer(config: &Config) -> Result<Arc<Sealer>, AppError> {
    let key = match &config.security.master_key {
        Some(key) => MasterKey::parse(key)?,
        None => MasterKey::load_or_create(&config.server.data_dir.join("master.key"))?,
    };
    Ok(Arc::new(Sealer::new(key)))
}

/// This node's name: configured, or drawn once and kept in the data directory.
pub(super) fn node_name(config: &Config) -> Result<String, AppError> {
    if let Some(node) = &config.engine.node {
        return Ok(node.clone());
    }
    let path = config.server.data_dir.join("node");
    match std::fs::read_to_string(&path) {
        Ok(name) if !encoding::word(&name).is_empty() => Ok(encoding::word(&name).to_owned()),
        _ => {
            let name = format!("node-{:016x}", rand::random::<u64>());
            write_private(&path, &name)?;
            Ok(name)
        }
    }
}
