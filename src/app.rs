//! The composition root: builds the pieces, wires them, starts and stops them
//! in order. The only module that may use everything.

mod bootstrap;
mod descriptors;
mod doctor;
mod sandbox;
mod serve;

pub use bootstrap::{create_token, migrate};
pub use doctor::{Finding, State, doctor};
pub use serve::serve;

use crate::security::{MasterKeyError, SealingError};
use crate::storage::DbError;
use crate::storage::embedded::EmbeddedError;

/// Why the daemon does not start or a command that opens the database fails.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The private PostgreSQL does not start.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The database of `DATABASE_URL` cannot be reached.
    #[error("cannot reach the database: {0}\nhint: is DATABASE_URL right, and does its PostgreSQL run?")]
    Unreachable(String),
    /// The database failed.
    #[error(transparent)]
    Db(DbError),
    /// The master key cannot be had.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// Secrets cannot be opened with the master key.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// A file of the data directory.
    #[error("cannot {action} `{path}`: {error}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// Why it failed.
        error: std::io::Error,
    },
    /// Another daemon has the data directory.
    #[error(
        "the data directory `{0}` is in use by another provisiond\nhint: stop that one, or name another directory with `--data-dir`"
    )]
    InUse(String),
    /// The address is taken or not ours.
    #[error("cannot listen on `{address}`: {error}")]
    Listen {
        /// The address.
        address: String,
        /// Why not.
        error: std::io::Error,
    },
    /// Another token has the name.
    #[error("{0}")]
    Taken(String),
    /// A token could not be made.
    #[error("{0}")]
    Token(String),
    /// Hosts are not confined as they have to be.
    #[error(
        "JavaScript hosts are not confined: {0}\nhint: `security.sandbox = \"preferred\"` starts all the same; `provisiond doctor` tells more"
    )]
    Sandbox(String),
    /// Something of the operating system is missing.
    #[error("{0}")]
    System(String),
}

impl From<DbError> for AppError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(reason) => Self::Unreachable(reason),
            other => Self::Db(other),
        }
    }
}
