//! Accounts that wait for each other at one target, with the engine's transactions
//! taken one by one.

use chrono::Utc;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use provisiond::domain::ids::SubjectId;
use provisiond::domain::subject::SubjectKind;
use provisiond::plan::Links;
use provisiond::storage::claim::Claimed;
use provisiond::storage::complete::complete;
use provisiond::storage::{former_names, subjects};

use crate::support::db::TestDb;
use crate::support::queue::{Queue, ran};

fn finish(connection: &mut PgConnection, queue: &Queue, claimed: &Claimed, remote_id: Option<&str>) {
    let completion = ran(queue.target, claimed, Utc::now(), remote_id);
    assert_eq!(complete(connection, &[completion], &Links::default()).unwrap().written, 1);
}

/// An account at the target.
fn provisioned(connection: &mut PgConnection, queue: &Queue, name: &str) -> SubjectId {
    let id = queue.account(connection, name, true);
    let claims = queue.claim_what_may_run(connection);
    assert_eq!(claims.len(), 1);
    finish(connection, queue, &claims[0], Some(name));
    id
}

fn delete(connection: &mut PgConnection, id: SubjectId) {
    subjects::delete(connection, SubjectKind::Account, id, None).unwrap();
}

fn world() -> (TestDb, PgConnection, Queue) {
    let (db, queue) = Queue::alone();
    let mut connection = db.connection();
    connection.batch_execute("SET lock_timeout TO '5s'").unwrap();
    (db, connection, queue)
}

#[derive(QueryableByName)]
struct Link {
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Nullable<Text>)]
    remote_id: Option<String>,
    #[diesel(sql_type = Text)]
    message: String,
}

fn link(connection: &mut PgConnection, queue: &Queue, subject: SubjectId) -> Link {
    sql_query(
        "SELECT status, remote_id, message FROM provision_state WHERE target_id = $1 AND subject_id = $2",
    )
    .bind::<BigInt, _>(queue.target.0)
    .bind::<BigInt, _>(subject.0)
    .get_result(connection)
    .unwrap()
}

/// The removal is done at the very moment when the newcomer is put to wait for it:
/// whoever writes the one cannot see the other yet.
#[test]
fn who_is_put_to_wait_while_the_removal_is_done_is_freed_all_the_same() {
    let (db, mut connection, queue) = world();
    let old = provisioned(&mut connection, &queue, "jo.doe");
    delete(&mut connection, old);
    let removal = queue.claim_what_may_run(&mut connection).remove(0);
    let new = queue.account(&mut connection, "Jo.Doe", true);
    std::thread::scope(|scope| {
        let done = connection
            .transaction::<_, diesel::result::Error, _>(|connection| {
                assert!(queue.claim_what_may_run(connection).is_empty(), "it waits for the removal");
                let done = scope.spawn(|| finish(&mut db.connection(), &queue, &removal, None));
                db.until_waiting(&done);
                Ok(done)
            })
            .unwrap();
        done.join().unwrap();
    });
    let claims = queue.claim_what_may_run(&mut connection);
    assert_eq!(claims.len(), 1, "nobody told the one that waits");
    assert_eq!(claims[0].subject.id, new);
    assert_eq!(claims[0].attempt, 1, "waiting costs no attempt");
}

/// The newcomer and the removal are claimed together: one is put to wait.
#[test]
fn a_removal_goes_first_when_both_are_due() {
    let (_db, mut connection, queue) = world();
    let old = provisioned(&mut connection, &queue, "jo.doe");
    delete(&mut connection, old);
    let new = queue.account(&mut connection, "jo.doe", true);
    let claims = queue.claim_what_may_run(&mut connection);
    assert_eq!(claims.iter().map(|claim| claim.subject.id).collect::<Vec<_>>(), [old]);
    assert!(queue.claim_what_may_run(&mut connection).is_empty());
    finish(&mut connection, &queue, &claims[0], None);
    let claims = queue.claim_what_may_run(&mut connection);
    assert_eq!(claims.iter().map(|claim| claim.subject.id).collect::<Vec<_>>(), [new]);
}

/// Two runs answer one remote id, and their results are written at the same time.
#[test]
fn of_two_results_with_one_remote_id_the_second_is_refused() {
    let (db, mut connection, queue) = world();
    let (first, second) =
        (queue.account(&mut connection, "jo", true), queue.account(&mut connection, "max", true));
    let mut claims = queue.claim_what_may_run(&mut connection);
    claims.sort_by_key(|claimed| claimed.subject.id);
    std::thread::scope(|scope| {
        let late = connection
            .transaction::<_, diesel::result::Error, _>(|connection| {
                finish(connection, &queue, &claims[0], Some("R1"));
                let late = scope.spawn(|| finish(&mut db.connection(), &queue, &claims[1], Some("R1")));
                db.until_waiting(&late);
                Ok(late)
            })
            .unwrap();
        late.join().unwrap();
    });
    let (first, second) = (link(&mut connection, &queue, first), link(&mut connection, &queue, second));
    assert_eq!((first.status.as_str(), first.remote_id.as_deref()), ("provisioned", Some("R1")));
    assert_eq!((second.status.as_str(), second.remote_id), ("provisionFailed", None));
    assert!(second.message.contains("which belongs to `jo` (account"), "{}", second.message);
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn names(connection: &mut PgConnection) -> i64 {
    let count: Count =
        sql_query("SELECT count(*) AS count FROM former_names").get_result(connection).unwrap();
    count.count
}

/// Names are remembered as long as a target may hold them, and not for ever.
#[test]
fn names_that_nobody_can_hold_any_more_are_forgotten() {
    let (_db, mut connection, queue) = world();
    let old = provisioned(&mut connection, &queue, "jo.doe");
    delete(&mut connection, old);
    let age = "UPDATE former_names SET since = now() - interval '2 minutes'";
    connection.batch_execute(age).unwrap();
    former_names::forget(&mut connection, queue.target).unwrap();
    assert_eq!(names(&mut connection), 1, "the target holds it");
    let removal = queue.claim_what_may_run(&mut connection).remove(0);
    former_names::forget(&mut connection, queue.target).unwrap();
    assert_eq!(names(&mut connection), 1, "the removal runs");
    finish(&mut connection, &queue, &removal, None);
    former_names::forget(&mut connection, queue.target).unwrap();
    assert_eq!(names(&mut connection), 0);
}
