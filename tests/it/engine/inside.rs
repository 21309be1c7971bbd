//! The engine in the test's own process, for what cannot be seen from outside:
//! actors that panic, fences that went stale.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::PgConnection;
use provisiond::domain::ids::{StoreId, SubjectId, TargetId};
use provisiond::domain::status::ProvisionStatus;
use provisiond::domain::subject::SubjectKind;
use provisiond::domain::target::{RetryPolicy, TargetSettings};
use provisiond::egress::Egress;
use provisiond::engine::{self, Deps, EngineHandle, Settings};
use provisiond::js::HostProgram;
use provisiond::plan::{GuardPolicy, Links};
use provisiond::security::{MasterKey, Sealer};
use provisiond::storage::claim::{self, Claimed};
use provisiond::storage::complete::{Completion, complete};
use provisiond::storage::{Db, runs, state, stores, subjects, targets};
use serde_json::{Map, json};

use super::RECORD;
use crate::support::db::TestDb;
use crate::support::queue;
use crate::support::sink::Sink;

/// A store with one enabled target.
struct World {
    db: TestDb,
    store: StoreId,
    target: TargetId,
}

impl World {
    async fn new(sink: &Sink) -> Self {
        let db = TestDb::new().await;
        let mut connection = db.connection();
        runs::make_partitions(&mut connection, chrono::Utc::now().date_naive()).unwrap();
        let store = stores::create(&mut connection, "people").unwrap().id;
        let config = json!({ "url": sink.url }).as_object().unwrap().clone();
        let retry = RetryPolicy { first_delay_secs: 1, ..RetryPolicy::default() };
        let (egress_allow, egress_inside) = (vec![sink.address.clone()], vec![sink.address.clone()]);
        let crm = TargetSettings::named("crm");
        let settings = TargetSettings { config, egress_allow, egress_inside, retry, ..crm };
        let target = queue::enabled_target(&mut connection, store, &settings, RECORD);
        Self { db, store, target }
    }

    fn account(&self, user_name: &str) -> SubjectId {
        let mut connection = self.db.connection();
        let draft = queue::draft(user_name, &json!({}));
        subjects::create(&mut connection, self.store, SubjectKind::Account, draft).unwrap().subject.id
    }

    fn status(&self, subject: SubjectId) -> Option<String> {
        state::find(&mut self.db.connection(), self.target, subject).unwrap().status
    }

    async fn until(&self, subject: SubjectId, status: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.status(subject).as_deref() != Some(status) {
            assert!(
                Instant::now() < deadline,
                "{subject} is not {status} but {:?}",
                state::find(&mut self.db.connection(), self.target, subject)
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The engine, on a thread of its own.
    fn engine(&self, before_run: Option<Arc<dyn Fn(SubjectId) + Send + Sync>>) -> EngineHandle {
        let deps = Deps {
            db: Db::connect(&self.db.url, 2, 4),
            egress: Arc::new(Egress::new()),
            program: HostProgram::new(env!("CARGO_BIN_EXE_provisiond")),
            sealer: Arc::new(Sealer::new(MasterKey::generate())),
            settings: Arc::new(Settings {
                node: "test".into(),
                run_again_floor: Duration::from_secs(1),
                poll_interval: Duration::from_secs(1),
                breaker: provisiond::plan::breaker::Timing::default(),
                log_retention_days: 30,
                replay_retention_days: 7,
                guard: GuardPolicy::default(),
            }),
            before_run,
        };
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let system = actix::System::new();
            system.block_on(async move { sender.send(engine::start(deps)).unwrap() });
            system.run().unwrap();
        });
        receiver.recv().unwrap()
    }
}

#[tokio::test]
async fn a_worker_that_panics_is_replaced_and_its_work_done() {
    let sink = Sink::start().await;
    let world = World::new(&sink).await;
    let panics = Arc::new(AtomicUsize::new(0));
    let counted = panics.clone();
    let engine = world.engine(Some(Arc::new(move |_| {
        assert!(counted.fetch_add(1, Ordering::SeqCst) >= 2, "a worker that panics, as the test wants it");
    })));
    let accounts = [world.account("ada"), world.account("bob"), world.account("eve")];
    (engine.nudge())(&[world.target]);
    for account in accounts {
        world.until(account, "provisioned").await;
    }
    assert!(panics.load(Ordering::SeqCst) >= 5);
    let seen = engine.observe(world.target).await.unwrap();
    assert_eq!(seen.worker_restarts, 2);
    assert_eq!(seen.leased, 0);
    engine.shutdown(Duration::from_secs(5)).await;
}

fn success(claimed: &Claimed, target: TargetId) -> Completion {
    let conclusion = queue::done(ProvisionStatus::Provisioned, true);
    Completion { in_scope: true, ..queue::completion(target, claimed, conclusion) }
}

fn claim_one(connection: &mut PgConnection, target: TargetId, node: &str) -> Option<Claimed> {
    claim::claim(connection, target, node, 1, 1, 0.0).unwrap().pop()
}

#[tokio::test]
async fn a_completion_with_a_stale_fence_writes_nothing() {
    let sink = Sink::start().await;
    let world = World::new(&sink).await;
    let account = world.account("ada");
    let mut connection = world.db.connection();
    let late = claim_one(&mut connection, world.target, "one").unwrap();
    let current = claim_one(&mut connection, world.target, "two").unwrap();
    assert!(current.fence > late.fence && current.attempt == 2);
    let with_attributes = {
        let mut completion = success(&late, world.target);
        completion.conclusion.attributes = json!({ "a": 1 }).as_object().cloned();
        completion
    };
    assert_eq!(complete(&mut connection, &[with_attributes], &Links::default()).unwrap().written, 0);
    assert_eq!(world.status(account).as_deref(), Some("pending"));
    assert_eq!(subjects::load(&mut connection, &[account]).unwrap()[0].attributes, Map::new());
    assert_eq!(
        complete(&mut connection, &[success(&current, world.target)], &Links::default()).unwrap().written,
        1
    );
    assert_eq!(world.status(account).as_deref(), Some("provisioned"));
    assert_eq!(
        complete(&mut connection, &[success(&current, world.target)], &Links::default()).unwrap().written,
        0
    );
}

#[tokio::test]
async fn a_change_during_a_run_keeps_the_row_due() {
    let sink = Sink::start().await;
    let world = World::new(&sink).await;
    let account = world.account("ada");
    let mut connection = world.db.connection();
    let claimed = claim::claim(&mut connection, world.target, "one", 1, 1, 60.0).unwrap().pop().unwrap();
    let patch = json!({ "title": "Director" });
    let before = subjects::load(&mut connection, &[account]).unwrap().remove(0);
    let mut draft = before.draft();
    draft.attributes = patch.as_object().cloned().unwrap();
    subjects::replace(&mut connection, SubjectKind::Account, account, draft, None).unwrap();
    assert_eq!(claim_one(&mut connection, world.target, "one"), None, "a leased row is not pulled forward");
    let completed = complete(&mut connection, &[success(&claimed, world.target)], &Links::default()).unwrap();
    assert_eq!((completed.written, completed.next_in), (1, Some(0.0)));
    let again = claim_one(&mut connection, world.target, "one").unwrap();
    assert_eq!((again.subject.version, again.attempt, again.changes.len()), (2, 1, 1));
    assert_eq!(again.known.done_version, 1);
}

impl World {
    async fn until_message(&self, subject: SubjectId, message: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let said = state::find(&mut self.db.connection(), self.target, subject).unwrap().message;
            if said.as_deref() == Some(message) {
                return;
            }
            assert!(Instant::now() < deadline, "{subject} does not say {message} but {said:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn set(&self, account: SubjectId, value: u32) {
        queue::set(&mut self.db.connection(), account, &json!({ "value": value }));
    }

    /// Changes settings as another node does: nobody here is told.
    fn edit(&self, edit: impl FnOnce(&mut TargetSettings)) {
        let mut connection = self.db.connection();
        targets::update::<targets::TargetError>(&mut connection, self.target, None, None, |settings| {
            edit(settings);
            Ok(())
        })
        .unwrap();
    }
}

/// What another node has published runs at once, however seldom the engine looks
/// round by itself.
#[tokio::test]
async fn a_claim_runs_what_is_published_when_it_is_made() {
    let sink = Sink::start().await;
    let world = World::new(&sink).await;
    let engine = world.engine(None);
    let account = world.account("ada");
    (engine.nudge())(&[world.target]);
    world.until(account, "provisioned").await;
    for version in 2..6 {
        let code = format!("export default () => ({{ status: 'provisioned', message: 'v{version}' }})");
        queue::publish(&mut world.db.connection(), world.target, &code);
        world.set(account, version);
        (engine.nudge())(&[world.target]);
        // One that ran by the version of before would say that, and not run again.
        world.until_message(account, &format!("v{version}")).await;
    }
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_claim_goes_by_the_settings_of_its_time() {
    let sink = Sink::start().await;
    let world = World::new(&sink).await;
    let engine = world.engine(None);
    let account = world.account("ada");
    (engine.nudge())(&[world.target]);
    world.until(account, "provisioned").await;
    for number in 1..5 {
        let url = format!("{}/{number}", sink.url);
        world.edit(|settings| drop(settings.config.insert("url".into(), json!(url))));
        world.set(account, number);
        (engine.nudge())(&[world.target]);
        let before = sink.calls().len();
        sink.wait_until(|calls| calls.len() > before).await;
        assert_eq!(sink.calls()[before].path, format!("/{number}/provision"));
        world.until(account, "provisioned").await;
    }
    // Out of scope: nothing is provisioned by the filter of before.
    world.edit(|settings| settings.filter = "userName eq \"eve\"".into());
    world.set(account, 9);
    (engine.nudge())(&[world.target]);
    world.until(account, "deprovisioned").await;
    assert_eq!(sink.calls().iter().filter(|call| call.json()["attributes"]["value"] == 9).count(), 1);
    engine.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_target_that_another_node_paused_claims_nothing() {
    let sink = Sink::start().await;
    let world = World::new(&sink).await;
    let engine = world.engine(None);
    let account = world.account("ada");
    (engine.nudge())(&[world.target]);
    world.until(account, "provisioned").await;
    let before = sink.calls().len();
    targets::set_paused(&mut world.db.connection(), world.target, true).unwrap();
    world.set(account, 1);
    (engine.nudge())(&[world.target]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !engine.observe(world.target).await.unwrap().paused {
        assert!(Instant::now() < deadline, "it was not reloaded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((sink.calls().len(), engine.observe(world.target).await.unwrap().leased), (before, 0));
    targets::set_paused(&mut world.db.connection(), world.target, false).unwrap();
    engine.look_round();
    sink.wait_until(|calls| calls.len() > before).await;
    engine.shutdown(Duration::from_secs(5)).await;
}
