//! A host that works for long: no run is lost, no answer goes to another run,
//! and its memory stays as it is.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use provisiond::domain::host_call::{FetchRequest, FetchResponse, Fetched, HostCallFuture, HostCalls};
use provisiond::domain::target::Limits;
use provisiond::js::{HostProgram, JsHost, RunOutcome, RunRequest};
use serde_json::json;

use super::profile;

/// Two calls at once, then a timer, then a microtask: what logic waits for.
const LOGIC: &str = "
    export default async function (ctx) {
        const ask = async (part) => (await fetch(`http://peer/${ctx.number}/${part}`)).text();
        const parts = await Promise.all([ask('a'), ask('b')]);
        if (ctx.number % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        await null;
        return [ctx.number, ...parts];
    }";
/// As many as the engine gives to one host.
const IN_FLIGHT: u64 = 64;

/// Answers with the path, sometimes at once and sometimes later.
struct Echo;

impl HostCalls for Echo {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        Box::pin(async move {
            if request.url.len().is_multiple_of(2) {
                tokio::task::yield_now().await;
            }
            let path = request.url.trim_start_matches("http://peer").to_owned();
            Ok(FetchResponse {
                status: 200,
                status_text: String::new(),
                url: request.url,
                redirected: false,
                headers: Vec::new(),
                body: Bytes::from(path),
            }
            .into())
        })
    }
}

#[derive(Default)]
struct Tally {
    next: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
}

/// One of those in flight: runs after runs. What it gives back is what failed.
async fn lane(host: Arc<JsHost>, tally: Arc<Tally>) -> Vec<String> {
    let mut failures = Vec::new();
    while !tally.stop.load(Ordering::Relaxed) {
        let number = tally.next.fetch_add(1, Ordering::Relaxed);
        let request = RunRequest { context: json!({ "number": number }).to_string() };
        let wanted = json!([number, format!("/{number}/a"), format!("/{number}/b")]);
        match host.run(request, Arc::new(Echo)).await.outcome {
            RunOutcome::Returned(value) if value == wanted => {
                tally.done.fetch_add(1, Ordering::Relaxed);
            }
            other => failures.push(format!("run {number} ended as {other:?}")),
        }
    }
    failures
}

/// Resident memory of a process, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The largest resident memory in each quarter of the time.
async fn watch(pid: u32, lasts: Duration) -> [u64; 4] {
    let (begin, mut most) = (Instant::now(), [0; 4]);
    while begin.elapsed() < lasts {
        let quarter = (4.0 * begin.elapsed().as_secs_f64() / lasts.as_secs_f64()) as usize;
        most[quarter.min(3)] = most[quarter.min(3)].max(resident(pid));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises() {
    let lasts = profile::soak().unwrap_or(Duration::from_secs(5));
    let program = HostProgram::new(env!("CARGO_BIN_EXE_provisiond"));
    let limits = Limits { cpu_ms: 2_000, wall_ms: 10_000, heap_mib: 64 };
    let host = Arc::new(JsHost::start(&program, LOGIC, &limits).await.unwrap());
    let pid = host.pid();
    let tally = Arc::new(Tally::default());
    let lanes: Vec<_> = (0..IN_FLIGHT).map(|_| tokio::spawn(lane(host.clone(), tally.clone()))).collect();
    let quarters = watch(pid, lasts).await;
    tally.stop.store(true, Ordering::Relaxed);
    let mut failures = HashSet::new();
    for lane in lanes {
        failures.extend(lane.await.unwrap());
    }
    let (begun, done) = (tally.next.load(Ordering::Relaxed), tally.done.load(Ordering::Relaxed));
    println!("promises: {done} of {begun} runs in {lasts:?}, resident KiB by quarter: {quarters:?}");
    println!("{}", json!({ "promises": { "begun": begun, "done": done, "residentKiB": quarters } }));
    assert!(failures.is_empty() && done == begun, "{failures:?}");
    assert_eq!(host.pid(), pid);
    assert!(host.is_alive());
    // The first quarter holds the warm-up.
    let grown = quarters[3].saturating_sub(quarters[1]);
    assert!(grown < 4_096, "memory grew by {grown} KiB: {quarters:?}");
}
