//! A target as its workers see it: settings, logic and connection, fixed until
//! something of it changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json, value::to_raw_value};

use super::deps::Deps;
use super::hosts::{Hosts, Starter};
use super::versions::{OnTrial, Served, Versions};
use crate::domain::canary::Canary;
use crate::domain::filter::Filter;
use crate::domain::ids::TargetId;
use crate::domain::target::Target;
use crate::egress::{AllowList, SecretHosts, TargetPolicy};
use crate::js::Code;
use crate::plan::breaker::Saved;
use crate::plan::{GuardPolicy, Links, Node, Policy};
use crate::security::NamedSecret;
use crate::storage::{Connection, Db, DbError, Pool, breakers, canaries, logic, targets};

/// Everything that a run needs and that does not depend on the subject.
pub struct Runtime {
    /// Settings.
    pub target: Target,
    /// The scope, parsed.
    pub filter: Filter,
    /// What runs for whom.
    pub logic: Versions,
    /// What egress lets it do.
    pub egress: Arc<TargetPolicy>,
    /// What follows a run.
    pub policy: Policy,
    /// Which removals wait for a person.
    pub guard: GuardPolicy,
    /// Which targets of its store it has to do with. Only says whether to look:
    /// what decides is read in the claim's transaction.
    pub links: Arc<Links>,
    /// What is written down about its breaker.
    pub breaker: Option<Saved>,
    /// `ctx.target`.
    pub target_json: Box<RawValue>,
    /// `ctx.connection`, secrets as handles.
    pub connection_json: Box<RawValue>,
}

/// Why a target cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The target is gone, or has no published logic.
    #[error("there is nothing to serve")]
    Gone,
    /// A stored setting is bad.
    #[error("{0}")]
    Bad(String),
}

struct Stored {
    target: Target,
    main: (i32, Code),
    canary: Option<(i64, Canary, Code)>,
    secrets: BTreeMap<String, Vec<u8>>,
    breaker: Option<Saved>,
    links: Links,
}

async fn load(db: &Db, id: TargetId) -> Result<Stored, RuntimeError> {
    db.run(Pool::Engine, move |connection| {
        let target = targets::find(connection, id).map_err(|error| match error {
            targets::TargetError::Db(error) => RuntimeError::Db(error),
            _ => RuntimeError::Gone,
        })?;
        let published = target.logic_version.ok_or(RuntimeError::Gone)?;
        let main = (published, code(connection, id, published)?);
        let canary = match canaries::running(connection, id)? {
            Some(row) => {
                let canary = row.canary();
                let code = code(connection, id, canary.version)?;
                Some((row.id(), canary, code))
            }
            None => None,
        };
        let secrets = targets::secrets(connection, id)?;
        let breaker = breakers::load(connection, id)?;
        let all = targets::list(connection, Some(target.store))?;
        let links = Links::of(id, &all.iter().map(Node::from).collect::<Vec<_>>());
        Ok(Stored { target, main, canary, secrets, breaker, links })
    })
    .await
}

fn code(connection: &mut Connection, target: TargetId, version: i32) -> Result<Code, RuntimeError> {
    let version = logic::version(connection, target, version)?.ok_or(RuntimeError::Gone)?;
    let artefact = logic::artefact(connection, &version.artefact)?.ok_or(RuntimeError::Gone)?;
    Ok(Code::new(&artefact.code, artefact.source_map.as_deref()))
}

impl Runtime {
    /// Reads a target. Hosts and egress policy of `before` are kept together when
    /// settings and logic are the same: logic may hold on to the handles of
    /// secrets, which each policy draws anew.
    pub async fn load(deps: &Deps, id: TargetId, before: Option<&Runtime>) -> Result<Self, RuntimeError> {
        let stored = load(&deps.db, id).await?;
        let bad = |what: &str, error: String| RuntimeError::Bad(format!("{what} of the target: {error}"));
        let settings = &stored.target.settings;
        let filter = Filter::parse(&settings.filter).map_err(|error| bad("the filter", error.to_string()))?;
        let allow = AllowList::parse(&settings.egress_allow)
            .map_err(|error| bad("`egressAllow`", error.to_string()))?;
        let secret_hosts = SecretHosts::parse(&settings.secret_hosts)
            .map_err(|error| bad("`connection.secretHosts`", error.to_string()))?;
        let before = before.filter(|before| before.target.version == stored.target.version);
        let egress = match before.filter(|before| before.logic.hosts_of(stored.main.0).is_some()) {
            Some(before) => before.egress.clone(),
            None => {
                let policy = TargetPolicy::new(allow, open_secrets(deps, &stored)?);
                Arc::new(policy.with_secret_hosts(secret_hosts))
            }
        };
        let logic = versions(deps, &stored, before.filter(|before| Arc::ptr_eq(&before.egress, &egress)));
        let raw = |value: Value| to_raw_value(&value).map_err(|error| bad("the settings", error.to_string()));
        let target_json =
            raw(json!({ "id": stored.target.id, "name": settings.name, "config": settings.config }))?;
        let connection_json = raw(connection(&stored.target, &egress))?;
        Ok(Self {
            filter,
            links: Arc::new(stored.links),
            breaker: stored.breaker,
            logic,
            egress,
            policy: Policy {
                retry: settings.retry,
                run_again_floor: deps.settings.run_again_floor,
                poll_interval: deps.settings.poll_interval,
            },
            guard: deps.settings.guard.with(settings.guard),
            target_json,
            connection_json,
            target: stored.target,
        })
    }
}

fn open_secrets(deps: &Deps, stored: &Stored) -> Result<Vec<NamedSecret>, RuntimeError> {
    let owner = format!("target:{}", stored.target.id);
    let open = |(name, sealed): (&String, &Vec<u8>)| {
        let value = deps
            .sealer
            .open(&owner, name, sealed)
            .map_err(|error| RuntimeError::Bad(format!("secret `{name}`: {error}")))?;
        Ok(NamedSecret { name: name.clone(), value })
    };
    stored.secrets.iter().map(open).collect()
}

fn connection(target: &Target, egress: &TargetPolicy) -> Value {
    let mut members = target.settings.connection.clone();
    members.insert("secrets".into(), json!(egress.handles()));
    Value::Object(members)
}

/// Hosts that run the same version already are kept.
fn versions(deps: &Deps, stored: &Stored, before: Option<&Runtime>) -> Versions {
    let settings = &stored.target.settings;
    let parallel = settings.max_parallel_jobs as usize;
    let serve = |version: i32, code: &Code| {
        let kept = before.and_then(|before| before.logic.hosts_of(version));
        let new = || {
            let (program, code) = (deps.program.clone(), code.clone());
            let starter = Starter { program, code, limits: settings.limits };
            Arc::new(Hosts::new(starter, settings.isolation, parallel))
        };
        Served { version, hosts: kept.unwrap_or_else(new) }
    };
    let trial = |(id, canary, code): &(i64, Canary, Code)| {
        let served = serve(canary.version, code);
        OnTrial { id: *id, canary: canary.clone(), served }
    };
    Versions { main: serve(stored.main.0, &stored.main.1), canary: stored.canary.as_ref().map(trial) }
}
