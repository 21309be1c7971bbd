//! Where the daemon listens and keeps its files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{ConfigError, Origin};
use super::rules::{self, Rule};
use super::settings::Settings;

pub(super) const KEYS: &[&str] = &["server.listen", "server.dataDir", "server.drain"];

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
}

impl ServerConfig {
    pub(super) fn read(settings: &Settings, env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let address = Rule::new("an address and port such as \"127.0.0.1:8470\"", |text| text.parse().ok());
        let path =
            Rule::new("an absolute path", |text| Path::new(text).is_absolute().then(|| PathBuf::from(text)));
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
