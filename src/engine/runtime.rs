//! A target as its workers see it: settings, logic and connection, fixed until
//! something of it changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json, value::to_raw_value};

use super::deps::Deps;
use super::hosts::{Hosts, Starter};
use crate::domain::filter::Filter;
use crate::domain::target::Target;
use crate::egress::{AllowList, TargetPolicy};
use crate::plan::breaker::Saved;
use crate::plan::{GuardPolicy, Links, Node, Policy};
use crate::security::NamedSecret;
use crate::storage::{Db, DbError, Pool, breakers, logic, targets};

/// Everything that a run needs and that does not depend on the subject.
pub struct Runtime {
    /// Settings.
    pub target: Target,
    /// The scope, parsed.
    pub filter: Filter,
    /// The published version.
    pub logic_version: i32,
    /// Where it runs.
    pub hosts: Arc<Hosts>,
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
    code: String,
    logic_version: i32,
    secrets: BTreeMap<String, Vec<u8>>,
    breaker: Option<Saved>,
    links: Links,
}

async fn load(db: &Db, id: crate::domain::ids::TargetId) -> Result<Stored, RuntimeError> {
    db.run(Pool::Engine, move |connection| {
        let target = targets::find(connection, id).map_err(|error| match error {
            targets::TargetError::Db(error) => RuntimeError::Db(error),
            _ => RuntimeError::Gone,
        })?;
        let logic_version = target.logic_version.ok_or(RuntimeError::Gone)?;
        let version = logic::version(connection, id, logic_version)?.ok_or(RuntimeError::Gone)?;
        let secrets = targets::secrets(connection, id)?;
        let breaker = breakers::load(connection, id)?;
        let all = targets::list(connection, Some(target.store))?;
        let links = Links::of(id, &all.iter().map(Node::from).collect::<Vec<_>>());
        Ok(Stored { target, code: version.code, logic_version, secrets, breaker, links })
    })
    .await
}

impl Runtime {
    /// Reads a target. Hosts and egress policy of `before` are kept together when
    /// settings and logic are the same: logic may hold on to the handles of
    /// secrets, which each policy draws anew.
    pub async fn load(
        deps: &Deps,
        id: crate::domain::ids::TargetId,
        before: Option<&Runtime>,
    ) -> Result<Self, RuntimeError> {
        let stored = load(&deps.db, id).await?;
        let bad = |what: &str, error: String| RuntimeError::Bad(format!("{what} of the target: {error}"));
        let settings = &stored.target.settings;
        let filter = Filter::parse(&settings.filter).map_err(|error| bad("the filter", error.to_string()))?;
        let allow = AllowList::parse(&settings.egress_allow)
            .map_err(|error| bad("`egressAllow`", error.to_string()))?;
        let same = |before: &&Runtime| {
            before.target.version == stored.target.version && before.logic_version == stored.logic_version
        };
        let (egress, hosts) = match before.filter(same) {
            Some(before) => (before.egress.clone(), before.hosts.clone()),
            None => {
                let secrets = open_secrets(deps, &stored)?;
                (Arc::new(TargetPolicy::new(allow, secrets)), hosts(deps, &stored))
            }
        };
        let raw = |value: Value| to_raw_value(&value).map_err(|error| bad("the settings", error.to_string()));
        let target_json =
            raw(json!({ "id": stored.target.id, "name": settings.name, "config": settings.config }))?;
        let connection_json = raw(connection(&stored.target, &egress))?;
        Ok(Self {
            filter,
            links: Arc::new(stored.links),
            breaker: stored.breaker,
            logic_version: stored.logic_version,
            hosts,
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

fn hosts(deps: &Deps, stored: &Stored) -> Arc<Hosts> {
    let settings = &stored.target.settings;
    let parallel = settings.max_parallel_jobs as usize;
    let starter =
        Starter { program: deps.program.clone(), code: stored.code.clone(), limits: settings.limits };
    Arc::new(Hosts::new(starter, settings.isolation, parallel))
}
