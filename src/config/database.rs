//! Which PostgreSQL the daemon works on.

use std::time::Duration;

use super::error::ConfigError;
use super::rules::{self, Rule};
use super::settings::Settings;
use crate::security::Secret;

pub(super) const KEYS: &[&str] =
    &["database.url", "database.apiConnections", "database.engineConnections", "database.readTimeout"];

/// `[database]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// `url`: a `postgres://` URL, which may hold a password. Without one the
    /// daemon runs a PostgreSQL of its own in the data directory.
    pub url: Option<Secret>,
    /// `apiConnections`: for the API alone, by default 4, so that a busy engine
    /// never blocks the console.
    pub api_connections: u32,
    /// `engineConnections`: for the engine, by default 8.
    pub engine_connections: u32,
    /// `readTimeout`: the longest that a statement of the API may take which only
    /// reads, by default `10s`.
    pub read_timeout: Duration,
}

impl DatabaseConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let url = Rule::new("a URL such as \"postgres://user@host/database\"", |text| {
            let known = text.starts_with("postgres://") || text.starts_with("postgresql://");
            known.then(|| Secret::new(text))
        });
        let connections = || rules::number(1, 200);
        Ok(Self {
            url: settings.read("database.url", url)?,
            api_connections: settings.read("database.apiConnections", connections())?.unwrap_or(4),
            read_timeout: settings
                .read("database.readTimeout", rules::duration("10s", "100ms", "2m"))?
                .unwrap_or(Duration::from_secs(10)),
            engine_connections: settings.read("database.engineConnections", connections())?.unwrap_or(8),
        })
    }
}
