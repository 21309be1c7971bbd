//! Hosts that take one run at a time: as many as there are runs, started when
//! they are needed and ended when they are not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::gate::Pass;
use super::pool::Pool;
use super::{HostState, Nursery};
use crate::domain::host_call::HostCalls;
use crate::js::{JsHost, RunEnd, StartError};

/// How long a host may wait for its next run.
const KEPT_IDLE: Duration = Duration::from_secs(30);

/// The hosts of one version, each for one run at a time.
pub(super) struct Exclusive {
    shared: Arc<Mutex<Lent>>,
}

struct Lent {
    idle: Pool<Arc<JsHost>>,
    /// Somebody lets idle ones go.
    is_pruned: bool,
    busy: Vec<Weak<JsHost>>,
}

impl Exclusive {
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Mutex::new(Lent {
                idle: Pool::new(KEPT_IDLE),
                is_pruned: false,
                busy: Vec::new(),
            })),
        }
    }

    /// Runs logic once in a host that nobody else is in.
    pub async fn run(
        &self,
        nursery: &Nursery,
        pass: Pass,
        context: String,
        calls: Arc<dyn HostCalls>,
    ) -> Result<RunEnd, StartError> {
        let host = self.host(nursery).await?;
        let end = nursery.run_by_itself(pass, &host, context, calls).await;
        // What a run has left behind must not go on beside the next one: its host
        // is killed here, when the last handle goes.
        if host.is_alive() && !host.is_tainted() && host.is_at_rest().await {
            self.give_back(host);
        }
        Ok(end)
    }

    async fn host(&self, nursery: &Nursery) -> Result<Arc<JsHost>, StartError> {
        let kept = self.lent().take();
        let host = match kept {
            Some(host) => host,
            None => nursery.start().await?,
        };
        let mut lent = self.lent();
        lent.busy.retain(|host| host.strong_count() > 0);
        lent.busy.push(Arc::downgrade(&host));
        Ok(host)
    }

    fn give_back(&self, host: Arc<JsHost>) {
        let mut lent = self.lent();
        lent.busy.retain(|busy| !std::ptr::eq(busy.as_ptr(), Arc::as_ptr(&host)));
        lent.idle.put(host, Instant::now());
        if !std::mem::replace(&mut lent.is_pruned, true) {
            tokio::spawn(let_go(Arc::downgrade(&self.shared)));
        }
    }

    /// The hosts that are alive.
    pub fn observe(&self) -> Vec<HostState> {
        let lent = self.lent();
        let busy: Vec<_> = lent.busy.iter().filter_map(Weak::upgrade).collect();
        let alive = busy.iter().chain(lent.idle.iter()).filter(|host| host.is_alive());
        alive.map(|host| HostState { pid: host.pid(), in_flight: host.in_flight() }).collect()
    }

    fn lent(&self) -> MutexGuard<'_, Lent> {
        lock(&self.shared)
    }
}

impl Lent {
    /// Ends hosts that have waited too long; says when the next one will have.
    fn prune(&mut self) -> Option<Instant> {
        let next = self.idle.prune(Instant::now());
        self.is_pruned = next.is_some();
        next
    }

    /// A host that is idle and alive.
    fn take(&mut self) -> Option<Arc<JsHost>> {
        std::iter::from_fn(|| self.idle.take()).find(|host| host.is_alive())
    }
}

/// A panic elsewhere leaves the lists as they were between two steps.
fn lock(lent: &Mutex<Lent>) -> MutexGuard<'_, Lent> {
    lent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends hosts that have waited too long, until none is left.
async fn let_go(lent: Weak<Mutex<Lent>>) {
    loop {
        let Some(lent) = lent.upgrade() else { return };
        let next = lock(&lent).prune();
        drop(lent);
        match next {
            Some(next) => tokio::time::sleep_until(next.into()).await,
            None => return,
        }
    }
}
