//! Watches a host from outside. While it has work it is pinged; one that does
//! not answer is measured against the limits, and killed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::super::limits::{BOOT_LIMIT, PING_INTERVAL, SHARED_CPU, WATCH_INTERVAL};
use super::super::outcome::StartError;
use super::super::protocol::Kind;
use super::death::Death;
use super::shared::{Ping, Shared, Startup};

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

/// Watches a host that is ready until it ends. An idle host is left alone.
pub(super) async fn watch(shared: Arc<Shared>) {
    while shared.is_alive() {
        if shared.in_flight() == 0 {
            shared.stirred.notified().await;
            continue;
        }
        ping(&shared);
        while is_waiting(&shared) {
            sleep(WATCH_INTERVAL).await;
            check(&shared);
        }
        sleep(PING_INTERVAL).await;
    }
}

fn ping(shared: &Shared) {
    let cpu = shared.process.cpu().unwrap_or_default();
    let mut state = shared.state();
    state.pings = state.pings.wrapping_add(1);
    let number = state.pings;
    // Under the lock: see `Run::begin`.
    state.ping = Some(Ping { number, sent_at: Instant::now(), cpu });
    shared.outbox.put(Kind::Ping, 0, number, &[]);
}

fn is_waiting(shared: &Shared) -> bool {
    let state = shared.state();
    state.ping.is_some() && state.death.is_none() && !state.closed
}

fn check(shared: &Shared) {
    let Some(ping) = shared.state().ping else { return };
    let used = shared.process.cpu().unwrap_or_default().saturating_sub(ping.cpu);
    let is_one_to_blame = shared.state().suspect().is_some();
    if used > shared.limits.cpu() {
        shared.kill(Death::Cpu);
    } else if used > SHARED_CPU && !is_one_to_blame {
        shared.kill(Death::Hogged(SHARED_CPU));
    } else if ping.sent_at.elapsed() > shared.limits.wall() {
        shared.kill(Death::Stuck);
    }
}
