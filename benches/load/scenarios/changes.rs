//! Changes that come in through REST: how long from the acknowledged write to
//! the target's call. A force runs meanwhile, so that changes must overtake it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{Meter, Stage};
use crate::figures::{Figures, rounded};
use crate::latency::Percentiles;
use crate::target::Target;

/// Changes a second.
const RATE: u32 = 500;

pub async fn run(accounts: usize, parallel: usize, seconds: u64) -> Figures {
    let stage = Stage::set(accounts, Duration::ZERO).await;
    let target = Target::make(&stage.daemon, &stage.store, "bench", "immediate", parallel, &stage.sink).await;
    stage.sink.until(accounts as u64).await;
    target.until_idle(&stage.daemon).await;
    let ids = crate::accounts::ids(&stage.daemon, &stage.store, accounts.min(10_000)).await;
    let meter = Meter::start(&stage);
    let count = RATE as usize * usize::try_from(seconds).unwrap();
    let calm = drive(&stage, &ids, RATE, count, 1, 1).await;
    let mut figures = meter.stop(&stage, count);
    figures.percentiles = calm.latency;
    figures.set("ackP50Ms", rounded(calm.acknowledged.p50));
    figures.set("ackP99Ms", rounded(calm.acknowledged.p99));
    target.force(&stage.daemon).await;
    let busy = drive(&stage, &ids, RATE, RATE as usize * 3, 1, count + 1).await;
    figures.set("duringForceP50Ms", rounded(busy.latency.p50));
    figures.set("duringForceP99Ms", rounded(busy.latency.p99));
    target.until_idle(&stage.daemon).await;
    figures
}

/// What a stream of changes met with.
pub struct Driven {
    /// From the acknowledgement to the last of the calls.
    pub latency: Percentiles,
    /// From the request to the acknowledgement.
    pub acknowledged: Percentiles,
}

type Acknowledged = Arc<Mutex<HashMap<u64, (Instant, Duration)>>>;

/// Changes accounts at an even rate and waits for `fan` calls about each
/// change. Markers begin with `first`.
pub async fn drive(
    stage: &Stage,
    ids: &[String],
    rate: u32,
    count: usize,
    fan: usize,
    first: usize,
) -> Driven {
    let acknowledged = Acknowledged::default();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut writes = Vec::with_capacity(count);
    for change in 0..count {
        ticks.tick().await;
        let path = format!("/accounts/{}", ids[change % ids.len()]);
        let marker = (first + change) as u64;
        let body = json!({ "attributes": { "marker": marker } });
        let request = stage.daemon.request(Method::PATCH, &path).json(&body);
        let acknowledged = acknowledged.clone();
        writes.push(tokio::spawn(async move {
            let begin = Instant::now();
            let answer = request.send().await.unwrap();
            assert!(answer.status().is_success());
            let done = Instant::now();
            acknowledged.lock().unwrap().insert(marker, (done, done - begin));
        }));
    }
    for write in writes {
        write.await.unwrap();
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    let mut latencies = Vec::with_capacity(count);
    for (marker, (done, _)) in &acknowledged {
        latencies.push(called(stage, *marker, fan).await.saturating_duration_since(*done));
    }
    let times = acknowledged.values().map(|(_, took)| *took).collect();
    Driven { latency: Percentiles::of(latencies), acknowledged: Percentiles::of(times) }
}

async fn called(stage: &Stage, marker: u64, fan: usize) -> Instant {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(at) = stage.sink.marker(marker, fan) {
            return at;
        }
        assert!(Instant::now() < deadline, "change {marker} was not seen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
