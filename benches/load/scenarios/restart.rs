//! `kill -9` at half, then start again: nothing is lost, and soon it goes on.

use std::time::{Duration, Instant};

use super::{Meter, Stage};
use crate::figures::{Figures, rounded};
use crate::target::Target;

pub async fn run(accounts: usize, parallel: usize) -> Figures {
    let mut stage = Stage::set(accounts, Duration::ZERO).await;
    let target = Target::make(&stage.daemon, &stage.store, "bench", "manual", parallel, &stage.sink).await;
    target.until_served(&stage.daemon).await;
    target.force(&stage.daemon).await;
    stage.sink.until(accounts as u64 / 2).await;
    stage.daemon.kill();
    // What was on the wire arrives.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = stage.sink.calls();
    stage.sink.forget_first();
    let killed = Instant::now();
    stage.daemon.spawn_again();
    let first = stage.sink.first_call().await - killed;
    stage.daemon.until_ready().await;
    let meter = Meter::start(&stage);
    target.until_idle(&stage.daemon).await;
    let again = usize::try_from(stage.sink.calls() - before).unwrap();
    let mut figures = meter.stop(&stage, again);
    figures.percentiles = stage.runs().await;
    let provisioned = target.status(&stage.daemon).await["counts"]["provisioned"].as_u64();
    assert_eq!(provisioned, Some(accounts as u64), "accounts were lost");
    figures.set("firstRunMs", rounded(first.as_secs_f64() * 1_000.0));
    figures.set("repeatedCalls", stage.sink.calls() - accounts as u64);
    figures
}
