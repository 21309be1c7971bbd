//! What a target does, for whoever asks.

use std::time::Duration;

use actix::prelude::*;
use serde::Serialize;

use super::super::hosts::HostState;
use super::TargetSupervisor;
use super::messages::Observe;
use crate::plan::breaker::BreakerView;

/// What a target does on this node.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservableState {
    /// Claims nothing until resumed.
    pub paused: bool,
    /// Is about to stop.
    pub draining: bool,
    /// Maximum parallel jobs.
    pub workers: usize,
    /// Workers with a job.
    pub busy: usize,
    /// Jobs that wait for a worker.
    pub ready: usize,
    /// Claimed and not yet committed.
    pub leased: usize,
    /// Rows claimed since the actor started.
    pub claimed: u64,
    /// Rows committed since the actor started.
    pub committed: u64,
    /// What the breaker lets through.
    pub breaker: BreakerView,
    /// Commits a second of late.
    pub per_second: f64,
    /// Workers that died and were replaced.
    pub worker_restarts: u64,
    /// The published version that runs.
    pub logic_version: i32,
    /// The version that some run first.
    pub canary_version: Option<i32>,
    /// The JavaScript processes.
    pub hosts: Vec<HostState>,
    /// The last thing that went wrong in the engine itself.
    pub last_error: Option<String>,
}

#[derive(Default)]
pub(super) struct Counters {
    pub claimed: u64,
    pub committed: u64,
    pub worker_restarts: u64,
    pub last_error: Option<String>,
    rate: Rate,
}

/// Commits a second over the last ticks.
#[derive(Default)]
struct Rate {
    at_last_tick: u64,
    per_second: f64,
}

impl Counters {
    /// Takes the rate of the time since the last tick.
    pub fn tick(&mut self, tick: Duration) {
        let rate = &mut self.rate;
        let fresh = (self.committed - rate.at_last_tick) as f64 / tick.as_secs_f64();
        rate.per_second = if rate.per_second == 0.0 { fresh } else { 0.7 * rate.per_second + 0.3 * fresh };
        if rate.per_second < 0.05 {
            rate.per_second = 0.0;
        }
        rate.at_last_tick = self.committed;
    }
}

impl Handler<Observe> for TargetSupervisor {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(ObservableState {
            paused: self.paused,
            draining: self.draining,
            workers: self.most_workers(),
            busy: self.workers.iter().filter(|slot| slot.job.is_some()).count(),
            ready: self.ready.len(),
            leased: self.leased.len(),
            claimed: self.counters.claimed,
            committed: self.counters.committed,
            breaker: self.health.view(),
            per_second: self.counters.rate.per_second,
            worker_restarts: self.counters.worker_restarts,
            logic_version: self.runtime.logic.main.version,
            canary_version: self.runtime.logic.canary.as_ref().map(|trial| trial.served.version),
            hosts: self.runtime.logic.observe(),
            last_error: self.counters.last_error.clone(),
        })
    }
}
