//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In the configuration file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
    /// By a flag of the command line.
    Flag(&'static str),
    /// Nowhere: it is the default that does not work here.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("defaults"),
        }
    }
}

/// Why a configuration cannot be used. No message shows a value, since it may
/// be a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is against its rule.
    #[error("{key} in {origin}: must be {rule}")]
    Invalid {
        /// Such as `engine.runAgainFloor`.
        key: &'static str,
        /// Where it stands.
        origin: Origin,
        /// What it must be.
        rule: String,
    },
    /// There is no such key.
    #[error("{key} in {origin}: there is no such key; {known}")]
    Unknown {
        /// What stands there.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// What could stand there.
        known: String,
    },
    /// A secret was given in two ways.
    #[error("{first} and {second} are both set: set one of them")]
    Twice {
        /// A variable.
        first: String,
        /// Another one.
        second: String,
    },
    /// The file is no TOML.
    #[error("{}: {message}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong there.
        message: String,
    },
    /// A file could not be read.
    #[error("{} (from {origin}): {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What named it.
        origin: Origin,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}
