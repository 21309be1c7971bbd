//! The JavaScript hosts of one (target, logic version): shared ones for
//! everyday runs, and lone ones to find out which run breaks its limits; or, when
//! the target is isolated, one for each run.

mod exclusive;
mod pool;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use exclusive::Exclusive;
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

impl Starter {
    async fn start(&self) -> Result<Arc<JsHost>, StartError> {
        Ok(Arc::new(JsHost::start(&self.program, &self.code, &self.limits).await?))
    }
}

/// The hosts of one published version under one set of limits.
pub struct Hosts {
    starter: Starter,
    shared: Vec<Mutex<Option<Arc<JsHost>>>>,
    /// For a target that is isolated.
    exclusive: Option<Exclusive>,
    lone: Semaphore,
    /// Runs that wait for a lone host or are in one.
    to_run_alone: AtomicUsize,
    /// Lone hosts between two runs.
    spare: std::sync::Mutex<Vec<Arc<JsHost>>>,
    running_alone: std::sync::Mutex<Vec<Weak<JsHost>>>,
    stopped: AtomicBool,
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
            starter,
            shared: (0..count).map(|_| Mutex::new(None)).collect(),
            exclusive: (isolation == Isolation::Exclusive).then(Exclusive::new),
            lone: Semaphore::new(LONE_HOSTS),
            to_run_alone: AtomicUsize::new(0),
            spare: std::sync::Mutex::default(),
            running_alone: std::sync::Mutex::default(),
            stopped: AtomicBool::new(false),
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
        if let Some(exclusive) = &self.exclusive {
            return exclusive.run(&self.starter, context, calls).await;
        }
        let host = self.shared_host(worker / RUNS_PER_HOST % self.shared.len()).await?;
        let end = host.run(RunRequest { context: context.clone() }, calls.clone()).await;
        if host.is_tainted() {
            self.retire(&host).await;
        }
        let retry =
            matches!(end.outcome, RunOutcome::Interrupted(_)) && !self.stopped.load(Ordering::Acquire);
        if retry { self.run_alone(context, calls).await } else { Ok(end) }
    }

    async fn shared_host(&self, slot: usize) -> Result<Arc<JsHost>, StartError> {
        let mut slot = self.shared[slot].lock().await;
        if let Some(host) = slot.as_ref().filter(|host| host.is_alive()) {
            return Ok(host.clone());
        }
        let host = self.starter.start().await?;
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

    async fn run_alone(&self, context: String, calls: Arc<dyn HostCalls>) -> Result<RunEnd, StartError> {
        self.to_run_alone.fetch_add(1, Ordering::AcqRel);
        let end = self.run_in_lone_host(context, calls).await;
        let last = self.to_run_alone.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && let Ok(mut spare) = self.spare.lock() {
            spare.clear();
        }
        end
    }

    async fn run_in_lone_host(
        &self,
        context: String,
        calls: Arc<dyn HostCalls>,
    ) -> Result<RunEnd, StartError> {
        let _permit =
            self.lone.acquire().await.map_err(|_| StartError::Spawn("the daemon is stopping".into()))?;
        let host = self.lone_host().await?;
        let end = host.run(RunRequest { context }, calls).await;
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
        let host = self.starter.start().await?;
        // One of those that run alone uses its CPU limit up, again and again as
        // long as it is tried again: not at the expense of the others.
        host.put_behind();
        if let Ok(mut alone) = self.running_alone.lock() {
            alone.retain(|host| host.strong_count() > 0);
            alone.push(Arc::downgrade(&host));
        }
        Ok(host)
    }

    /// Kills every host; what runs ends interrupted and nothing is run again.
    /// New hosts start when the next run asks for one and [`Hosts::allow`] was
    /// called.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(exclusive) = &self.exclusive {
            exclusive.stop();
        }
        for slot in &self.shared {
            if let Ok(mut slot) = slot.try_lock()
                && let Some(host) = slot.take()
            {
                host.kill();
            }
        }
        let alone =
            self.running_alone.lock().map(|mut alone| std::mem::take(&mut *alone)).unwrap_or_default();
        for host in alone.iter().filter_map(Weak::upgrade) {
            host.kill();
        }
    }

    /// Lets runs interrupted from now on be run again.
    pub fn allow(&self) {
        self.stopped.store(false, Ordering::Release);
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
