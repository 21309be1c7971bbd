//! A target as its workers see it: settings, logic and connection, fixed until
//! something of it changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::deps::Deps;
use super::hosts::{Hosts, Starter};
use super::surroundings::Surroundings;
use super::versions::{OnTrial, Served, Versions};
use crate::domain::canary::Canary;
use crate::domain::ids::TargetId;
use crate::domain::target::Target;
use crate::js::Code;
use crate::plan::breaker::Saved;
use crate::plan::{GuardPolicy, Links, Node};
use crate::storage::claim::Edition;
use crate::storage::targets::SealedSecret;
use crate::storage::{Connection, Db, DbError, Pool, breakers, canaries, logic, targets};

/// Everything that a run needs and that does not depend on the subject.
pub struct Runtime {
    /// What does not depend on the logic either.
    pub around: Surroundings,
    /// What runs for whom.
    pub logic: Versions,
    /// A run that failed can be replayed.
    pub keeps_replays: bool,
    /// Which removals wait for a person.
    pub guard: GuardPolicy,
    /// Which targets of its store it has to do with. Only says whether to look:
    /// what decides is read in the claim's transaction.
    pub links: Arc<Links>,
    /// What is written down about its breaker.
    pub breaker: Option<Saved>,
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
    secrets: BTreeMap<String, SealedSecret>,
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
    /// What a claim by it goes by.
    pub fn edition(&self) -> Edition {
        Edition::of(&self.around.target, self.logic.canary.as_ref().map(|trial| trial.id))
    }

    /// Reads a target. Hosts and egress policy of `before` are kept together when
    /// settings and logic are the same: logic may hold on to the handles of
    /// secrets, which each policy draws anew.
    pub async fn load(deps: &Deps, id: TargetId, before: Option<&Runtime>) -> Result<Self, RuntimeError> {
        let stored = load(&deps.db, id).await?;
        let before = before.filter(|before| before.around.target.version == stored.target.version);
        let before = before.filter(|before| before.logic.hosts_of(stored.main.0).is_some());
        let logic = versions(deps, &stored, before);
        let egress = before.map(|before| before.around.egress.clone());
        Ok(Self {
            links: Arc::new(stored.links),
            breaker: stored.breaker,
            logic,
            keeps_replays: deps.settings.replay_retention_days > 0,
            guard: deps.settings.guard.with(stored.target.settings.guard),
            around: Surroundings::new(deps, stored.target, &stored.secrets, egress)?,
        })
    }
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
