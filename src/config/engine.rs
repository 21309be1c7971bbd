//! How the engine works.

use std::time::Duration;

use super::error::ConfigError;
use super::rules::{self, Rule};
use super::settings::Settings;

pub(super) const KEYS: &[&str] = &["engine.node", "engine.runAgainFloor", "engine.pollInterval"];

/// `[engine]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// `node`: one of a kind among the daemons that share a database. Without
    /// one, a name is drawn and kept in the data directory.
    pub node: Option<String>,
    /// `runAgainFloor`: logic is not run again sooner than this, by default
    /// `10s`.
    pub run_again_floor: Duration,
    /// `pollInterval`: when a subject whose provisioning is ongoing is looked
    /// at again, if logic does not say; by default `60s`.
    pub poll_interval: Duration,
}

impl EngineConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let name = Rule::new("1 to 64 letters, digits, `.`, `-` or `_`", |text| {
            is_node_name(text).then(|| text.to_owned())
        });
        let floor = rules::duration("10s", "1s", "1h");
        let poll = rules::duration("60s", "1s", "1d");
        Ok(Self {
            node: settings.read("engine.node", name)?,
            run_again_floor: settings.read("engine.runAgainFloor", floor)?.unwrap_or(Duration::from_secs(10)),
            poll_interval: settings.read("engine.pollInterval", poll)?.unwrap_or(Duration::from_secs(60)),
        })
    }
}

fn is_node_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}
