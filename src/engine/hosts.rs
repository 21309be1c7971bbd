//! The JavaScript hosts of one (target, logic version): shared ones for
//! everyday runs, and lone ones to find out which run breaks its limits; or, when
//! the target is isolated, one for each run.

mod exclusive;
mod gate;
mod pool;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, Weak};

use exclusive::Exclusive;
use gate::{Gate, Pass};
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};

use crate::domain::host_call::HostCalls;
use crate::domain::target::{Isolation, Limits};
use crate::js::{Code, HostProgram, JsHost, RunEnd, RunOutcome, RunRequest, StartError};

/// Runs that one host takes at a time; more were seen to lose promises.
const RUNS_PER_HOST: usize = 64;
/// Lone hosts at one time.
const LONE_HOSTS: usize = 2;

/// What every host of a version is started with.
pub struct Starter {
    /// What to execute.
    pub program: HostProgram,
    /// The published logic.
    pub code: Code,
    /// What its runs may use up.
    pub limits: Limits,
}

/// Starts hosts while that is allowed, and knows those that it started.
struct Nursery {
    starter: Starter,
    gate: Gate,
    alive: std::sync::Mutex<Vec<Weak<JsHost>>>,
}

impl Nursery {
    async fn start(&self) -> Result<Arc<JsHost>, StartError> {
        let Starter { program, code, limits } = &self.starter;
        let host = Arc::new(JsHost::start(program, code, limits).await?);
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.retain(|host| host.strong_count() > 0);
        alive.push(Arc::downgrade(&host));
        Ok(host)
    }

    /// Runs logic in a host, unless the gate was shut since the run was let in.
    /// Looked at after the host was entered among those that a stop kills.
    async fn run(&self, pass: Pass, host: &JsHost, context: String, calls: Arc<dyn HostCalls>) -> RunEnd {
        match self.gate.holds(pass) {
            true => host.run(RunRequest { context }, calls).await,
            false => stopped(),
        }
    }

    /// The same for a run that has the host to itself: when that is killed from
    /// outside, the run is the likeliest reason.
    async fn run_by_itself(
        &self,
        pass: Pass,
        host: &JsHost,
        context: String,
        calls: Arc<dyn HostCalls>,
    ) -> RunEnd {
        let RunEnd { outcome, console } = self.run(pass, host, context, calls).await;
        let outcome = match outcome {
            RunOutcome::Interrupted(why) if host.was_killed_from_outside() => RunOutcome::Killed(why),
            outcome => outcome,
        };
        RunEnd { outcome, console }
    }

    fn stop(&self) {
        self.gate.shut();
        let alive = std::mem::take(&mut *self.alive.lock().unwrap_or_else(PoisonError::into_inner));
        alive.iter().filter_map(Weak::upgrade).for_each(|host| host.kill());
    }
}

/// What comes of a run that was not begun.
fn stopped() -> RunEnd {
    let why = "the target was stopped before the run began".into();
    RunEnd { outcome: RunOutcome::Interrupted(why), console: Vec::new() }
}

/// The hosts of one published version under one set of limits.
pub struct Hosts {
    nursery: Nursery,
    shared: Vec<Mutex<Option<Arc<JsHost>>>>,
    /// For a target that is isolated.
    exclusive: Option<Exclusive>,
    lone: Semaphore,
    /// Runs that wait for a lone host or are in one.
    to_run_alone: AtomicUsize,
    /// Lone hosts between two runs.
    spare: std::sync::Mutex<Vec<Arc<JsHost>>>,
}

/// A host as the status page shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostState {
    /// Process id.
    pub pid: u32,
    /// Runs in flight.
    pub in_flight: usize,
}

impl Hosts {
    /// Hosts for as many parallel runs; processes start when first needed.
    pub fn new(starter: Starter, isolation: Isolation, parallel: usize) -> Self {
        let count = parallel.div_ceil(RUNS_PER_HOST).max(1);
        Self {
            nursery: Nursery { starter, gate: Gate::default(), alive: std::sync::Mutex::default() },
            shared: (0..count).map(|_| Mutex::new(None)).collect(),
            exclusive: (isolation == Isolation::Exclusive).then(Exclusive::new),
            lone: Semaphore::new(LONE_HOSTS),
            to_run_alone: AtomicUsize::new(0),
            spare: std::sync::Mutex::default(),
        }
    }

    /// Runs logic once for worker `worker`. A run that was interrupted because
    /// another one broke the host's limits is run again, alone.
    pub async fn run(
        &self,
        worker: usize,
        context: String,
        calls: Arc<dyn HostCalls>,
    ) -> Result<RunEnd, StartError> {
        let Some(pass) = self.nursery.gate.enter() else { return Ok(stopped()) };
        if let Some(exclusive) = &self.exclusive {
            return exclusive.run(&self.nursery, pass, context, calls).await;
        }
        let host = self.shared_host(worker / RUNS_PER_HOST % self.shared.len()).await?;
        let end = self.nursery.run(pass, &host, context.clone(), calls.clone()).await;
        if host.is_tainted() {
            self.retire(&host).await;
        }
        let retry = matches!(end.outcome, RunOutcome::Interrupted(_)) && self.nursery.gate.holds(pass);
        if retry { self.run_alone(pass, context, calls).await } else { Ok(end) }
    }

    async fn shared_host(&self, slot: usize) -> Result<Arc<JsHost>, StartError> {
        let mut slot = self.shared[slot].lock().await;
        if let Some(host) = slot.as_ref().filter(|host| host.is_alive()) {
            return Ok(host.clone());
        }
        let host = self.nursery.start().await?;
        *slot = Some(host.clone());
        Ok(host)
    }

    /// Gives new runs another host. One in which a run was given up may go on with
    /// it, where no limit counts any more; it ends with the last of its others.
    async fn retire(&self, host: &Arc<JsHost>) {
        for slot in &self.shared {
            let mut slot = slot.lock().await;
            if slot.as_ref().is_some_and(|held| Arc::ptr_eq(held, host)) {
                *slot = None;
            }
        }
    }

    async fn run_alone(
        &self,
        pass: Pass,
        context: String,
        calls: Arc<dyn HostCalls>,
    ) -> Result<RunEnd, StartError> {
        self.to_run_alone.fetch_add(1, Ordering::AcqRel);
        let end = self.run_in_lone_host(pass, context, calls).await;
        let last = self.to_run_alone.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && let Ok(mut spare) = self.spare.lock() {
            spare.clear();
        }
        end
    }

    async fn run_in_lone_host(
        &self,
        pass: Pass,
        context: String,
        calls: Arc<dyn HostCalls>,
    ) -> Result<RunEnd, StartError> {
        let _permit =
            self.lone.acquire().await.map_err(|_| StartError::Spawn("the daemon is stopping".into()))?;
        if !self.nursery.gate.holds(pass) {
            return Ok(stopped());
        }
        let host = self.lone_host().await?;
        let end = self.nursery.run_by_itself(pass, &host, context, calls).await;
        // Those that were only bystanders are quick, and wait less than a new
        // process takes to start.
        if host.is_alive()
            && !host.is_tainted()
            && let Ok(mut spare) = self.spare.lock()
        {
            spare.push(host);
        }
        Ok(end)
    }

    async fn lone_host(&self) -> Result<Arc<JsHost>, StartError> {
        let spare = self.spare.lock().ok().and_then(|mut spare| spare.pop());
        if let Some(host) = spare.filter(|host| host.is_alive()) {
            return Ok(host);
        }
        let host = self.nursery.start().await?;
        // One of those that run alone uses its CPU limit up, again and again as
        // long as it is tried again: not at the expense of the others.
        host.put_behind();
        Ok(host)
    }

    /// Kills every host; what runs ends interrupted, nothing is run again and
    /// nothing begins until [`Hosts::allow`].
    pub fn stop(&self) {
        self.nursery.stop();
    }

    /// Lets runs begin again.
    pub fn allow(&self) {
        self.nursery.gate.open();
    }

    /// The hosts that are alive, less the lone ones.
    pub fn observe(&self) -> Vec<HostState> {
        if let Some(exclusive) = &self.exclusive {
            return exclusive.observe();
        }
        let alive = |slot: &Mutex<Option<Arc<JsHost>>>| {
            let slot = slot.try_lock().ok()?;
            let host = slot.as_ref().filter(|host| host.is_alive())?;
            Some(HostState { pid: host.pid(), in_flight: host.in_flight() })
        };
        self.shared.iter().filter_map(alive).collect()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.stop();
    }
}
