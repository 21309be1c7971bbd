//! What the engine's actors are made of: the pieces that the composition root
//! hands in.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::SubjectId;
use crate::egress::Egress;
use crate::js::HostProgram;
use crate::plan::GuardPolicy;
use crate::plan::breaker::Timing;
use crate::security::Sealer;
use crate::storage::Db;

/// Shared by every actor of the engine.
#[derive(Clone)]
pub struct Deps {
    /// The truth.
    pub db: Db,
    /// The way out.
    pub egress: Arc<Egress>,
    /// What to start for JavaScript.
    pub program: HostProgram,
    /// Opens the secrets of connections.
    pub sealer: Arc<Sealer>,
    /// Times and names.
    pub settings: Arc<Settings>,
    /// Called on the worker before logic runs; tests make it panic.
    pub before_run: Option<Arc<dyn Fn(SubjectId) + Send + Sync>>,
}

/// The engine's own settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// This node's name; only one process may bear it.
    pub node: String,
    /// Logic cannot schedule itself sooner.
    pub run_again_floor: Duration,
    /// When an ongoing operation is looked at again, if logic names no time.
    pub poll_interval: Duration,
    /// When a quarantined target is probed.
    pub breaker: Timing,
    /// Days that the execution log is kept.
    pub log_retention_days: u32,
    /// Days that failed runs can be replayed, 0 for never.
    pub replay_retention_days: u32,
    /// When removals wait for a person, at targets that do not say.
    pub guard: GuardPolicy,
}

/// How long claimed work stays leased without a sign of life.
pub const WORK_LEASE: Duration = Duration::from_secs(60);
/// How long a target stays owned without a sign of life.
pub const TARGET_LEASE: Duration = Duration::from_secs(10);
/// How often the root supervisor looks round.
pub const LOOK_ROUND: Duration = Duration::from_secs(2);
