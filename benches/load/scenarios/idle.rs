//! A daemon with nothing to do: what it costs all the same.

use std::time::Duration;

use super::{Meter, Stage};
use crate::figures::{Figures, rounded};
use crate::target::Target;

pub async fn run(accounts: usize, parallel: usize, seconds: u64) -> Figures {
    let stage = Stage::set(accounts, Duration::ZERO).await;
    let target = Target::make(&stage.daemon, &stage.store, "bench", "immediate", parallel, &stage.sink).await;
    stage.sink.until(accounts as u64).await;
    target.until_idle(&stage.daemon).await;
    // The autovacuum looks after what was just written.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let meter = Meter::start(&stage);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let mut figures = meter.stop(&stage, accounts);
    figures.per_second = 0.0;
    let share = |micros: u64| rounded(micros as f64 / (seconds as f64 * 1e6) * 100.0);
    figures.set("cpuPercent", share(figures.cpu.sum()));
    figures.set("daemonCpuPercent", share(figures.cpu.daemon));
    figures
}
