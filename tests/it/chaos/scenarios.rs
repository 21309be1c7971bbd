//! One scenario for each fault, and all of them mixed.

use std::time::{Duration, Instant};

use rand::Rng;
use rand::seq::SliceRandom;

use super::faults::Fault;
use super::profile::{self, Profile};
use super::report::Report;
use super::world::World;

/// One kind of fault again and again, under load.
async fn scenario(fault: Fault, profile: Profile) -> Report {
    let mut world = World::start(&profile, profile::seed()).await;
    for _ in 0..profile.strikes {
        world.changes(profile.between).await;
        fault.strike(&mut world).await;
    }
    world.changes(profile.between).await;
    let report = world.judge().await;
    report.print(fault.name());
    report.assert_kept();
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_daemon() {
    scenario(Fault::KillDaemon, Profile { strikes: 5, between: 150, ..Profile::CI }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_hosts() {
    scenario(Fault::KillHosts, Profile { strikes: 10, ..Profile::CI }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_postgres() {
    let report = scenario(Fault::RestartPostgres, Profile { embedded: true, ..Profile::CI }).await;
    assert_eq!(report.starts, 0, "the daemon does not have to be started again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminate_backends() {
    scenario(Fault::TerminateBackends, Profile { strikes: 8, ..Profile::CI }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn network() {
    let report = scenario(Fault::Network, Profile { strikes: 8, ..Profile::CI }).await;
    assert_undisturbed(&report, &["answers", "neighbour"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers() {
    let report = scenario(Fault::Answers, Profile { strikes: 8, ..Profile::CI }).await;
    assert_undisturbed(&report, &["network", "neighbour"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminate() {
    let report = scenario(Fault::Terminate, Profile::CI).await;
    assert_eq!(report.duplicates, 0, "an orderly end leaves nothing to repeat");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison() {
    scenario(Fault::Poison, Profile { strikes: 2, ..Profile::CI }).await;
}

/// Targets that the fault does not touch are served during it as they are between
/// the faults of the same run, whatever else the machine does: a target that waited
/// for the fault to end would serve most changes later than nearly all of the calm.
fn assert_undisturbed(report: &Report, targets: &[&str]) {
    for target in targets {
        let waits = report.waits_ms[*target];
        assert!(waits.faulty_p50 <= 2 * waits.calm_p95.max(1), "{target} waited for another one: {waits:?}");
    }
}

/// Every fault once, then any, in an order that the seed decides.
async fn round(profile: &Profile, seed: u64) -> Report {
    let mut world = World::start(profile, seed).await;
    let mut faults = Fault::ALL.to_vec();
    faults.shuffle(&mut world.rng);
    for number in 0..profile.strikes {
        let any = Fault::ALL[world.rng.random_range(0..Fault::ALL.len())];
        world.changes(profile.between).await;
        faults.get(number).copied().unwrap_or(any).strike(&mut world).await;
    }
    world.changes(profile.between).await;
    world.judge().await
}

/// The long run repeats rounds, each with a seed of its own, until its time is
/// over; it stops at the first that breaks a promise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed() {
    let small = Profile { embedded: true, strikes: 9, between: 40, ..Profile::CI };
    let (profile, lasts) = match profile::soak() {
        Some(lasts) => (Profile::SOAK, lasts),
        None => (small, Duration::ZERO),
    };
    let (begin, first) = (Instant::now(), profile::seed());
    let mut sum = Report::default();
    for seed in first.. {
        let report = round(&profile, seed).await;
        report.print("round");
        report.assert_kept();
        sum.add(report);
        if begin.elapsed() >= lasts {
            break;
        }
    }
    sum.seed = first;
    sum.print("mixed");
}
