//! Many writers at once: nobody waits for ever, nothing is made twice, and
//! every record says what its containers are called.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use provisiond::domain::ids::{StoreId, SubjectId};
use provisiond::domain::status::Trigger;
use provisiond::domain::subject::{SubjectDraft, SubjectKind, SubjectStatus};
use provisiond::storage::import::{self, Line};
use provisiond::storage::subjects::{self, SubjectError, SubjectPatch};
use provisiond::storage::sweeps::{self, SweepKind};
use provisiond::storage::{memberships, stores, targets};

use crate::support::db::TestDb;
use crate::support::queue::Queue;

fn account(name: String, groups: &[String]) -> SubjectDraft {
    SubjectDraft {
        external_id: None,
        user_name: Some(name),
        display_name: None,
        status: SubjectStatus::Active,
        attributes: serde_json::Map::new(),
        groups: groups.iter().cloned().collect(),
        organization: None,
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(connection: &mut PgConnection, condition: &str) -> i64 {
    let query = format!("SELECT count(*) FROM subjects WHERE deleted_at IS NULL AND {condition}");
    diesel::sql_query(query).get_result::<Count>(connection).unwrap().count
}

#[test]
fn imports_of_the_same_people_in_other_orders_agree() {
    let db = TestDb::new_blocking();
    let store = stores::create(&mut db.connection(), "people").unwrap().id;
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let mut connection = db.connection();
            scope.spawn(move || {
                let session = import::begin(&mut connection, store).unwrap();
                let mut lines: Vec<Line> = (0..300_u64)
                    .map(|number| {
                        let groups = [format!("Group {}", number % 20), format!("Own {}", number % 10)];
                        Line { number, draft: account(format!("user{number}"), &groups) }
                    })
                    .collect();
                lines.rotate_left(writer * 75);
                if writer % 2 == 1 {
                    lines.reverse();
                }
                for batch in lines.chunks(100) {
                    let result = import::batch(&mut connection, session, batch).unwrap();
                    assert_eq!(result.bad, []);
                }
            });
        }
    });
    let connection = &mut db.connection();
    assert_eq!(count(connection, "kind = 'account'"), 300);
    assert_eq!(count(connection, "kind = 'group'"), 30);
    assert_eq!(count(connection, "kind = 'account' AND version > 1"), 0);
}

fn join_and_leave(connection: &mut PgConnection, store: StoreId, writer: usize) {
    for number in 0..40 {
        let names = [format!("Group {}", number % 3), format!("Group {}", (number + writer) % 3)];
        let draft = account(format!("w{writer}-{number}"), &names);
        let made = subjects::create(connection, store, SubjectKind::Account, draft).unwrap().subject;
        let other: BTreeSet<String> = [format!("Group {}", (number + 1) % 3)].into();
        let patch = SubjectPatch { groups: Some(Some(other)), ..Default::default() };
        subjects::patch(connection, SubjectKind::Account, made.id, &patch, None).unwrap();
    }
}

fn rename(connection: &mut PgConnection, group: SubjectId) {
    for number in 0..20 {
        let name = format!("Renamed {group} {number}");
        let patch = SubjectPatch { display_name: Some(Some(name)), ..Default::default() };
        match subjects::patch(connection, SubjectKind::Group, group, &patch, None) {
            Ok(_) | Err(SubjectError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        memberships::set(connection, SubjectKind::Group, group, &[]).unwrap();
    }
}

#[test]
fn joining_and_renaming_do_not_wait_for_each_other_for_ever() {
    let db = TestDb::new_blocking();
    let mut connection = db.connection();
    let store = stores::create(&mut connection, "people").unwrap().id;
    let names: Vec<String> = (0..3).map(|number| format!("Group {number}")).collect();
    let first =
        subjects::create(&mut connection, store, SubjectKind::Account, account("first".into(), &names));
    let groups: Vec<SubjectId> = first.unwrap().subject.groups().map(|group| group.id).collect();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let mut connection = db.connection();
            scope.spawn(move || join_and_leave(&mut connection, store, writer));
        }
        for group in groups {
            let mut connection = db.connection();
            scope.spawn(move || rename(&mut connection, group));
        }
    });
    assert_eq!(count(&mut connection, "kind = 'account'"), 121);
}

/// Two people force a target that has never been forced: neither sees the other's
/// sweep yet.
#[test]
fn of_two_sweeps_that_start_at_once_one_goes_on() {
    let (db, queue) = Queue::alone();
    let mut connection = db.connection();
    queue.account(&mut connection, "ada", true);
    let target = targets::find(&mut connection, queue.target).unwrap();
    let force = |connection: &mut PgConnection| {
        sweeps::start(connection, &target, SweepKind::Force, Trigger::Force).unwrap().id
    };
    let started = std::thread::scope(|scope| {
        let (first, second) = connection
            .transaction::<_, diesel::result::Error, _>(|connection| {
                let first = force(connection);
                let second = scope.spawn(|| force(&mut db.connection()));
                db.until_waiting(&second);
                Ok((first, second))
            })
            .unwrap();
        [second.join().unwrap(), first]
    });
    let forces: Vec<_> = sweeps::list(&mut connection, queue.target, None, 10).unwrap();
    let forces: Vec<_> = forces.iter().filter(|sweep| sweep.kind == "force").collect();
    assert_eq!(forces.iter().map(|sweep| sweep.id).collect::<Vec<_>>(), started);
    assert_eq!(forces.iter().map(|sweep| sweep.cancelled).collect::<Vec<_>>(), [false, true]);
}
