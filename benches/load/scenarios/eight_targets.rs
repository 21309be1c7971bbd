//! One change fans out to eight targets.

use std::time::Duration;

use super::changes::drive;
use super::{Meter, Stage};
use crate::figures::{Figures, rounded};
use crate::target::Target;

const TARGETS: usize = 8;
/// Changes a second, each of which makes eight runs.
const RATE: u32 = 100;

pub async fn run(accounts: usize, parallel: usize, seconds: u64) -> Figures {
    let stage = Stage::set(1, Duration::ZERO).await;
    let mut targets = Vec::new();
    for number in 0..TARGETS {
        let name = format!("bench-{number}");
        let each = (parallel / TARGETS).max(1);
        targets.push(Target::make(&stage.daemon, &stage.store, &name, "immediate", each, &stage.sink).await);
    }
    stage.sink.until(TARGETS as u64).await;
    let meter = Meter::start(&stage);
    let imported = crate::accounts::import_from(&stage.daemon, &stage.store, 1, accounts).await;
    stage.sink.until((TARGETS * (accounts + 1)) as u64).await;
    for target in &targets {
        target.until_idle(&stage.daemon).await;
    }
    let mut figures = meter.stop(&stage, accounts);
    figures.set("runsPerSecond", rounded(figures.per_second * TARGETS as f64));
    figures.set("importPerSecond", rounded(imported));
    let ids = crate::accounts::ids(&stage.daemon, &stage.store, 5_000.min(accounts)).await;
    let count = RATE as usize * usize::try_from(seconds).unwrap();
    let driven = drive(&stage, &ids, RATE, count, TARGETS, 1).await;
    figures.percentiles = driven.latency;
    figures
}
