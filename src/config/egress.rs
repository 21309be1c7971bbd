//! What no target may reach, whatever it says.

use super::error::ConfigError;
use super::rules::Rule;
use super::settings::Settings;

pub(super) const KEYS: &[&str] = &["egress.allow", "egress.deny"];

/// `[egress]`: entries like those of a target's `egressAllow`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressConfig {
    /// `allow`: what targets may allow themselves; by default everything but
    /// link-local and metadata addresses, which have to be listed here.
    pub allow: Vec<String>,
    /// `deny`: what they may not, although `allow` has it; by default nothing.
    pub deny: Vec<String>,
}

impl EgressConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let entries = || {
            let words = "hosts, addresses or networks, each with or without `:port`, separated by commas";
            Rule::new(words, |text| {
                let entries: Vec<String> = text.split(',').map(|entry| entry.trim().to_owned()).collect();
                (text.trim().is_empty() || entries.iter().all(|entry| !entry.is_empty()))
                    .then(|| entries.into_iter().filter(|entry| !entry.is_empty()).collect::<Vec<_>>())
            })
        };
        Ok(Self {
            allow: settings.read("egress.allow", entries())?.unwrap_or_default(),
            deny: settings.read("egress.deny", entries())?.unwrap_or_default(),
        })
    }
}
