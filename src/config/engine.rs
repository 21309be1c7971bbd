//! How the engine works.

use std::time::Duration;

use super::error::ConfigError;
use super::rules::{self, Rule};
use super::settings::Settings;

pub(super) const KEYS: &[&str] = &[
    "engine.node",
    "engine.runAgainFloor",
    "engine.pollInterval",
    "engine.breakerProbe",
    "engine.breakerProbeLongest",
];

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
    /// `breakerProbe`: the wait before a quarantined target is probed for the
    /// first time, by default `5s`; each further wait is twice as long.
    pub breaker_probe: Duration,
    /// `breakerProbeLongest`: the longest such wait, by default `10m`.
    pub breaker_probe_longest: Duration,
}

impl EngineConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let name = Rule::new("1 to 64 letters, digits, `.`, `-` or `_`", |text| {
            is_node_name(text).then(|| text.to_owned())
        });
        let floor = rules::duration("10s", "1s", "1h");
        let poll = rules::duration("60s", "1s", "1d");
        let probe = rules::duration("5s", "100ms", "1h");
        let longest = rules::duration("10m", "100ms", "1d");
        let first = settings.read("engine.breakerProbe", probe)?.unwrap_or(Duration::from_secs(5));
        let longest =
            settings.read("engine.breakerProbeLongest", longest)?.unwrap_or(Duration::from_secs(600));
        Ok(Self {
            node: settings.read("engine.node", name)?,
            run_again_floor: settings.read("engine.runAgainFloor", floor)?.unwrap_or(Duration::from_secs(10)),
            poll_interval: settings.read("engine.pollInterval", poll)?.unwrap_or(Duration::from_secs(60)),
            breaker_probe: first,
            // A longest wait below the first is the first.
            breaker_probe_longest: longest.max(first),
        })
    }
}

fn is_node_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}
