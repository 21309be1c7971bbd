//! Writing subjects: versions, names of containers, tombstones.

use std::collections::BTreeSet;

use chrono::Utc;
use diesel::PgConnection;
use provisiond::domain::filter::Filter;
use provisiond::domain::ids::StoreId;
use provisiond::domain::subject::{Subject, SubjectDraft, SubjectKind, SubjectStatus};
use provisiond::storage::subject_list::{self, Life, Wanted};
use provisiond::storage::subjects::{self, SubjectError, SubjectPatch};
use provisiond::storage::{memberships, stores};
use serde_json::json;

use crate::support::db::TestDb;

fn account(name: &str, groups: &[&str], organization: Option<&str>) -> SubjectDraft {
    SubjectDraft {
        external_id: None,
        user_name: Some(name.into()),
        display_name: None,
        status: SubjectStatus::Active,
        attributes: json!({"n": 1e2, "deep": {"a": 1}}).as_object().cloned().unwrap(),
        groups: groups.iter().map(ToString::to_string).collect(),
        organization: organization.map(Into::into),
    }
}

/// A page of those wanted, whose sizes are those of their texts.
fn page(connection: &mut PgConnection, store: StoreId, wanted: &Wanted) -> Vec<Subject> {
    let rows = subject_list::sizes(connection, store, wanted, 0, 10, Utc::now()).unwrap();
    assert!(rows.iter().all(|row| (50..2_000).contains(&row.size)), "{rows:?}");
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    subject_list::load(connection, &ids, wanted.life).unwrap()
}

fn container(name: &str, external_id: Option<&str>) -> SubjectDraft {
    SubjectDraft {
        external_id: external_id.map(Into::into),
        user_name: None,
        display_name: Some(name.into()),
        status: SubjectStatus::Active,
        attributes: serde_json::Map::new(),
        groups: BTreeSet::new(),
        organization: None,
    }
}

fn set_up() -> (TestDb, PgConnection, StoreId) {
    let db = TestDb::new_blocking();
    let mut connection = db.connection();
    let store = stores::create(&mut connection, "people").unwrap().id;
    (db, connection, store)
}

#[test]
fn an_equal_record_changes_nothing() {
    let (_db, mut c, store) = set_up();
    let draft = account("ada", &["Sales", "Ops"], Some("Acme"));
    let ada = subjects::create(&mut c, store, SubjectKind::Account, draft.clone()).unwrap().subject;
    assert_eq!((ada.version, ada.groups().count()), (1, 2));
    let again = subjects::replace(&mut c, SubjectKind::Account, ada.id, draft, None).unwrap();
    assert_eq!(again.subject.version, 1);
    assert_eq!(again.before.as_ref(), Some(&again.subject));
    let read = subjects::find(&mut c, SubjectKind::Account, ada.id).unwrap();
    assert_eq!(read.draft().groups, ada.draft().groups);
    let same = SubjectPatch::default();
    assert_eq!(
        subjects::patch(&mut c, SubjectKind::Account, ada.id, &same, Some(&[1])).unwrap().subject.version,
        1
    );
    let stale = subjects::patch(&mut c, SubjectKind::Account, ada.id, &same, Some(&[2, 3]));
    assert!(matches!(stale, Err(SubjectError::VersionMismatch { current: 1 })));
}

#[test]
fn a_name_stands_for_an_external_id_then_a_display_name_and_never_for_an_id() {
    let (_db, mut c, store) = set_up();
    let mut make = |name: &str, external_id| {
        let draft = container(name, external_id);
        subjects::create(&mut c, store, SubjectKind::Group, draft).unwrap().subject.id
    };
    let sales = make("Sales", Some("ops"));
    let ops = make("Ops", None);
    let digits = make(&sales.to_string(), None);
    let cases = [("ops", sales), ("OPS", ops), ("sALES", sales), (&sales.to_string(), digits)];
    for (number, (name, expected)) in cases.into_iter().enumerate() {
        let user = format!("user-{number}");
        let written =
            subjects::create(&mut c, store, SubjectKind::Account, account(&user, &[name], None)).unwrap();
        let groups: Vec<_> = written.subject.groups().map(|group| group.id).collect();
        assert_eq!(groups, [expected], "{name}");
    }
    let new = account("x", &["987654"], Some("0"));
    let new = subjects::create(&mut c, store, SubjectKind::Account, new).unwrap().subject;
    let names: Vec<_> = new.containers.iter().map(|container| container.display_name.clone()).collect();
    assert_eq!(names, ["987654", "0"]);
}

#[test]
fn what_is_read_and_sent_back_stays_although_names_are_ambiguous() {
    let (_db, mut c, store) = set_up();
    subjects::create(&mut c, store, SubjectKind::Group, container("A", Some("B"))).unwrap();
    let b = subjects::create(&mut c, store, SubjectKind::Group, container("B", None)).unwrap().subject;
    let ada =
        subjects::create(&mut c, store, SubjectKind::Account, account("ada", &[], None)).unwrap().subject;
    memberships::add(&mut c, SubjectKind::Group, b.id, ada.id).unwrap();
    let ada = subjects::find(&mut c, SubjectKind::Account, ada.id).unwrap();
    assert_eq!(ada.version, 2);
    let back = subjects::replace(&mut c, SubjectKind::Account, ada.id, ada.draft(), None).unwrap();
    assert_eq!(back.subject, ada);
}

#[test]
fn a_container_takes_its_members_along() {
    let (_db, mut c, store) = set_up();
    let ids: Vec<_> = ["ada", "bob", "eve"]
        .iter()
        .map(|name| {
            let groups: &[&str] = if *name == "eve" { &[] } else { &["Sales"] };
            let draft = account(name, groups, Some("Acme"));
            subjects::create(&mut c, store, SubjectKind::Account, draft).unwrap().subject.id
        })
        .collect();
    let read = |c: &mut PgConnection, at: usize| {
        let subject = subjects::load(c, &[ids[at]]).unwrap().pop().unwrap();
        let names: Vec<_> = subject.containers.iter().map(|one| one.display_name.clone()).collect();
        (subject.version, names.join(","))
    };
    let sales = subjects::load(&mut c, &[ids[0]]).unwrap()[0].groups().next().unwrap().id;
    let renamed = SubjectPatch { display_name: Some(Some("Vertrieb".into())), ..Default::default() };
    subjects::patch(&mut c, SubjectKind::Group, sales, &renamed, None).unwrap();
    assert_eq!(read(&mut c, 0), (2, "Vertrieb,Acme".into()));
    assert_eq!(read(&mut c, 2), (1, "Acme".into()));

    let members = [ids[1].to_string(), "EVE".to_owned()];
    let written = memberships::set(&mut c, SubjectKind::Group, sales, &members).unwrap();
    assert_eq!(written.subject.version, 3);
    assert_eq!(read(&mut c, 0), (3, "Acme".into()));
    assert_eq!(read(&mut c, 1), (2, "Vertrieb,Acme".into()));
    assert_eq!(read(&mut c, 2), (2, "Vertrieb,Acme".into()));

    let other = subjects::create(&mut c, store, SubjectKind::Organization, container("Other", None)).unwrap();
    memberships::add(&mut c, SubjectKind::Organization, other.subject.id, ids[2]).unwrap();
    assert_eq!(read(&mut c, 2), (3, "Vertrieb,Other".into()));

    subjects::delete(&mut c, SubjectKind::Group, sales, None).unwrap();
    assert_eq!(read(&mut c, 2), (4, "Other".into()));
    assert!(matches!(subjects::find(&mut c, SubjectKind::Group, sales), Err(SubjectError::Deleted { .. })));
}

#[test]
fn a_tombstone_keeps_its_record_and_frees_its_names() {
    let (_db, mut c, store) = set_up();
    let draft = account("ada", &["Sales"], None);
    let ada = subjects::create(&mut c, store, SubjectKind::Account, draft.clone()).unwrap().subject;
    let taken = subjects::create(&mut c, store, SubjectKind::Account, account("ADA", &["New"], None));
    assert!(matches!(taken, Err(SubjectError::Conflict { field: "userName", .. })));
    let written = subjects::delete(&mut c, SubjectKind::Account, ada.id, None).unwrap();
    assert_eq!((written.subject.version, written.subject.deleted_at.is_some()), (2, true));
    let tombstone = subjects::load(&mut c, &[ada.id]).unwrap().pop().unwrap();
    assert_eq!(tombstone, written.subject);
    assert_eq!(tombstone.groups().count(), 1);
    let again = subjects::create(&mut c, store, SubjectKind::Account, draft).unwrap().subject;
    assert_ne!(again.id, ada.id);

    let (kind, life) = (SubjectKind::Group, Life::Living);
    let wanted = Wanted { kind, user_name: None, external_id: None, filter: None, life };
    let groups = page(&mut c, store, &wanted);
    assert_eq!(groups.len(), 1, "the group of the refused account was not made");
}

#[test]
fn pages_honour_the_filter() {
    let (_db, mut c, store) = set_up();
    for name in ["ada", "bob", "eve"] {
        subjects::create(&mut c, store, SubjectKind::Account, account(name, &["Sales"], None)).unwrap();
    }
    let filter = Filter::parse("userName ne \"bob\" and groups eq \"Sales\"").unwrap();
    let (kind, life) = (SubjectKind::Account, Life::Living);
    let wanted = Wanted { kind, user_name: None, external_id: None, filter: Some(filter), life };
    let found = page(&mut c, store, &wanted);
    let names: Vec<_> = found.into_iter().filter_map(|subject| subject.user_name).collect();
    assert_eq!(names, ["ada", "eve"]);
}
