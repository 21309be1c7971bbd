//! The daemon's configuration: one struct for each concern.
//!
//! Four layers, each over the one before: defaults, a TOML file, the
//! environment, flags of the command line. `engine.runAgainFloor` in the file is
//! `PROVISIOND_ENGINE_RUN_AGAIN_FLOOR` in the environment. Secrets may also be
//! read from a file that a variable ending in `_FILE` names; `DATABASE_URL` is
//! understood because everything else understands it.
//!
//! What is not known is refused, so that a misspelt key does not quietly leave
//! a default in force. Errors name the key, where it stands and the rule.

mod database;
mod egress;
mod engine;
mod error;
mod limits;
mod packages;
mod rules;
mod security;
mod server;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use database::DatabaseConfig;
pub use egress::EgressConfig;
pub use engine::EngineConfig;
pub use error::{ConfigError, Origin};
pub use limits::LimitsConfig;
pub use packages::{PackagesConfig, Registry};
pub use security::{Sandbox, SecurityConfig};
pub use server::ServerConfig;
use settings::Settings;

/// Everything there is to configure.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where it listens and keeps its files.
    pub server: ServerConfig,
    /// Which PostgreSQL, and how many connections.
    pub database: DatabaseConfig,
    /// How the engine works.
    pub engine: EngineConfig,
    /// What no target may reach.
    pub egress: EgressConfig,
    /// What it refuses to exceed.
    pub limits: LimitsConfig,
    /// Where packages for logic come from.
    pub packages: PackagesConfig,
    /// Where its master key comes from.
    pub security: SecurityConfig,
}

/// What the command line sets over everything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--listen`
    pub listen: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
}

/// All keys, for the check of what is known.
const KEYS: [&[&str]; 7] =
    [server::KEYS, database::KEYS, engine::KEYS, egress::KEYS, limits::KEYS, packages::KEYS, security::KEYS];

impl Config {
    /// Reads the layers. Apart from `file`, and files that the environment
    /// names for secrets, it depends on its arguments and the user it runs as.
    ///
    /// # Errors
    ///
    /// The first key that is unknown, set twice or against its rule; a file
    /// that cannot be read.
    pub fn load(
        file: Option<&Path>,
        env: &BTreeMap<String, String>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::default();
        if let Some(path) = file {
            settings.add_file(path)?;
        }
        settings.add_environment(env)?;
        settings.add_overrides(overrides);
        Ok(Self {
            server: ServerConfig::read(&settings, env)?,
            database: DatabaseConfig::read(&settings)?,
            engine: EngineConfig::read(&settings)?,
            egress: EgressConfig::read(&settings)?,
            limits: LimitsConfig::read(&settings)?,
            packages: PackagesConfig::read(&settings)?,
            security: SecurityConfig::read(&settings)?,
        })
    }
}

#[cfg(test)]
mod tests;
