//! Where the master key comes from, and how logic is held.

use super::error::ConfigError;
use super::rules::Rule;
use super::settings::Settings;
use crate::security::{MasterKey, Secret};

pub(super) const KEYS: &[&str] = &["security.masterKey", "security.sandbox"];

/// `[security]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityConfig {
    /// `masterKey`: the key that wraps every secret, better given in the file
    /// that `PROVISIOND_SECURITY_MASTER_KEY_FILE` names (a systemd credential,
    /// say) than here. Without one it is `master.key` in the data directory.
    pub master_key: Option<Secret>,
    /// `sandbox`: what becomes of a kernel that cannot hold the processes of
    /// logic, by default `preferred`.
    pub sandbox: Sandbox,
}

/// How much of the sandbox there must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// The daemon does not start without its essential parts.
    Required,
    /// What the kernel has is in force, what is missing is in the log.
    #[default]
    Preferred,
    /// None, for the day when a new kernel or C library does not go with it.
    Off,
}

impl Sandbox {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "required" => Some(Self::Required),
            "preferred" => Some(Self::Preferred),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

impl SecurityConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let words = "32 bytes in base64, such as `openssl rand -base64 32` prints";
        let key = Rule::new(words, |text| {
            let text = Secret::new(text);
            MasterKey::parse(&text).is_ok().then_some(text)
        });
        let sandbox = Rule::new("\"required\", \"preferred\" or \"off\"", Sandbox::parse);
        Ok(Self {
            master_key: settings.read("security.masterKey", key)?,
            sandbox: settings.read("security.sandbox", sandbox)?.unwrap_or_default(),
        })
    }
}
