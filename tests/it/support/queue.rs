//! A target without an engine: the test itself claims its work and completes it.

use diesel::PgConnection;
use provisiond::domain::ids::{StoreId, SubjectId, TargetId};
use provisiond::domain::status::ProvisionStatus;
use provisiond::domain::subject::{SubjectDraft, SubjectKind, SubjectStatus};
use provisiond::domain::target::TargetSettings;
use provisiond::domain::who::Who;
use provisiond::plan::{Conclusion, Decision, Links, Scope, decide};
use provisiond::storage::claim::{self, Ask, Claimed};
use provisiond::storage::complete::{Completion, complete};
use provisiond::storage::logic::{Artefact, By, Draft};
use provisiond::storage::{Passed, logic, runs, stores, subjects, targets};
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
    targets::update::<targets::TargetError>(connection, target, None, &Default::default(), |settings| {
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
        refused: None,
        fingerprint: None,
    }
}
