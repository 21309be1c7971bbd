//! Watches a host from outside. While it has work it is pinged; one that does
//! not answer is measured against the limits, and killed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::super::limits::{BOOT_LIMIT, IDLE_INTERVAL, PING_INTERVAL, SHARED_CPU, WATCH_INTERVAL};
use super::super::outcome::StartError;
use super::death::Death;
use super::shared::{Shared, Startup};

/// Waits until the code is loaded, or it is clear that it will not be.
pub(super) async fn until_started(shared: &Arc<Shared>) -> Startup {
    let began = Instant::now();
    loop {
        let _ = timeout(WATCH_INTERVAL, shared.started.notified()).await;
        let (startup, closed) = {
            let state = shared.state();
            (state.startup.clone(), state.closed)
        };
        match startup {
            Startup::Booting if began.elapsed() > BOOT_LIMIT => shared.kill(Death::Stuck),
            Startup::Loading { since, cpu } => check_loading(shared, since, cpu),
            Startup::Ready | Startup::Failed(_) => return startup,
            Startup::Booting => {}
        }
        if closed {
            return Startup::Failed(start_error(shared, &startup));
        }
    }
}

fn check_loading(shared: &Shared, since: Instant, cpu: Duration) {
    let used = shared.process.cpu().unwrap_or_default().saturating_sub(cpu);
    if used > shared.limits.cpu() {
        shared.kill(Death::Cpu);
    } else if since.elapsed() > shared.limits.wall() {
        shared.kill(Death::Stuck);
    }
}

/// Why a host ended before it was ready.
fn start_error(shared: &Shared, startup: &Startup) -> StartError {
    let death = shared.state().death.clone();
    let booted = matches!(startup, Startup::Loading { .. });
    match death {
        Some(death @ (Death::Cpu | Death::Stuck | Death::Heap)) if booted => {
            StartError::Limit(format!("{} while the logic was loaded", death.blame(&shared.limits)))
        }
        Some(Death::Heap) => StartError::Limit(Death::Heap.blame(&shared.limits)),
        Some(Death::Stuck) => StartError::Spawn("it did not answer".into()),
        Some(Death::Exited(how)) => StartError::Crashed(how),
        _ => StartError::Crashed("it was killed".into()),
    }
}

/// Watches a host that is ready until it ends.
pub(super) async fn watch(shared: Arc<Shared>) {
    while shared.is_alive() {
        if shared.in_flight() == 0 {
            idle(&shared).await;
            continue;
        }
        // The ping that came with the first run, then one that comes after it.
        answered(&shared).await;
        shared.ping(&mut shared.state());
        answered(&shared).await;
        sleep(PING_INTERVAL).await;
    }
}

/// Waits for a run. A host that is busy without one does what nobody asked for:
/// an ended run has left it behind.
async fn idle(shared: &Shared) {
    let before = shared.process.cpu().unwrap_or_default();
    let waited = timeout(IDLE_INTERVAL, shared.stirred.notified()).await;
    let used = shared.process.cpu().unwrap_or_default().saturating_sub(before);
    if waited.is_err() && used > SHARED_CPU && shared.in_flight() == 0 {
        shared.kill(Death::Hogged(SHARED_CPU));
    }
}

/// Waits until no ping waits for its answer; one that waits too long ends the
/// host.
async fn answered(shared: &Shared) {
    while is_waiting(shared) {
        check(shared);
        let _ = timeout(WATCH_INTERVAL, shared.stirred.notified()).await;
    }
}

fn is_waiting(shared: &Shared) -> bool {
    let state = shared.state();
    state.ping.is_some() && state.death.is_none() && !state.closed
}

fn check(shared: &Shared) {
    let cpu = shared.process.cpu().unwrap_or_default();
    let mut state = shared.state();
    let Some(ping) = &mut state.ping else { return };
    let used = cpu.saturating_sub(*ping.cpu.get_or_insert(cpu));
    let waited = ping.sent_at.elapsed();
    let is_one_to_blame = state.suspect().is_some();
    drop(state);
    if used > shared.limits.cpu() {
        shared.kill(Death::Cpu);
    } else if used > SHARED_CPU && !is_one_to_blame {
        shared.kill(Death::Hogged(SHARED_CPU));
    } else if waited > shared.limits.wall() {
        shared.kill(Death::Stuck);
    }
}
