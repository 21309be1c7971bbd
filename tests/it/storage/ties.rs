//! Targets that wait for each other, with the engine's transactions taken one by
//! one.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use provisiond::domain::ids::{StoreId, TargetId};
use provisiond::domain::status::{ProvisionStatus, Reason};
use provisiond::domain::subject::SubjectKind;
use provisiond::domain::target::TargetSettings;
use provisiond::plan::{GuardPolicy, Links, Node};
use provisiond::storage::claim::{Claimed, Edition};
use provisiond::storage::complete::complete;
use provisiond::storage::gate::{Candidate, Dependency};
use provisiond::storage::guard::{Intake, Judged, Leaver, Removal, claim_guarded};
use provisiond::storage::targets::TargetError;
use provisiond::storage::{Passed, runs, stores, subjects, targets};
use serde_json::json;

use crate::support::db::TestDb;
use crate::support::queue::{completion, done, draft, enabled_target};

/// Everything that is claimed is to be provisioned.
struct Run(Claimed);

impl Judged for Run {
    fn removal(&self) -> Option<Removal> {
        None
    }

    fn candidate(&self) -> Option<Candidate<'_>> {
        let (subject, fence, reason) = (&self.0.subject, self.0.fence, Reason::Provision);
        Some(Candidate { subject, fence, reason, returning: None })
    }

    fn leaver(&self) -> Option<Leaver<'_>> {
        None
    }

    fn settle(&mut self, _: TargetId, _: String) {}

    fn inform(&mut self, _: Vec<Dependency>) {}
}

fn target(connection: &mut PgConnection, store: StoreId, name: &str, needs: &[&str]) -> TargetId {
    let depends_on = needs.iter().map(ToString::to_string).collect();
    let settings = TargetSettings { depends_on, ..TargetSettings::named(name) };
    enabled_target(connection, store, &settings, "export default () => {}")
}

/// What may run of a target's due work.
fn claim(connection: &mut PgConnection, id: TargetId) -> Vec<Claimed> {
    let target = targets::find(connection, id).unwrap();
    let intake = Intake {
        target: &target,
        edition: Edition::of(&target, None),
        node: "node",
        limit: 10,
        most_swept: 10,
        lease: 3_600.0,
        passed: Passed::default(),
        policy: &GuardPolicy::default(),
        gated: true,
    };
    claim_guarded(connection, intake, Run).unwrap().rows.into_iter().map(|run| run.0).collect()
}

fn succeed(connection: &mut PgConnection, store: StoreId, id: TargetId, claims: &[Claimed]) -> Vec<TargetId> {
    let nodes: Vec<Node> = targets::list(connection, Some(store)).unwrap().iter().map(Node::from).collect();
    let batch: Vec<_> = claims
        .iter()
        .map(|claimed| completion(id, claimed, done(ProvisionStatus::Provisioned, true)))
        .collect();
    complete(connection, &batch, &Links::of(id, &nodes)).unwrap().woken
}

/// The middle one of a chain waits for the first, and the last one looks at the
/// middle one at the very moment when the first is done.
#[test]
fn who_is_waited_for_is_freed_all_the_same() {
    let db = TestDb::new_blocking();
    let (mut first, mut last) = (db.connection(), db.connection());
    runs::make_partitions(&mut first, chrono::Utc::now().date_naive()).unwrap();
    let store = stores::create(&mut first, "people").unwrap().id;
    let directory = target(&mut first, store, "directory", &[]);
    let mail = target(&mut first, store, "mail", &["directory"]);
    let crm = target(&mut first, store, "crm", &["mail"]);
    subjects::create(&mut first, store, SubjectKind::Account, draft("ada", &json!({}))).unwrap();

    let running = claim(&mut first, directory);
    assert_eq!(running.len(), 1);
    assert!(claim(&mut first, mail).is_empty(), "it waits for the directory");
    last.batch_execute("SET lock_timeout TO '5s'").unwrap();
    first.batch_execute("SET lock_timeout TO '5s'").unwrap();
    last.transaction::<_, diesel::result::Error, _>(|last| {
        assert!(claim(last, crm).is_empty(), "it waits for the mail");
        assert_eq!(succeed(&mut first, store, directory, &running), [mail]);
        Ok(())
    })
    .unwrap();
    let running = claim(&mut first, mail);
    assert_eq!(running.len(), 1);
    assert_eq!(succeed(&mut first, store, mail, &running), [crm]);
    assert_eq!(claim(&mut first, crm).len(), 1);
}

/// The directory or the mail changes while an account at the mail, which depends
/// on the directory, is being parked: whoever changes them cannot see that row
/// yet.
fn change_while_another_is_parked(change: impl Fn(&mut PgConnection, TargetId, TargetId) + Sync) {
    let db = TestDb::new_blocking();
    let mut connection = db.connection();
    let store = stores::create(&mut connection, "people").unwrap().id;
    let directory = target(&mut connection, store, "directory", &[]);
    let mail = target(&mut connection, store, "mail", &["directory"]);
    subjects::create(&mut connection, store, SubjectKind::Account, draft("ada", &json!({}))).unwrap();
    std::thread::scope(|scope| {
        let changed = connection
            .transaction::<_, diesel::result::Error, _>(|connection| {
                assert!(claim(connection, mail).is_empty(), "it waits for the directory");
                let changed = scope.spawn(|| change(&mut db.connection(), directory, mail));
                db.until_waiting(&changed);
                Ok(changed)
            })
            .unwrap();
        changed.join().unwrap();
    });
    assert_eq!(claim(&mut connection, mail).len(), 1, "nobody told the one that waits");
}

fn edit(connection: &mut PgConnection, target: TargetId, change: fn(&mut TargetSettings)) {
    let edit = |settings: &mut TargetSettings| {
        change(settings);
        Ok::<(), TargetError>(())
    };
    targets::update(connection, target, None, None, edit).unwrap();
}

#[test]
fn a_target_that_is_disabled_frees_who_is_being_parked() {
    change_while_another_is_parked(|connection, directory, _| {
        edit(connection, directory, |settings| settings.enabled = false);
    });
}

#[test]
fn who_needs_nothing_any_more_is_freed_while_being_parked() {
    change_while_another_is_parked(|connection, _, mail| {
        edit(connection, mail, |settings| settings.depends_on.clear());
    });
}
