//! Where the master key comes from.

use super::error::ConfigError;
use super::rules::Rule;
use super::settings::Settings;
use crate::security::Secret;

pub(super) const KEYS: &[&str] = &["security.masterKey"];

/// `[security]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityConfig {
    /// `masterKey`: see [`MasterKeySource`].
    pub master_key: MasterKeySource,
}

/// Where the key that wraps every secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeySource {
    /// The default: `master.key` in the data directory, made when missing.
    DataDirectory,
    /// The text of the key itself, from `PROVISIOND_SECURITY_MASTER_KEY`, the
    /// file that `PROVISIOND_SECURITY_MASTER_KEY_FILE` names (a systemd
    /// credential, say), or the configuration file.
    Given(Secret),
}

impl SecurityConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let words = "32 bytes in base64, such as `openssl rand -base64 32` prints";
        let key = Rule::new(words, |text| {
            let text = Secret::new(text);
            crate::security::MasterKey::parse(&text).is_ok().then_some(text)
        });
        let given = settings.read("security.masterKey", key)?;
        Ok(Self { master_key: given.map_or(MasterKeySource::DataDirectory, MasterKeySource::Given) })
    }
}
