//! Provision all: accounts that no target has seen, one force.

use std::time::{Duration, Instant};

use super::{Meter, Stage};
use crate::figures::{Figures, rounded};
use crate::target::Target;

pub async fn run(accounts: usize, parallel: usize, delay: Duration) -> Figures {
    let stage = Stage::set(accounts, delay).await;
    let target = Target::make(&stage.daemon, &stage.store, "bench", "manual", parallel, &stage.sink).await;
    target.until_served(&stage.daemon).await;
    let meter = Meter::start(&stage);
    target.force(&stage.daemon).await;
    let begin = Instant::now();
    let first = stage.sink.first_call().await - begin;
    stage.sink.until(accounts as u64).await;
    target.until_idle(&stage.daemon).await;
    let mut figures = meter.stop(&stage, accounts);
    figures.percentiles = stage.runs().await;
    figures.set("firstRunMs", rounded(first.as_secs_f64() * 1_000.0));
    figures.set("importPerSecond", rounded(stage.imported_per_second));
    let status = target.status(&stage.daemon).await;
    assert_eq!(status["counts"]["provisioned"], accounts, "{status}");
    figures.set("enqueueSeconds", swept(&status));
    figures.set("calls", stage.sink.calls());
    figures
}

/// How long the sweep took to make everything due.
fn swept(status: &serde_json::Value) -> f64 {
    let time = |name: &str| {
        let text = status["sweep"][name].as_str().unwrap_or_default();
        chrono::DateTime::parse_from_rfc3339(text).map_or(0.0, |time| time.timestamp_micros() as f64 / 1e6)
    };
    rounded(time("finishedAt") - time("startedAt"))
}
