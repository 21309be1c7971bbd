//! What the rest of the daemon holds of the engine.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use actix::prelude::*;

use super::supervisor::{LookRound, Shutdown, Supervisor};
use super::target::{ObservableState, Observe, StopRuns, Swept, TargetSupervisor, Wake};
use crate::domain::ids::TargetId;

/// Wakes targets that got work.
pub type Nudge = Arc<dyn Fn(&[TargetId]) + Send + Sync>;

/// The target supervisors that run on this node.
pub(super) type Registry = Arc<RwLock<HashMap<TargetId, Addr<TargetSupervisor>>>>;

/// A handle on the engine; cheap to clone.
#[derive(Clone)]
pub struct EngineHandle {
    pub(super) supervisor: Addr<Supervisor>,
    pub(super) registry: Registry,
}

pub(super) fn nudge(registry: &Registry) -> Nudge {
    let registry = registry.clone();
    Arc::new(move |targets| {
        if let Ok(running) = registry.read() {
            for target in targets.iter().filter_map(|target| running.get(target)) {
                target.do_send(Wake);
            }
        }
    })
}

impl EngineHandle {
    /// Wakes targets that got work, after its commit.
    pub fn nudge(&self) -> Nudge {
        nudge(&self.registry)
    }

    /// Tells a target that a sweep was started. A target that does not run
    /// here finds it when it starts.
    pub fn sweep(&self, target: TargetId) {
        if let Some(running) = self.running(target) {
            running.do_send(Swept);
        }
    }

    /// Tells the engine that targets were made, changed or deleted.
    pub fn look_round(&self) {
        self.supervisor.do_send(LookRound);
    }

    fn running(&self, target: TargetId) -> Option<Addr<TargetSupervisor>> {
        self.registry.read().ok()?.get(&target).cloned()
    }

    /// What a target does on this node, `None` when it does not run here.
    pub async fn observe(&self, target: TargetId) -> Option<ObservableState> {
        self.running(target)?.send(Observe).await.ok()
    }

    /// Terminates the running JavaScript of a target. Pause it first, or it
    /// goes on with the next job.
    pub async fn stop_runs(&self, target: TargetId) -> bool {
        match self.running(target) {
            Some(running) => running.send(StopRuns).await.is_ok(),
            None => false,
        }
    }

    /// Lets running jobs end, gives everything back and stops the actors.
    /// Returns once that is done or `deadline` has passed.
    pub async fn shutdown(&self, deadline: std::time::Duration) {
        if let Err(error) = self.supervisor.send(Shutdown(deadline)).await {
            log::error!("the engine did not stop in order: {error}");
        }
    }
}
