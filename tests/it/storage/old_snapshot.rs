//! A report that reads for hours keeps PostgreSQL from cleaning up: every row
//! that the queue has had since stays in its table and its indexes. The queue
//! must not pay for all of them with each claim.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use provisiond::domain::ids::SweepId;
use provisiond::domain::status::Trigger;
use provisiond::plan::{DeletionGuard, GuardPolicy};
use provisiond::storage::sweeps::{self, SweepKind};
use provisiond::storage::{Db, DbError, Passed, Pool, targets};

use crate::support::db::TestDb;
use crate::support::queue::Queue;

const ACCOUNTS: i64 = 3_000;
const BATCH: usize = 100;
const ROUNDS: usize = 8;

fn force(connection: &mut PgConnection, queue: &Queue) {
    let target = targets::find(connection, queue.target).unwrap();
    let policy = GuardPolicy { guard: DeletionGuard { count: 0, percent: 100 }, ..GuardPolicy::default() };
    let sweep = sweeps::start(connection, &target, SweepKind::Force, Trigger::Force).unwrap();
    while !sweeps::advance(connection, &target, SweepId(sweep.id), &policy).unwrap() {}
}

#[derive(QueryableByName)]
struct Read {
    #[diesel(sql_type = BigInt)]
    entries: i64,
}

/// Entries of the index by which due rows are found that were looked at so far.
fn read(connection: &mut PgConnection) -> i64 {
    connection.batch_execute("SELECT pg_stat_force_next_flush(); SELECT pg_stat_clear_snapshot()").unwrap();
    let query = "SELECT idx_tup_read AS entries FROM pg_stat_user_indexes WHERE indexrelname = 'pending_due'";
    sql_query(query).get_result::<Read>(connection).unwrap().entries
}

fn with_accounts(connection: &mut PgConnection) -> Queue {
    let queue = Queue::new(connection, "people");
    for number in 0..ACCOUNTS {
        queue.account(connection, &format!("user{number}"), true);
    }
    queue
}

fn work_off(connection: &mut PgConnection, queue: &Queue, passed: &mut Passed) {
    let mut done = 0;
    while done < ACCOUNTS as usize {
        let claims = queue.claim_beyond(connection, BATCH, passed);
        assert!(!claims.is_empty(), "something due is passed by");
        done += queue.succeed(connection, &claims);
    }
}

/// Index entries for each account, in each of the rounds.
fn entries_by_round(connection: &mut PgConnection) -> Vec<f64> {
    let queue = with_accounts(connection);
    let mut passed = Passed::default();
    let round = |_| {
        // What is younger than the slack is looked at again.
        std::thread::sleep(Duration::from_millis(1_100));
        force(connection, &queue);
        let before = read(connection);
        work_off(connection, &queue, &mut passed);
        (read(connection) - before) as f64 / ACCOUNTS as f64
    };
    (0..ROUNDS).map(round).collect()
}

/// Counted, not timed. By the first round nothing is dead yet but what it made
/// itself; if each claim passed by all that is dead, the last round would look
/// at four times as much as the second.
#[tokio::test]
async fn a_report_that_takes_long_does_not_slow_the_queue_to_a_crawl() {
    let db = TestDb::new().await;
    let mut report = db.connection();
    report.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM subjects").unwrap();
    let engine = Db::connect(&db.url, 1, 1);
    let entries =
        engine.run(Pool::Engine, |connection| Ok::<_, DbError>(entries_by_round(connection))).await.unwrap();
    println!("index entries for each account, by round: {entries:.0?}");
    report.batch_execute("COMMIT").unwrap();
    assert!(entries[ROUNDS - 1] < 2.0 * entries[1], "{entries:.0?}");
}

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// Vacuum and queue do not stop each other, and the queue's room is used again.
#[test]
fn the_queue_is_vacuumed_under_load() {
    let db = TestDb::new_blocking();
    let connection = &mut db.connection();
    let queue = with_accounts(connection);
    let (mut passed, mut sizes) = (Passed::default(), Vec::new());
    for _ in 0..ROUNDS {
        force(connection, &queue);
        std::thread::scope(|scope| {
            let vacuum = scope.spawn(|| db.connection().batch_execute("VACUUM pending"));
            work_off(connection, &queue, &mut passed);
            vacuum.join().unwrap().unwrap();
        });
        // Not the indexes: what reads in other databases delays the reuse of their pages.
        let query = "SELECT pg_relation_size('pending') + pg_relation_size('provision_state') AS bytes";
        sizes.push(sql_query(query).get_result::<Size>(connection).unwrap().bytes);
        for table in ["pending", "provision_state"] {
            connection.batch_execute(&format!("VACUUM {table}")).unwrap();
        }
    }
    println!("bytes by round: {sizes:?}");
    assert!(sizes[ROUNDS - 1] < 2 * sizes[1], "bytes by round: {sizes:?}");
}
