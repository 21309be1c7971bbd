//! What goes wrong. Each fault happens once per call, under load.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use diesel::RunQueryDsl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::Rng;

use super::world::World;
use crate::support::postgres;
use crate::support::proxy::Weather;
use crate::support::sink::Answer;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KillDaemon,
    KillHosts,
    RestartPostgres,
    TerminateBackends,
    Network,
    Answers,
    Terminate,
    Poison,
}

impl Fault {
    pub const ALL: [Self; 8] = [
        Self::KillDaemon,
        Self::KillHosts,
        Self::RestartPostgres,
        Self::TerminateBackends,
        Self::Network,
        Self::Answers,
        Self::Terminate,
        Self::Poison,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::KillDaemon => "killDaemon",
            Self::KillHosts => "killHosts",
            Self::RestartPostgres => "restartPostgres",
            Self::TerminateBackends => "terminateBackends",
            Self::Network => "network",
            Self::Answers => "answers",
            Self::Terminate => "terminate",
            Self::Poison => "poison",
        }
    }

    /// Lets it happen.
    pub async fn strike(self, world: &mut World) {
        *world.report.faults.entry(self.name()).or_default() += 1;
        let begin = Instant::now();
        self.happen(world).await;
        world.strikes.push(begin..Instant::now());
    }

    async fn happen(self, world: &mut World) {
        match self {
            Self::KillDaemon => kill_daemon(world).await,
            Self::KillHosts => kill_hosts(world).await,
            Self::RestartPostgres => tokio::task::block_in_place(|| postgres::stop_at_once(&world.app)),
            Self::TerminateBackends => tokio::task::block_in_place(|| terminate_backends(world)),
            Self::Network => network(world).await,
            Self::Answers => answers(world).await,
            Self::Terminate => terminate(world).await,
            Self::Poison => poison(world).await,
        }
    }
}

async fn kill_daemon(world: &mut World) {
    world.app.kill();
    world.restart().await;
}

async fn terminate(world: &mut World) {
    if !tokio::task::block_in_place(|| world.app.terminate()) {
        world.report.problem("it did not end well after SIGTERM".to_owned());
    }
    world.restart().await;
}

/// Kills every JavaScript host that the targets show.
async fn kill_hosts(world: &mut World) {
    for place in &world.places {
        let path = format!("/targets/{}/status", place.target.id);
        let Ok(status) = world.app.try_call(reqwest::Method::GET, &path, None).await else { continue };
        let hosts = status.body["engine"]["hosts"].as_array().cloned().unwrap_or_default();
        for pid in hosts.iter().filter_map(|host| host["pid"].as_i64()) {
            // It may have ended by itself.
            _ = kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL);
        }
    }
}

fn terminate_backends(world: &World) {
    let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    diesel::sql_query(statement).execute(&mut world.database()).unwrap();
}

const WEATHER: [Weather; 6] = [
    Weather::Delay(Duration::from_millis(150)),
    Weather::Reset,
    Weather::HalfClose,
    Weather::Drip(Duration::from_millis(4)),
    Weather::BlackHole,
    Weather::Truncate,
];

async fn network(world: &mut World) {
    let weather = WEATHER[world.rng.random_range(0..WEATHER.len())];
    *world.report.weather.entry(format!("{weather:?}")).or_default() += 1;
    let lasts = world.rng.random_range(Duration::from_millis(150)..Duration::from_millis(600));
    let proxy = world.places[0].proxy.as_ref().unwrap();
    proxy.set(weather);
    tokio::time::sleep(lasts).await;
    proxy.set(Weather::Clear);
}

async fn answers(world: &mut World) {
    // The last one is later than a run may take.
    let bad = [
        Answer::new(500),
        Answer::new(429).header("retry-after", 1),
        Answer::new(401),
        Answer::new(200).after(Duration::from_secs(4)),
    ];
    let answer = bad[world.rng.random_range(0..bad.len())].clone();
    let lasts = world.rng.random_range(Duration::from_millis(150)..Duration::from_millis(600));
    world.places[1].sink.answer(answer);
    tokio::time::sleep(lasts).await;
    world.places[1].heal();
}

/// For a while some accounts get poisoned; they stay so for longer.
async fn poison(world: &mut World) {
    world.work.poison.store(true, Ordering::Relaxed);
    world.changes(80).await;
    world.work.poison.store(false, Ordering::Relaxed);
}
