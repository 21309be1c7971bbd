//! Where the master key comes from.

use super::error::ConfigError;
use super::rules::Rule;
use super::settings::Settings;
use crate::security::{MasterKey, Secret};

pub(super) const KEYS: &[&str] = &["security.masterKey"];

/// `[security]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityConfig {
    /// `masterKey`: the key that wraps every secret, better given in the file
    /// that `PROVISIOND_SECURITY_MASTER_KEY_FILE` names (a systemd credential,
    /// say) than here. Without one it is `master.key` in the data directory.
    pub master_key: Option<Secret>,
}

impl SecurityConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let words = "32 bytes in base64, such as `openssl rand -base64 32` prints";
        let key = Rule::new(words, |text| {
            let text = Secret::new(text);
            MasterKey::parse(&text).is_ok().then_some(text)
        });
        Ok(Self { master_key: settings.read("security.masterKey", key)? })
    }
}
