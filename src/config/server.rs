//! Where the daemon listens and keeps its files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{ConfigError, Origin};
use super::rules::{self, Rule};
use super::settings::Settings;

pub(super) const KEYS: &[&str] = &[
    "server.listen",
    "server.dataDir",
    "server.drain",
    "server.maxConnections",
    "server.headTimeout",
    "server.bodyTimeout",
    "server.writeTimeout",
    "server.idleTimeout",
];

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// `listen`: the address of the API, by default `127.0.0.1:8470`.
    pub listen: SocketAddr,
    /// `dataDir`: by default `$STATE_DIRECTORY` (systemd), as root
    /// `/var/lib/provisiond`, otherwise `$XDG_DATA_HOME/provisiond` or
    /// `~/.local/share/provisiond`.
    pub data_dir: PathBuf,
    /// `drain`: how long runs may go on after SIGTERM, by default `30s`.
    pub drain: Duration,
    /// `maxConnections`: that are open at a time, by default 512; never more than
    /// half of the descriptors that the process may have.
    pub max_connections: usize,
    /// `headTimeout`: how long the head of a request may take, by default `10s`.
    pub head_timeout: Duration,
    /// `bodyTimeout`: how long the daemon waits for the next kilobyte of a body,
    /// by default `60s`.
    pub body_timeout: Duration,
    /// `writeTimeout`: how long a client may take no more than 64 KiB of an answer
    /// that it has not taken in one go, by default `30s`.
    pub write_timeout: Duration,
    /// `idleTimeout`: how long a connection lies idle between requests, by default
    /// `90s`: longer than with common clients, which then never reuse a connection
    /// in the moment that it is closed.
    pub idle_timeout: Duration,
}

impl ServerConfig {
    pub(super) fn read(settings: &Settings, env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let address = Rule::new("an address and port such as \"127.0.0.1:8470\"", |text| text.parse().ok());
        let path =
            Rule::new("an absolute path", |text| Path::new(text).is_absolute().then(|| PathBuf::from(text)));
        let time = |key, default| {
            let set = settings.read(key, rules::duration("30s", "100ms", "1h"))?;
            Ok(set.unwrap_or(Duration::from_secs(default)))
        };
        let as_root = nix::unistd::Uid::effective().is_root();
        Ok(Self {
            listen: settings.read("server.listen", address)?.unwrap_or(([127, 0, 0, 1], 8470).into()),
            data_dir: match settings.read("server.dataDir", path)? {
                Some(path) => path,
                None => default_data_dir(env, as_root)?,
            },
            drain: settings
                .read("server.drain", rules::duration("30s", "0s", "10m"))?
                .unwrap_or(Duration::from_secs(30)),
            max_connections: settings
                .read("server.maxConnections", rules::number(16, 100_000))?
                .unwrap_or(512),
            head_timeout: time("server.headTimeout", 10)?,
            body_timeout: time("server.bodyTimeout", 60)?,
            write_timeout: time("server.writeTimeout", 30)?,
            idle_timeout: time("server.idleTimeout", 90)?,
        })
    }
}

/// Where files go when nobody says (XDG Base Directory Specification).
pub(super) fn default_data_dir(
    env: &BTreeMap<String, String>,
    as_root: bool,
) -> Result<PathBuf, ConfigError> {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // systemd may give several, separated by colons; the first is ours.
    let state =
        env.get("STATE_DIRECTORY").and_then(|paths| paths.split(':').next()).filter(|path| !path.is_empty());
    if let Some(path) = state {
        return Ok(path.into());
    }
    if as_root {
        return Ok("/var/lib/provisiond".into());
    }
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|path| path.join("provisiond"))
        .ok_or_else(|| ConfigError::Invalid {
            key: "server.dataDir",
            origin: Origin::Default,
            rule: "set, because neither XDG_DATA_HOME nor HOME is".to_owned(),
        })
}
