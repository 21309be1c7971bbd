//! A daemon, its targets behind sinks, and the generators that change accounts.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection};
use provisiond::storage::embedded::EmbeddedPostgres;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::generator::{Generator, Work};
use super::ledger::{Account, Scope};
use super::profile::Profile;
use super::reach::Reach;
use super::report::Report;
use super::verdict;
use crate::support::app::{TestApp, TestTarget};
use crate::support::proxy::{FaultProxy, Weather};
use crate::support::sink::{Answer, Sink};

/// Posts every run to the sink, which knows accounts by their names alone; some
/// accounts are poison to it.
pub const LOGIC: &str = r#"
    export default async function (ctx) {
        const { id, version, attributes, userName } = ctx.account;
        const poison = ctx.reason === "provision" ? attributes.poison : null;
        if (poison === "loop") for (;;) {}
        if (poison === "never") await new Promise(() => {});
        if (poison === "throw") throw new Error("poison");
        const response = await fetch(ctx.target.config.url + "/" + ctx.reason, {
            method: "POST",
            body: JSON.stringify({
                id, version, n: attributes.n, trigger: ctx.trigger, key: userName, former: ctx.previous.remoteId,
            }),
        });
        if (!response.ok) throw new Error(`the sink answered ${response.status}`);
        await response.text();
        if (ctx.reason === "deprovision") return { status: "deprovisioned" };
        return { status: "provisioned", remoteId: userName };
    }
"#;

/// How long a sink takes for a call: long enough to be killed in.
const SERVICE: Duration = Duration::from_millis(5);
/// How long the way to rest may take: retries, probes of a breaker.
const REST: Duration = Duration::from_secs(60);

/// A target with the system behind it.
pub struct Place {
    pub target: TestTarget,
    pub scope: Scope,
    pub sink: Sink,
    /// On the way to the sink, at the target that meets bad weather.
    pub proxy: Option<FaultProxy>,
}

impl Place {
    /// Good weather and good answers again.
    pub fn heal(&self) {
        if let Some(proxy) = &self.proxy {
            proxy.set(Weather::Clear);
        }
        self.sink.answer_well();
        self.sink.answer(Answer::new(200).after(SERVICE));
    }
}

/// Everything that a scenario works with.
pub struct World {
    pub app: TestApp,
    pub work: Arc<Work>,
    /// `network` behind a proxy, `answers` whose sink fails, and `neighbour`
    /// that nothing is done to.
    pub places: Vec<Place>,
    pub rng: StdRng,
    pub report: Report,
    /// When faults happened.
    pub strikes: Vec<Range<Instant>>,
    generators: Vec<JoinHandle<Vec<Account>>>,
    began: Instant,
}

impl World {
    /// Starts everything, generators included.
    pub async fn start(profile: &Profile, seed: u64) -> Self {
        let app = match profile.embedded {
            true => TestApp::start_embedded().await,
            false => TestApp::start().await,
        };
        let store = app.store("chaos").await;
        let mut places = Vec::new();
        for (name, scope) in
            [("network", Scope::Everybody), ("answers", Scope::Members), ("neighbour", Scope::Everybody)]
        {
            places.push(place(&app, &store, name, scope, profile.parallel).await);
        }
        let work = Arc::new(Work {
            reach: Reach::new(&app.url, &app.token),
            store,
            stop: AtomicBool::new(false),
            poison: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            pause: profile.pause,
            swaps: profile.swaps,
        });
        let generator = |number| Generator::new(Arc::clone(&work), seed, number).run(profile.accounts);
        let generators = (0..profile.generators).map(|number| tokio::spawn(generator(number))).collect();
        let (rng, report) = (StdRng::seed_from_u64(seed), Report::new(seed, profile.parallel));
        Self { app, work, places, rng, report, strikes: Vec::new(), generators, began: Instant::now() }
    }

    /// Waits for so many more acknowledged changes; so faults meet load however
    /// fast the machine is.
    pub async fn changes(&self, more: u64) {
        let goal = self.work.changes.load(Ordering::Relaxed) + more;
        while self.work.changes.load(Ordering::Relaxed) < goal {
            assert!(self.generators.iter().all(|task| !task.is_finished()), "a generator ended early");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts the daemon again and tells the generators where it is.
    pub async fn restart(&mut self) {
        let begin = Instant::now();
        self.app.restart().await;
        self.report.starts += 1;
        self.report.slowest_start_ms = self.report.slowest_start_ms.max(begin.elapsed().as_millis() as u64);
        self.work.reach.moved_to(&self.app.url);
    }

    /// A connection to the daemon's database.
    pub fn database(&self) -> PgConnection {
        let embedded = || EmbeddedPostgres::attach(&self.app.data_dir).unwrap().unwrap();
        self.app.db.as_ref().map_or_else(
            || PgConnection::establish(&embedded()).unwrap(),
            crate::support::db::TestDb::connection,
        )
    }

    /// No more changes and no more faults; at rest everything must be right.
    pub async fn judge(mut self) -> Report {
        self.work.stop.store(true, Ordering::Relaxed);
        self.places.iter().for_each(Place::heal);
        let mut accounts = Vec::new();
        for generator in std::mem::take(&mut self.generators) {
            accounts.extend(generator.await.unwrap());
        }
        self.report.changes = self.work.changes.load(Ordering::Relaxed);
        self.report.unclear = self.work.reach.unclear.load(Ordering::Relaxed);
        let stopped = Instant::now();
        for index in 0..self.places.len() {
            self.rest(index).await;
        }
        self.report.rest_ms = stopped.elapsed().as_millis() as u64;
        verdict::judge(&mut self, &accounts).await;
        self.report.seconds = self.began.elapsed().as_secs_f64();
        self.report
    }

    async fn rest(&mut self, index: usize) {
        let deadline = Instant::now() + REST;
        let path = format!("/targets/{}/status", self.places[index].target.id);
        loop {
            let status = self.app.get(&path).await;
            if ["backlog", "running", "scheduled", "blocked"].iter().all(|field| status[field] == 0) {
                return;
            }
            if Instant::now() > deadline {
                let left = ["backlog", "scheduled", "blocked"]
                    .iter()
                    .filter_map(|field| status[field].as_u64())
                    .sum();
                self.report.pending += u64::max(left, 1);
                return self.report.problem(format!("not at rest after {REST:?}: {status:#}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn place(app: &TestApp, store: &str, name: &str, scope: Scope, parallel: usize) -> Place {
    let sink = Sink::start().await;
    let proxy = if name == "network" { Some(FaultProxy::start(&sink.address).await) } else { None };
    let address = proxy.as_ref().map_or(&sink.address, |proxy| &proxy.address);
    let target = app.target(store, settings(name, scope, address, parallel), LOGIC).await;
    let place = Place { target, scope, sink, proxy };
    place.heal();
    place
}

/// Retries come soon and do not end, so that rest is near and nothing is given up.
/// Nobody is there to approve what the guard would hold.
pub fn settings(name: &str, scope: Scope, address: &str, parallel: usize) -> Value {
    json!({
        "name": name,
        "filter": scope.filter(),
        "egressAllow": [address],
        "config": { "url": format!("http://{address}") },
        "maxParallelJobs": parallel,
        "retry": { "firstDelaySecs": 1, "maxDelaySecs": 2, "maxAttempts": 100 },
        "guard": { "percent": 100 },
        "limits": { "cpuMs": 500, "wallMs": 2_000 },
    })
}
