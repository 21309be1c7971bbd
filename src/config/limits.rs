//! What the daemon refuses to exceed.

use std::time::Duration;

use super::error::ConfigError;
use super::rules;
use super::settings::Settings;

pub(super) const KEYS: &[&str] = &[
    "limits.maxTargets",
    "limits.body",
    "limits.importLine",
    "limits.deletionGuardCount",
    "limits.deletionGuardPercent",
    "limits.deletionGuardWindow",
    "limits.heldExpiry",
    "limits.logRetentionDays",
    "limits.replayRetentionDays",
];

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// `maxTargets`: targets that the instance may have, by default 8.
    pub max_targets: u32,
    /// `body`: largest request body of the API, in bytes, by default `1MiB`.
    pub body: usize,
    /// `importLine`: longest line of an import, in bytes, by default `1MiB`.
    pub import_line: usize,
    /// `deletionGuardCount`: a change that deprovisions more subjects than this
    /// and than the percentage below is held for a person; by default 50.
    pub deletion_guard_count: u64,
    /// `deletionGuardPercent`: of the subjects that are provisioned, by
    /// default 5.
    pub deletion_guard_percent: u8,
    /// `deletionGuardWindow`: removals within this time count together, by
    /// default `1h`.
    pub deletion_guard_window: Duration,
    /// `heldExpiry`: what was not approved by then counts as rejected, by
    /// default `7d`.
    pub held_expiry: Duration,
    /// `logRetentionDays`: how long runs are kept, by default 30.
    pub log_retention_days: u32,
    /// `replayRetentionDays`: how long failed runs can be replayed, by default 7;
    /// 0 keeps nothing for it.
    pub replay_retention_days: u32,
}

impl LimitsConfig {
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let count = rules::number(0, 1_000_000_000);
        let percent = rules::number(0, 100);
        let days = rules::number(1, 3_650);
        let replay_days = rules::number(0, 3_650);
        let window = rules::duration("1h", "1s", "30d");
        let expiry = rules::duration("7d", "1s", "365d");
        Ok(Self {
            max_targets: settings.read("limits.maxTargets", rules::number(1, 1_000))?.unwrap_or(8),
            body: settings.read("limits.body", rules::size("1MiB", "1KiB", "1GiB"))?.unwrap_or(1 << 20),
            import_line: settings
                .read("limits.importLine", rules::size("1MiB", "1KiB", "1GiB"))?
                .unwrap_or(1 << 20),
            deletion_guard_count: settings.read("limits.deletionGuardCount", count)?.unwrap_or(50),
            deletion_guard_percent: settings.read("limits.deletionGuardPercent", percent)?.unwrap_or(5),
            deletion_guard_window: settings
                .read("limits.deletionGuardWindow", window)?
                .unwrap_or(Duration::from_secs(3_600)),
            held_expiry: settings
                .read("limits.heldExpiry", expiry)?
                .unwrap_or(Duration::from_secs(7 * 86_400)),
            log_retention_days: settings.read("limits.logRetentionDays", days)?.unwrap_or(30),
            replay_retention_days: settings.read("limits.replayRetentionDays", replay_days)?.unwrap_or(7),
        })
    }
}
