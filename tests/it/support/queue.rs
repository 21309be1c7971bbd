//! A target without an engine: the test itself claims its work and completes it.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use provisiond::domain::ids::{StoreId, SubjectId, TargetId};
use provisiond::domain::status::{ErrorClass, ProvisionStatus, Reason, Trigger};
use provisiond::domain::subject::{SubjectDraft, SubjectKind, SubjectStatus};
use provisiond::domain::target::TargetSettings;
use provisiond::domain::who::Who;
use provisiond::plan::{Conclusion, Decision, DeletionGuard, GuardPolicy, Links, Scope, decide};
use provisiond::storage::claim::{self, Ask, Claimed, Edition};
use provisiond::storage::complete::{Completion, RunLog, complete};
use provisiond::storage::gate::{Candidate, Dependency};
use provisiond::storage::guard::{Intake, Judged, Leaver, Removal, claim_guarded};
use provisiond::storage::logic::{Artefact, By, Draft};
use provisiond::storage::{JsonText, Passed, logic, runs, stores, subjects, targets};
use serde_json::{Map, Value, json};

use super::db::TestDb;

/// Claims that take all there is.
pub const ALL: usize = 10_000;

/// A store with one enabled target, which wants accounts with `member`.
pub struct Queue {
    pub store: StoreId,
    pub target: TargetId,
}

impl Queue {
    /// In a database that may hold others.
    pub fn new(connection: &mut PgConnection, name: &str) -> Self {
        runs::make_partitions(connection, chrono::Utc::now().date_naive()).unwrap();
        let store = stores::create(connection, name).unwrap().id;
        let settings = TargetSettings { filter: "member eq true".into(), ..TargetSettings::named(name) };
        let target = enabled_target(connection, store, &settings, "export default () => {}");
        Self { store, target }
    }

    /// In a database of its own.
    pub fn alone() -> (TestDb, Self) {
        let db = TestDb::new_blocking();
        let queue = Self::new(&mut db.connection(), "people");
        (db, queue)
    }

    pub fn account(&self, connection: &mut PgConnection, name: &str, member: bool) -> SubjectId {
        let draft = draft(name, &json!({ "member": member }));
        subjects::create(connection, self.store, SubjectKind::Account, draft).unwrap().subject.id
    }

    /// At most `limit` due rows, leased for an hour.
    pub fn claim(&self, connection: &mut PgConnection, limit: usize) -> Vec<Claimed> {
        claim::claim(connection, self.target, "node", limit, limit, 3_600.0).unwrap()
    }

    /// The same from where the last one ended.
    pub fn claim_beyond(
        &self,
        connection: &mut PgConnection,
        limit: usize,
        passed: &mut Passed,
    ) -> Vec<Claimed> {
        let (target, node, edition) = (self.target, "node", None);
        let ask = Ask { target, node, limit, swept: limit, lease: 3_600.0, edition };
        claim::claim_beyond(connection, ask, passed).unwrap()
    }

    /// All that is due and may run, judged as the engine does, with no guard. A
    /// removal that is settled is a panic.
    pub fn claim_what_may_run(&self, connection: &mut PgConnection) -> Vec<Claimed> {
        let target = targets::find(connection, self.target).unwrap();
        let intake = Intake {
            target: &target,
            edition: Edition::of(&target, None),
            node: "node",
            limit: ALL,
            most_swept: ALL,
            lease: 3_600.0,
            passed: Passed::default(),
            policy: &unguarded(),
            gated: false,
        };
        let admitted = claim_guarded(connection, intake, Planned).unwrap();
        admitted.rows.into_iter().map(|planned| planned.0).collect()
    }

    /// Whatever was to be done is done; nothing is next.
    pub fn succeed(&self, connection: &mut PgConnection, claims: &[Claimed]) -> usize {
        let batch: Vec<Completion> = claims.iter().map(|claimed| success(self.target, claimed)).collect();
        complete(connection, &batch, &Links::default()).unwrap().written
    }
}

/// A target with published logic, enabled.
pub fn enabled_target(
    connection: &mut PgConnection,
    store: StoreId,
    settings: &TargetSettings,
    code: &str,
) -> TargetId {
    let target = targets::create(connection, store, settings, i64::MAX).unwrap().id;
    publish(connection, target, code);
    targets::update::<targets::TargetError>(connection, target, None, None, |settings| {
        settings.enabled = true;
        Ok(())
    })
    .unwrap();
    target
}

/// Publishes code as it is, without a bundler.
pub fn publish(connection: &mut PgConnection, target: TargetId, code: &str) {
    let artefact = Artefact {
        id: format!("{:032x}", rand::random::<u128>()),
        code: code.into(),
        source_map: None,
        packages: json!([]),
        lock: Value::Null,
    };
    let draft = Draft {
        code: code.into(),
        language: Some("javascript".into()),
        package_dependencies: json!({}),
        artefact: Some(artefact.id.clone()),
        lock: None,
        report: json!({}),
        saved_by: "test".into(),
        saved_by_token: None,
        saved_by_address: None,
        updated_at: chrono::Utc::now(),
    };
    logic::save_draft(connection, target, &draft, Some(&artefact)).unwrap();
    let who = Who::daemon();
    let by = By { who: &who, note: "" };
    let version = logic::publish(connection, target, &artefact.id, by).unwrap().unwrap();
    logic::run_version(connection, target, version.version).unwrap();
}

/// An account's record.
pub fn draft(name: &str, attributes: &Value) -> SubjectDraft {
    SubjectDraft {
        external_id: None,
        user_name: Some(name.into()),
        display_name: None,
        status: SubjectStatus::Active,
        attributes: attributes.as_object().cloned().unwrap_or_default(),
        groups: std::collections::BTreeSet::new(),
        organization: None,
    }
}

/// Sets attributes of an account, the others go.
pub fn set(connection: &mut PgConnection, account: SubjectId, attributes: &Value) {
    let name = subjects::load(connection, &[account]).unwrap().remove(0).user_name.unwrap();
    let draft = draft(&name, attributes);
    subjects::replace(connection, SubjectKind::Account, account, draft, None).unwrap();
}

/// Where the claimed subject stands now.
pub fn scope(claimed: &Claimed) -> Scope {
    let subject = &claimed.subject;
    Scope {
        version: subject.version,
        deleted: subject.deleted_at.is_some(),
        matches: subject.attributes.get("member") == Some(&Value::Bool(true)),
    }
}

/// A result that leaves nothing to do.
pub fn done(status: ProvisionStatus, present: bool) -> Conclusion {
    Conclusion {
        status,
        message: String::new(),
        error_class: None,
        present,
        done: true,
        dead: false,
        remote_id: None,
        forgets_remote_id: false,
        metadata: None,
        attributes: None::<Map<String, Value>>,
        next: None,
        retry_after: None,
        kills: 0,
    }
}

fn success(target: TargetId, claimed: &Claimed) -> Completion {
    let scope = scope(claimed);
    let conclusion = match decide(claimed.work, claimed.known, scope) {
        Decision::Run { .. } if scope.is_wanted() => done(ProvisionStatus::Provisioned, true),
        Decision::Run { .. } => done(ProvisionStatus::Deprovisioned, false),
        Decision::NotNeeded => done(ProvisionStatus::ProvisionNotNeeded, false),
        Decision::Settled => done(ProvisionStatus::Provisioned, claimed.known.present),
    };
    completion(target, claimed, conclusion)
}

/// What is written about a claim.
pub fn completion(target: TargetId, claimed: &Claimed, conclusion: Conclusion) -> Completion {
    Completion {
        target,
        subject: claimed.subject.id,
        fence: claimed.fence,
        change_seq: claimed.change_seq,
        version: claimed.subject.version,
        in_scope: scope(claimed).is_wanted(),
        conclusion,
        run: None,
        takes_remote_id: false,
        refused: None,
        fingerprint: None,
    }
}

/// A guard that lets everything pass.
pub fn unguarded() -> GuardPolicy {
    let guard = DeletionGuard { count: 0, percent: 100 };
    GuardPolicy { guard, ..GuardPolicy::default() }
}

/// A claim as the engine plans it.
struct Planned(Claimed);

impl Planned {
    fn reason(&self) -> Option<Reason> {
        match decide(self.0.work, self.0.known, scope(&self.0)) {
            Decision::Run { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

impl Judged for Planned {
    fn removal(&self) -> Option<Removal> {
        let Claimed { subject, fence, work, departure, known, .. } = &self.0;
        let removes = known.present && self.reason() == Some(Reason::Deprovision);
        let (subject, fence, trigger, departure) = (subject.id, *fence, work.trigger, *departure);
        removes.then_some(Removal { subject, fence, trigger, departure })
    }

    fn candidate(&self) -> Option<Candidate<'_>> {
        let Claimed { subject, fence, known, remote_id, .. } = &self.0;
        let returning = remote_id.as_deref().filter(|_| !known.present);
        Some(Candidate { subject, fence: *fence, reason: self.reason()?, returning })
    }

    fn leaver(&self) -> Option<Leaver<'_>> {
        let removal = self.removal()?;
        Some(Leaver { subject: removal.subject, remote_id: self.0.remote_id.as_deref() })
    }

    fn settle(&mut self, _: TargetId, why: String) {
        panic!("{why}");
    }

    fn inform(&mut self, _: Vec<Dependency>) {}
}

/// The log of a run that has just ended.
pub fn log(claimed: &Claimed, reason: Reason, trigger: Trigger, began: DateTime<Utc>) -> RunLog {
    RunLog {
        reason,
        trigger,
        attempt: claimed.attempt,
        status_before: claimed.known.status.unwrap_or(ProvisionStatus::Pending),
        logic_version: 1,
        canary: None,
        started_at: began,
        finished_at: Utc::now(),
        log: JsonText::empty_list(),
        exchanges: JsonText::empty_list(),
        replay: None,
    }
}

/// A run that has put its account under this remote id; `None` removes it.
pub fn ran(target: TargetId, claimed: &Claimed, began: DateTime<Utc>, remote_id: Option<&str>) -> Completion {
    let (reason, trigger) = match remote_id {
        Some(_) => (Reason::Provision, Trigger::Created),
        None => (Reason::Deprovision, Trigger::Deleted),
    };
    let conclusion = match remote_id {
        Some(remote_id) => {
            Conclusion { remote_id: Some(remote_id.into()), ..done(ProvisionStatus::Provisioned, true) }
        }
        None => done(ProvisionStatus::Deprovisioned, false),
    };
    let class = Some(ErrorClass::Logic);
    let refused = Conclusion {
        error_class: class,
        dead: true,
        done: false,
        ..done(ProvisionStatus::ProvisionFailed, true)
    };
    Completion {
        run: Some(log(claimed, reason, trigger, began)),
        takes_remote_id: remote_id.is_some(),
        refused: remote_id.map(|_| Box::new(refused)),
        ..completion(target, claimed, conclusion)
    }
}
