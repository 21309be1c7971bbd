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
    let Some(used) = used_since(shared, cpu) else { return };
    if used > shared.limits.cpu() {
        shared.kill(Death::Cpu);
    } else if since.elapsed() > shared.limits.wall() {
        shared.kill(Death::Stuck);
    }
}

/// CPU time that the child has used since it had used `before`. A host whose CPU
/// time cannot be measured is killed: no limit holds for it.
fn used_since(shared: &Shared, before: Duration) -> Option<Duration> {
    match shared.process.cpu() {
        Ok(cpu) => Some(cpu.saturating_sub(before)),
        Err(_) if shared.process.is_ending() => None,
        Err(error) => {
            log::warn!(
                "the CPU time of JavaScript host {} cannot be measured: {error}",
                shared.process.pid()
            );
            shared.kill(Death::Unmeasured);
            None
        }
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
        Some(Death::Unmeasured) => StartError::Spawn(Death::Unmeasured.blame(&shared.limits)),
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
    let Some(before) = used_since(shared, Duration::ZERO) else { return };
    if timeout(IDLE_INTERVAL, shared.stirred.notified()).await.is_ok() {
        return;
    }
    let Some(used) = used_since(shared, before) else { return };
    if used > SHARED_CPU && shared.in_flight() == 0 {
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
    let Some(cpu) = used_since(shared, Duration::ZERO) else { return };
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

#[cfg(test)]
mod tests {
    use super::super::hostile::taken_over;
    use super::*;

    #[test]
    fn a_host_whose_cpu_time_cannot_be_measured_is_killed() {
        let shared = taken_over();
        shared.ping(&mut shared.state());
        check(&shared);
        assert_eq!(shared.state().death, Some(Death::Unmeasured));
        let shared = taken_over();
        check_loading(&shared, Instant::now(), Duration::ZERO);
        assert_eq!(shared.state().death, Some(Death::Unmeasured));
    }

    #[test]
    fn one_that_ends_by_itself_is_not_blamed_for_that() {
        let shared = taken_over();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        assert!(runtime.unwrap().block_on(shared.process.reap()).is_ok());
        shared.ping(&mut shared.state());
        check(&shared);
        assert_eq!(shared.state().death, None);
    }
}
