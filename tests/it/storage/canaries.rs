//! What counts for a version that some subjects run first.

use chrono::Utc;
use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use diesel::{PgConnection, RunQueryDsl};
use provisiond::domain::canary::{Canary, Figures, Share};
use provisiond::domain::ids::SubjectId;
use provisiond::domain::status::{ErrorClass, ProvisionStatus, Reason, Trigger};
use provisiond::domain::who::Who;
use provisiond::plan::{Conclusion, Links, Next};
use provisiond::storage::canaries::{self, CanaryRow};
use provisiond::storage::claim::Claimed;
use provisiond::storage::complete::{Completion, RunLog, complete};
use provisiond::storage::{JsonText, targets};

use crate::support::db::TestDb;
use crate::support::queue::{Queue, completion, done, publish};

/// Another version on trial as number 2, with these accounts.
fn trial(connection: &mut PgConnection, queue: &Queue, chosen: Vec<SubjectId>) -> CanaryRow {
    publish(connection, queue.target, "export default () => 2");
    let canary = Canary { version: 2, share: Share::Subjects(chosen), max_failure_percent: 50, min_runs: 3 };
    canaries::start(connection, queue.target, 1, &canary, &Who::daemon()).unwrap()
}

fn ran(queue: &Queue, claimed: &Claimed, trial: &CanaryRow, version: i32, end: Conclusion) -> Completion {
    let run = RunLog {
        reason: Reason::Provision,
        trigger: Trigger::Created,
        attempt: claimed.attempt,
        status_before: ProvisionStatus::Pending,
        logic_version: version,
        canary: Some(trial.id()),
        started_at: Utc::now(),
        finished_at: Utc::now(),
        log: JsonText::empty_list(),
        exchanges: JsonText::empty_list(),
        replay: None,
    };
    Completion { run: Some(run), ..completion(queue.target, claimed, end) }
}

/// Due again at once.
fn failed() -> Conclusion {
    let next = Next { at: Utc::now(), trigger: Trigger::Retry, deprovision: false, attempts: 0 };
    Conclusion {
        error_class: Some(ErrorClass::Transient),
        done: false,
        next: Some(next),
        ..done(ProvisionStatus::ProvisionFailed, false)
    }
}

fn well() -> Conclusion {
    done(ProvisionStatus::Provisioned, true)
}

fn standing(connection: &mut PgConnection, queue: &Queue) -> (String, Figures) {
    let latest = canaries::latest(connection, queue.target).unwrap().unwrap();
    (latest.state.clone(), latest.figures())
}

fn world(accounts: usize) -> (TestDb, Queue, Vec<SubjectId>) {
    let (db, queue) = Queue::alone();
    let name = |number| format!("user{number}");
    let made = (0..accounts).map(|number| queue.account(&mut db.connection(), &name(number), true));
    let made = made.collect();
    (db, queue, made)
}

fn figures(runs: i64, failures: i64, base_runs: i64, base_failures: i64) -> Figures {
    Figures { runs, failures, base_runs, base_failures }
}

#[test]
fn an_account_counts_once_by_its_latest_run() {
    let (db, queue, accounts) = world(3);
    let connection = &mut db.connection();
    let trial = trial(connection, &queue, accounts.clone());
    for attempt in 1..=11 {
        let claims = queue.claim(connection, 10);
        let end = |claimed: &Claimed| if claimed.subject.id == accounts[0] { failed() } else { well() };
        let batch: Vec<_> =
            claims.iter().map(|claimed| ran(&queue, claimed, &trial, 2, end(claimed))).collect();
        complete(connection, &batch, &Links::default()).unwrap();
        let running = ("running".to_owned(), figures(3, 1, 0, 0));
        assert_eq!(standing(connection, &queue), running, "attempt {attempt}");
    }
    let claims = queue.claim(connection, 10);
    complete(connection, &[ran(&queue, &claims[0], &trial, 2, well())], &Links::default()).unwrap();
    assert_eq!(standing(connection, &queue).1, figures(3, 0, 0, 0), "it went well in the end");
}

#[test]
fn too_many_accounts_that_fail_end_it() {
    let (db, queue, accounts) = world(4);
    let connection = &mut db.connection();
    let trial = trial(connection, &queue, accounts[..3].to_vec());
    let claims = queue.claim(connection, 10);
    let version = |claimed: &Claimed| if claimed.subject.id == accounts[3] { 1 } else { 2 };
    let batch: Vec<_> =
        claims.iter().map(|claimed| ran(&queue, claimed, &trial, version(claimed), failed())).collect();
    complete(connection, &batch, &Links::default()).unwrap();
    assert_eq!(standing(connection, &queue), ("rolledBack".into(), figures(3, 3, 1, 1)));
    let reason = canaries::latest(connection, queue.target).unwrap().unwrap().reason;
    assert_eq!(reason, "3 of 3 accounts failed with version 2, and 50 in a hundred may");
    // What comes later counts for no trial, least of all for the next one.
    let next = self::trial(connection, &queue, accounts.clone());
    let claims = queue.claim(connection, 10);
    let late: Vec<_> = claims.iter().map(|claimed| ran(&queue, claimed, &trial, 2, failed())).collect();
    complete(connection, &late, &Links::default()).unwrap();
    assert_eq!(standing(connection, &queue), ("running".into(), figures(0, 0, 0, 0)));
    let known = |connection: &mut PgConnection| -> i64 {
        diesel::select(sql::<BigInt>("(SELECT count(*) FROM logic_canary_accounts)"))
            .get_result(connection)
            .unwrap()
    };
    assert_eq!((known(connection), next.id() == trial.id()), (4, false));
    canaries::forget_ended(connection).unwrap();
    assert_eq!(known(connection), 0);
}

#[test]
fn what_was_not_written_or_was_interrupted_does_not_count() {
    let (db, queue, accounts) = world(2);
    let connection = &mut db.connection();
    let trial = trial(connection, &queue, accounts);
    let claims = queue.claim(connection, 10);
    let stale = Claimed { fence: claims[0].fence - 1_000, ..claims[0].clone() };
    let interrupted = Conclusion { error_class: None, ..failed() };
    let batch = [ran(&queue, &stale, &trial, 2, failed()), ran(&queue, &claims[1], &trial, 2, interrupted)];
    assert_eq!(complete(connection, &batch, &Links::default()).unwrap().written, 1);
    assert_eq!(standing(connection, &queue).1, figures(0, 0, 0, 0));
}

#[test]
fn a_trial_goes_with_its_target() {
    let (db, queue, accounts) = world(1);
    let connection = &mut db.connection();
    trial(connection, &queue, accounts);
    targets::delete(connection, queue.target).unwrap();
    assert_eq!(canaries::latest(connection, queue.target).unwrap(), None);
    assert_eq!(canaries::all_running(connection).unwrap(), []);
}
