//! The scenarios.

mod changes;
mod eight_targets;
mod force;
mod idle;
mod limit;
mod restart;

use std::time::{Duration, Instant};

use diesel::prelude::*;

use crate::arguments::Arguments;
use crate::cpu::{Cpu, Memory};
use crate::daemon::Daemon;
use crate::figures::Figures;
use crate::latency::Percentiles;
use crate::sink::Sink;

/// Their names.
pub const NAMES: &[&str] =
    &["force", "changes", "slow-target", "restart", "eight-targets", "idle", "limit", "million"];

/// How slow the slow target is.
const SLOW: Duration = Duration::from_millis(10);

/// Runs one.
pub async fn run(name: &str, arguments: &Arguments) -> Figures {
    let Arguments { accounts, parallel, seconds, .. } = *arguments;
    let mut figures = match name {
        "force" => force::run(accounts, parallel, Duration::ZERO).await,
        "slow-target" => force::run(accounts, parallel, SLOW).await,
        "million" => force::run(1_000_000, parallel, Duration::ZERO).await,
        "changes" => changes::run(accounts, parallel, seconds).await,
        "restart" => restart::run(accounts, parallel).await,
        "eight-targets" => eight_targets::run(accounts, parallel, seconds).await,
        "idle" => idle::run(accounts, parallel, seconds).await,
        _ => limit::run(accounts, parallel).await,
    };
    figures.scenario = name.to_owned();
    figures
}

/// A store of a daemon and a sink to send its accounts to.
struct Stage {
    daemon: Daemon,
    sink: Sink,
    store: String,
    imported_per_second: f64,
}

impl Stage {
    async fn set(accounts: usize, delay: Duration) -> Self {
        let sink = Sink::start(delay);
        let daemon = Daemon::start().await;
        let made = daemon.post("/stores", serde_json::json!({ "name": "people" })).await;
        let store = made["id"].as_str().unwrap().to_owned();
        let imported_per_second = crate::accounts::import(&daemon, &store, accounts).await;
        Self { daemon, sink, store, imported_per_second }
    }

    /// How long runs took, as the log has it.
    async fn runs(&self) -> Percentiles {
        let url = self.daemon.database();
        tokio::task::spawn_blocking(move || run_times(&url)).await.unwrap()
    }
}

#[derive(QueryableByName)]
struct RunTimes {
    #[diesel(sql_type = diesel::sql_types::Double)]
    p50: f64,
    #[diesel(sql_type = diesel::sql_types::Double)]
    p99: f64,
}

fn run_times(url: &str) -> Percentiles {
    let mut connection = provisiond::storage::connect(url).unwrap();
    let times: RunTimes = diesel::sql_query(
        "SELECT coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), 0) AS p50, \
            coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY ms), 0) AS p99 \
         FROM (SELECT extract(epoch FROM finished_at - started_at)::float8 * 1000 AS ms FROM runs \
            LIMIT 200000) AS runs",
    )
    .get_result(&mut connection)
    .unwrap();
    Percentiles { p50: times.p50, p99: times.p99 }
}

/// What is used up from a moment on.
struct Meter {
    pid: u32,
    begin: Instant,
    cpu: Cpu,
    sink_cpu: u64,
    memory: Memory,
}

impl Meter {
    fn start(stage: &Stage) -> Self {
        let pid = stage.daemon.pid();
        Self {
            pid,
            begin: Instant::now(),
            cpu: Cpu::of(pid),
            sink_cpu: stage.sink.cpu(),
            memory: Memory::watch(pid),
        }
    }

    /// The figures of so many accounts that were done since.
    fn stop(self, stage: &Stage, accounts: usize) -> Figures {
        let seconds = self.begin.elapsed().as_secs_f64();
        let (rss_mib, hosts_rss_mib) = self.memory.peaks();
        let mut figures = Figures {
            accounts,
            per_second: accounts as f64 / seconds,
            cpu: Cpu::of(self.pid).since(self.cpu),
            sink_cpu_micros: stage.sink.cpu().saturating_sub(self.sink_cpu),
            rss_mib,
            hosts_rss_mib,
            ..Figures::default()
        };
        figures.set("seconds", crate::figures::rounded(seconds));
        figures
    }
}
