//! What a claim owes to those who change accounts meanwhile, and to those who
//! held the lease before.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use provisiond::storage::{claim, ownership, state};
use serde_json::json;

use crate::support::queue::{ALL, Queue, set};

/// A claim that has leased its first row waits for this lock.
const GATE: &str = "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
        PERFORM pg_advisory_xact_lock(4242); RETURN NEW; END $$; \
    CREATE TRIGGER gate BEFORE UPDATE ON pending FOR EACH ROW \
        WHEN (OLD.owner IS NULL AND NEW.owner IS NOT NULL) EXECUTE FUNCTION gate()";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn waits_at_gate(connection: &mut PgConnection) -> bool {
    let query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4242 \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sql_query(query).get_result::<Count>(connection).unwrap().count > 0
}

/// The account is read as it was when the statement began; its row is locked
/// later. A claim that took the change for its own would complete it unseen.
#[test]
fn a_change_that_commits_in_the_middle_of_a_claim_is_not_lost() {
    let (db, queue) = Queue::alone();
    let mut connection = db.connection();
    let accounts = ["ada", "bob"].map(|name| queue.account(&mut connection, name, true));
    connection.batch_execute(GATE).unwrap();
    connection.batch_execute("SELECT pg_advisory_lock(4242)").unwrap();
    let claims = std::thread::scope(|scope| {
        let claims = scope.spawn(|| queue.claim(&mut db.connection(), ALL));
        let deadline = Instant::now() + Duration::from_secs(30);
        while !waits_at_gate(&mut connection) {
            assert!(Instant::now() < deadline, "the claim does not come to the gate");
            std::thread::sleep(Duration::from_millis(5));
        }
        for account in accounts {
            // The row that is leased already keeps its writer waiting.
            let statement = format!("SELECT FROM pending WHERE subject_id = {account} FOR UPDATE NOWAIT");
            if connection.batch_execute(&statement).is_ok() {
                set(&mut connection, account, &json!({ "member": true, "title": "Director" }));
            }
        }
        connection.batch_execute("SELECT pg_advisory_unlock(4242)").unwrap();
        claims.join().unwrap()
    });
    queue.succeed(&mut connection, &claims);
    loop {
        let claims = queue.claim(&mut connection, ALL);
        if claims.is_empty() {
            break;
        }
        queue.succeed(&mut connection, &claims);
    }
    let mut changed = 0;
    for subject in provisiond::storage::subjects::load(&mut connection, &accounts).unwrap() {
        let state = state::find(&mut connection, queue.target, subject.id).unwrap();
        assert_eq!(state.done_version, Some(subject.version), "{}", subject.id);
        changed += i32::from(subject.version > 1);
    }
    assert_eq!(changed, 1, "the test changes an account between snapshot and lock");
}

/// What ran when its lease ran out may have called. That is known also after the
/// next claim was given back before it ran, so that who leaves is deprovisioned.
#[test]
fn a_lease_that_lapsed_leaves_something_to_remove() {
    let (db, queue) = Queue::alone();
    let connection = &mut db.connection();
    let account = queue.account(connection, "ada", true);
    let first = claim::claim(connection, queue.target, "node", 1, 1, 0.0).unwrap().remove(0);
    assert!(!first.known.present, "nobody has called");
    let second = queue.claim(connection, 1).remove(0);
    assert!(second.known.present, "the first claim may have called");
    claim::release(connection, queue.target, &[(account.0, second.fence)]).unwrap();
    set(connection, account, &json!({ "member": false }));
    let third = queue.claim(connection, 1).remove(0);
    assert!(third.known.present, "what the second claim knew is forgotten");
}

#[test]
fn what_a_dead_node_ran_leaves_something_to_remove() {
    let (db, queue) = Queue::alone();
    let connection = &mut db.connection();
    let account = queue.account(connection, "ada", true);
    assert_eq!(queue.claim(connection, 1).len(), 1);
    ownership::take(connection, "node", &[], 10.0).unwrap();
    set(connection, account, &json!({ "member": false }));
    let claimed = queue.claim(connection, 1).remove(0);
    assert!(claimed.known.present, "the dead node may have called");
}

/// A claim whose answer was lost is due again at once, and only that one.
#[test]
fn what_a_node_does_not_know_to_be_its_own_is_given_back() {
    let (db, queue) = Queue::alone();
    let connection = &mut db.connection();
    let known = queue.account(connection, "ada", true);
    let held = queue.claim(connection, 1).remove(0);
    let lost = queue.account(connection, "bob", true);
    assert_eq!(queue.claim(connection, ALL).len(), 1);
    claim::release_unknown(connection, queue.target, "another", &[]).unwrap();
    assert_eq!(queue.claim(connection, ALL), [], "another node's business");
    claim::release_unknown(connection, queue.target, "node", &[known]).unwrap();
    let again = queue.claim(connection, ALL);
    assert_eq!(again.iter().map(|claimed| claimed.subject.id).collect::<Vec<_>>(), [lost]);
    assert_eq!((again[0].attempt, again[0].known.present), (1, false), "it never began");
    assert_eq!(queue.succeed(connection, &[held]), 1, "what is known is still leased");
}
