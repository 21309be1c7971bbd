//! The root supervisor: keeps one [`TargetSupervisor`] alive for every enabled
//! target that this node owns, and the ownership renewed.
//!
//! An actor that panics is gone for good in actix, mailbox included, so this
//! supervisor holds what is needed to make another one: it watches whether its
//! children are still connected and starts them anew, later and later.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use chrono::{Days, Utc};

use super::deps::{Deps, LOOK_ROUND, TARGET_LEASE};
use super::handle::{Registry, nudge};
use super::runtime::{Runtime, RuntimeError};
use super::target::{Certain, Drain, Reload, StopRuns, TargetSupervisor};
use crate::domain::ids::TargetId;
use crate::domain::target::Target;
use crate::plan::{Links, Node};
use crate::storage::{DbError, Pool, canaries, ownership, runs, targets};

/// How often old log partitions are dropped and new ones made.
const UPKEEP: Duration = Duration::from_secs(1_800);
/// First wait before a target whose actor died is started again.
const FIRST_REST: Duration = Duration::from_millis(200);
/// Longest such wait.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Supervises the targets of this node.
pub struct Supervisor {
    deps: Deps,
    registry: Registry,
    children: HashMap<TargetId, Child>,
    resting: HashMap<TargetId, Rest>,
    /// Dismissed and still ending their runs.
    leaving: HashSet<TargetId>,
    /// When the ownership was last renewed.
    renewed: Instant,
    looking: bool,
    look_again: bool,
    stopping: bool,
}

struct Child {
    actor: Addr<TargetSupervisor>,
    arbiter: Arbiter,
    runtime: Arc<Runtime>,
    started: Instant,
}

/// A target whose actor died.
struct Rest {
    deaths: u32,
    until: Instant,
}

/// Look for targets to start, reload and stop.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookRound;

/// Stop everything in order, within so long.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Shutdown(pub Duration);

/// What the database says should run here.
struct Picture {
    owned: Vec<ownership::Owned>,
    targets: HashMap<TargetId, Target>,
    /// The version on trial, by its trial.
    canaries: HashMap<TargetId, i64>,
}

impl Supervisor {
    /// A supervisor that notes its children in `registry`.
    pub(super) fn new(deps: Deps, registry: Registry) -> Self {
        Self {
            deps,
            registry,
            children: HashMap::new(),
            resting: HashMap::new(),
            leaving: HashSet::new(),
            renewed: Instant::now(),
            looking: false,
            look_again: false,
            stopping: false,
        }
    }

    fn bury_the_dead(&mut self) {
        let dead: Vec<TargetId> = self
            .children
            .iter()
            .filter(|(_, child)| !child.actor.connected())
            .map(|(target, _)| *target)
            .collect();
        for target in dead {
            let lived = self.children.get(&target).map(|child| child.started.elapsed()).unwrap_or_default();
            self.remove(target);
            let rest = self.resting.entry(target).or_insert(Rest { deaths: 0, until: Instant::now() });
            rest.deaths = if lived > LONGEST_REST * 2 { 1 } else { rest.deaths + 1 };
            let wait = FIRST_REST.saturating_mul(1 << rest.deaths.min(10)).min(LONGEST_REST);
            rest.until = Instant::now() + wait;
            log::error!("the supervisor of target {target} died ({} times): again in {wait:?}", rest.deaths);
        }
    }

    /// Past the lease another node may own what runs here.
    fn tell_certainty(&self) {
        let certain = self.renewed.elapsed() < TARGET_LEASE;
        for child in self.children.values() {
            child.actor.do_send(Certain(certain));
        }
    }

    fn unregister(&self, target: TargetId) {
        if let Ok(mut registry) = self.registry.write() {
            registry.remove(&target);
        }
    }

    fn remove(&mut self, target: TargetId) {
        self.unregister(target);
        if let Some(child) = self.children.remove(&target) {
            child.arbiter.stop();
        }
    }

    fn arrange(&mut self, picture: Picture, context: &mut Context<Self>) {
        let owned: Vec<TargetId> = picture.owned.iter().map(|owned| owned.target).collect();
        let lost: Vec<TargetId> =
            self.children.keys().filter(|target| !owned.contains(target)).copied().collect();
        for target in lost {
            self.dismiss(target, context);
        }
        for target in owned {
            let Some(settings) = picture.targets.get(&target) else { continue };
            if self.leaving.contains(&target) {
                continue;
            }
            let current = self.children.get(&target).map(|child| child.runtime.clone());
            let same = |runtime: &Arc<Runtime>| {
                let trial = runtime.logic.canary.as_ref().map(|trial| trial.id);
                !differs(&runtime.around.target, settings)
                    && trial == picture.canaries.get(&target).copied()
                    && *runtime.links == links(settings, &picture.targets)
            };
            if !current.as_ref().is_some_and(same) {
                self.load(target, current, context);
            }
        }
    }

    /// Lets a target that is disabled, deleted or another node's end its runs.
    fn dismiss(&mut self, target: TargetId, context: &mut Context<Self>) {
        let Some(child) = self.children.remove(&target) else { return };
        self.unregister(target);
        log::info!("target {target} is no longer served here");
        let deps = self.deps.clone();
        let leave = async move {
            drain(std::slice::from_ref(&child.actor), Duration::from_secs(60)).await;
            let node = deps.settings.node.clone();
            let given_up = deps
                .db
                .run(Pool::Engine, move |connection| ownership::give_up(connection, &node, target))
                .await;
            if let Err(error) = given_up {
                log::warn!("target {target} was not given up: {error}");
            }
            child.arbiter.stop();
        };
        self.leaving.insert(target);
        context.spawn(leave.into_actor(self).map(move |(), supervisor, context| {
            supervisor.leaving.remove(&target);
            context.notify(LookRound);
        }));
    }

    fn load(&mut self, target: TargetId, current: Option<Arc<Runtime>>, context: &mut Context<Self>) {
        if self.resting.get(&target).is_some_and(|rest| rest.until > Instant::now()) {
            return;
        }
        let deps = self.deps.clone();
        let loading = async move { Runtime::load(&deps, target, current.as_deref()).await };
        // Nothing else is handled meanwhile, so no target is started twice.
        context.wait(loading.into_actor(self).map(move |runtime, supervisor, context| match runtime {
            Ok(runtime) => supervisor.set(target, Arc::new(runtime), context),
            Err(RuntimeError::Gone) => {}
            Err(error) => log::error!("target {target} cannot be served: {error}"),
        }));
    }

    fn set(&mut self, target: TargetId, runtime: Arc<Runtime>, context: &Context<Self>) {
        if let Some(child) = self.children.get_mut(&target) {
            child.runtime = runtime.clone();
            child.actor.do_send(Reload(runtime));
            return;
        }
        log::info!("target {target} `{}` is served by this node", runtime.around.target.settings.name);
        let arbiter = Arbiter::new();
        let (deps, nudge, shared) = (self.deps.clone(), nudge(&self.registry), runtime.clone());
        let root = context.address().recipient();
        let actor = TargetSupervisor::start_in_arbiter(&arbiter.handle(), move |_| {
            TargetSupervisor::new(deps, nudge, root, shared)
        });
        if let Ok(mut registry) = self.registry.write() {
            registry.insert(target, actor.clone());
        }
        self.children.insert(target, Child { actor, arbiter, runtime, started: Instant::now() });
    }
}

fn differs(before: &Target, after: &Target) -> bool {
    before.version != after.version
        || before.logic_version != after.logic_version
        || before.paused != after.paused
        || before.resumes != after.resumes
}

/// How a target is tied to others of its store.
fn links(target: &Target, all: &HashMap<TargetId, Target>) -> Links {
    let nodes = all.values().filter(|other| other.store == target.store).map(Node::from);
    Links::of(target.id, &nodes.collect::<Vec<_>>())
}

async fn look(deps: Deps, held: Vec<TargetId>) -> Result<Picture, DbError> {
    let node = deps.settings.node.clone();
    deps.db
        .run(Pool::Engine, move |connection| {
            let owned = ownership::take(connection, &node, &held, TARGET_LEASE.as_secs_f64())?;
            let targets = targets::list(connection, None)?;
            let targets = targets.into_iter().map(|target| (target.id, target)).collect();
            let canaries = canaries::all_running(connection)?.into_iter().collect();
            Ok(Picture { owned, targets, canaries })
        })
        .await
}

async fn upkeep(deps: Deps) -> Result<(), DbError> {
    let days = deps.settings.log_retention_days;
    let replay_days = deps.settings.replay_retention_days.min(days);
    deps.db
        .run(Pool::Engine, move |connection| {
            let today = Utc::now().date_naive();
            runs::make_partitions(connection, today)?;
            canaries::forget_ended(connection)?;
            for (table, days) in [(runs::RUNS, days), (runs::REPLAYS, replay_days), (runs::DRY_RUNS, days)] {
                let Some(from) = today.checked_sub_days(Days::new(u64::from(days))) else { continue };
                let dropped = runs::drop_partitions(connection, table, from)?;
                if !dropped.is_empty() {
                    log::info!("dropped {} days of the execution log: {}", dropped.len(), dropped.join(", "));
                }
            }
            Ok(())
        })
        .await
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.notify(LookRound);
        context.run_interval(LOOK_ROUND, |_, context| context.notify(LookRound));
        context.run_interval(UPKEEP, |supervisor, context| {
            let upkeep = upkeep(supervisor.deps.clone()).into_actor(supervisor);
            context.spawn(upkeep.map(|done, _, _| {
                if let Err(error) = done {
                    log::warn!("the execution log was not kept up: {error}");
                }
            }));
        });
    }
}

impl Handler<LookRound> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: LookRound, context: &mut Self::Context) {
        self.tell_certainty();
        if self.looking || self.stopping {
            self.look_again = true;
            return;
        }
        self.bury_the_dead();
        self.looking = true;
        let asked = Instant::now();
        let held: Vec<TargetId> = self.children.keys().chain(&self.leaving).copied().collect();
        let picture = look(self.deps.clone(), held).into_actor(self);
        context.spawn(picture.map(move |picture, supervisor, context| {
            supervisor.looking = false;
            if picture.is_ok() {
                supervisor.renewed = asked;
            }
            match picture {
                Ok(picture) if !supervisor.stopping => supervisor.arrange(picture, context),
                Ok(_) => {}
                Err(error) => log::warn!("cannot see which targets to serve: {error}"),
            }
            if std::mem::take(&mut supervisor.look_again) {
                context.notify(LookRound);
            }
        }));
    }
}

/// Drains targets until all are idle; past `deadline` kills what runs.
async fn drain(actors: &[Addr<TargetSupervisor>], deadline: Duration) {
    let end = Instant::now() + deadline;
    while !all_idle(actors).await {
        if Instant::now() >= end {
            log::warn!("some runs did not end in time and are interrupted");
            for actor in actors {
                actor.do_send(StopRuns);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn all_idle(actors: &[Addr<TargetSupervisor>]) -> bool {
    let mut idle = true;
    for actor in actors {
        idle &= actor.send(Drain).await.unwrap_or(true);
    }
    idle
}

impl Handler<Shutdown> for Supervisor {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, Shutdown(deadline): Shutdown, _: &mut Self::Context) -> Self::Result {
        self.stopping = true;
        let actors: Vec<_> = self.children.values().map(|child| child.actor.clone()).collect();
        let targets: Vec<TargetId> = self.children.keys().copied().collect();
        let deps = self.deps.clone();
        let stop = async move {
            drain(&actors, deadline).await;
            let node = deps.settings.node.clone();
            let given_up = deps.db.run(Pool::Engine, move |connection| {
                targets.iter().try_for_each(|target| ownership::give_up(connection, &node, *target))
            });
            if let Err(error) = given_up.await {
                log::warn!("targets were not given up: {error}");
            }
        };
        Box::pin(stop.into_actor(self).map(|(), supervisor, _| {
            let targets: Vec<TargetId> = supervisor.children.keys().copied().collect();
            targets.into_iter().for_each(|target| supervisor.remove(target));
        }))
    }
}
