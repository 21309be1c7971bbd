//! The supervisor of one target: claims due work by credits, keeps each
//! subject's order in mailboxes, hands jobs to a bounded set of workers.
//!
//! ```text
//!   Timer, Sweeper, API ──Wake──► intake: claim ≤ free credits ──► plan
//!                                                                  │ run / record
//!        ┌──────────────── Mailboxes (one job a subject) ◄─────────┤
//!        ▼                                                         ▼
//!   Worker × max parallel jobs ──Finished──► Completer ──Committed──► credits back
//! ```
//!
//! Everything here is a cache. When the actor dies, its hosts are killed with
//! it, and the root supervisor starts another that claims the work anew.

mod intake;
mod leases;
mod messages;
mod neighbours;
mod observe;
mod quarantine;
mod staff;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;

pub use self::messages::{Certain, Committed, Drain, Idle, Observe, Reload, StopRuns, Swept, Wake};
use self::observe::Counters;
pub use self::observe::ObservableState;
use self::staff::Slot;
use super::completer::{Completer, Finished, Linked};
use super::deps::Deps;
use super::handle::Nudge;
use super::health::Health;
use super::job::Job;
use super::mailbox::Mailboxes;
use super::pace::Pace;
use super::ready::Ready;
use super::runtime::Runtime;
use super::supervisor::LookRound;
use super::sweeper::{Recheck, Sweep, Sweeper};
use super::timer::Timer;
use crate::domain::ids::SubjectId;
use crate::storage::Passed;

/// How often workers are looked after and leases renewed.
const TICK: Duration = Duration::from_secs(1);
/// A sweep that another process has started is found after so many ticks.
const SWEEP_TICKS: u64 = 5;
/// What waits for other targets is looked after so often, in ticks.
const RECHECK_TICKS: u64 = 30;

/// Serves one target.
pub struct TargetSupervisor {
    deps: Deps,
    nudge: Nudge,
    /// Reloads targets that have changed.
    root: Recipient<LookRound>,
    runtime: Arc<Runtime>,
    paused: bool,
    draining: bool,
    uncertain: bool,
    workers: Vec<Slot>,
    idle: Vec<usize>,
    mailboxes: Mailboxes<Arc<Job>>,
    ready: Ready,
    health: Arc<Health>,
    /// The breaker is being written down.
    saving: bool,
    /// Claimed and not yet committed, by subject, with the time of the claim.
    leased: HashMap<SubjectId, (i64, Instant)>,
    pace: Pace,
    claiming: bool,
    /// Where the next claim begins.
    passed: Passed,
    /// When one last began at the beginning.
    looked: Instant,
    /// The last claim failed: rows may be leased to this node without its knowledge.
    unsure: bool,
    /// When the last claim began.
    claimed_at: Instant,
    /// A claim waits for more to come in.
    gathering: bool,
    /// Something came in since the last claim.
    woken: bool,
    /// The last claim took all it asked for: there is more.
    more: bool,
    helpers: Option<Helpers>,
    counters: Counters,
    ticks: u64,
}

struct Helpers {
    timer: Addr<Timer>,
    completer: Addr<Completer>,
    sweeper: Addr<Sweeper>,
}

impl TargetSupervisor {
    /// A supervisor for a target that this node owns. `root` is asked to reload it
    /// when it finds that the target has changed.
    pub fn new(deps: Deps, nudge: Nudge, root: Recipient<LookRound>, runtime: Arc<Runtime>) -> Self {
        Self {
            paused: runtime.around.target.paused,
            health: Arc::new(Health::new(&runtime, deps.settings.breaker)),
            saving: false,
            deps,
            nudge,
            root,
            runtime,
            draining: false,
            uncertain: false,
            workers: Vec::new(),
            idle: Vec::new(),
            mailboxes: Mailboxes::default(),
            ready: Ready::default(),
            leased: HashMap::new(),
            pace: Pace::new(Instant::now()),
            claiming: false,
            passed: Passed::default(),
            looked: Instant::now(),
            unsure: false,
            claimed_at: Instant::now(),
            gathering: false,
            woken: false,
            more: false,
            helpers: None,
            counters: Counters::default(),
            ticks: 0,
        }
    }

    fn most_workers(&self) -> usize {
        self.runtime.around.target.settings.max_parallel_jobs as usize
    }

    fn complete(&self, finished: Finished) {
        if let Some(helpers) = &self.helpers {
            helpers.completer.do_send(finished);
        }
    }

    fn tick(&mut self, context: &mut Context<Self>) {
        self.ticks += 1;
        if self.ticks.is_multiple_of(SWEEP_TICKS)
            && let Some(helpers) = &self.helpers
        {
            helpers.sweeper.do_send(Sweep);
        }
        if self.ticks.is_multiple_of(RECHECK_TICKS)
            && let Some(helpers) = &self.helpers
        {
            helpers.sweeper.do_send(Recheck);
        }
        self.look_after_workers(context);
        self.renew_leases(context);
        self.counters.tick(TICK);
    }
}

impl Actor for TargetSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let me = context.address();
        let (db, id) = (self.deps.db.clone(), self.runtime.around.target.id);
        self.helpers = Some(Helpers {
            timer: Timer::new(me.clone().recipient()).start(),
            completer: Completer::new(
                db.clone(),
                me.clone().recipient(),
                self.nudge.clone(),
                self.runtime.links.clone(),
            )
            .start(),
            sweeper: Sweeper::new(db, id, self.deps.settings.guard, me.recipient()).start(),
        });
        self.staff(context);
        context.run_interval(TICK, Self::tick);
        context.notify(Wake);
        self.free_neighbours(context);
    }
}

impl Drop for TargetSupervisor {
    /// However the actor ends: nothing that it started goes on running beside
    /// its successor.
    fn drop(&mut self) {
        self.runtime.logic.stop();
    }
}

impl Handler<Wake> for TargetSupervisor {
    type Result = ();

    fn handle(&mut self, _: Wake, context: &mut Self::Context) {
        self.woken = true;
        self.give_back_excess(context);
        self.take_in(context);
    }
}

impl Handler<Swept> for TargetSupervisor {
    type Result = ();

    fn handle(&mut self, _: Swept, _: &mut Self::Context) {
        if let Some(helpers) = &self.helpers {
            helpers.sweeper.do_send(Sweep);
        }
    }
}

impl Handler<Idle> for TargetSupervisor {
    type Result = ();

    fn handle(&mut self, Idle(number): Idle, context: &mut Self::Context) {
        if let Some(slot) = self.workers.get_mut(number) {
            slot.job = None;
            self.idle.push(number);
        }
        self.hand_out();
        self.follow_breaker(context);
    }
}

impl Handler<Committed> for TargetSupervisor {
    type Result = ();

    fn handle(&mut self, Committed { subjects, next_in }: Committed, context: &mut Self::Context) {
        self.counters.committed += subjects.len() as u64;
        self.pace.count(subjects.len(), Instant::now());
        for subject in subjects {
            match self.mailboxes.finish(subject) {
                Some(job) => self.ready.push(job),
                None => drop(self.leased.remove(&subject)),
            }
        }
        self.hand_out();
        if self.more || next_in.is_some_and(|delay| delay.is_zero()) {
            self.take_in(context);
        } else {
            self.arm(next_in);
        }
    }
}

impl Handler<Reload> for TargetSupervisor {
    type Result = ();

    fn handle(&mut self, Reload(runtime): Reload, context: &mut Self::Context) {
        self.paused = runtime.around.target.paused;
        if !self.paused {
            runtime.logic.allow();
        }
        self.health.reload(&self.runtime, &runtime);
        let replanned = self.runtime.edition().version != runtime.edition().version;
        self.runtime = runtime;
        self.staff(context);
        if self.paused || replanned {
            self.give_back(context);
        }
        self.follow_breaker(context);
        if let Some(helpers) = &self.helpers {
            helpers.sweeper.do_send(Sweep);
            helpers.completer.do_send(Linked(self.runtime.links.clone()));
        }
        context.notify(Wake);
        self.free_neighbours(context);
    }
}

impl Handler<Certain> for TargetSupervisor {
    type Result = ();

    fn handle(&mut self, Certain(certain): Certain, _: &mut Self::Context) {
        if self.uncertain != certain {
            return;
        }
        self.uncertain = !certain;
        if certain {
            self.runtime.logic.allow();
            self.hand_out();
        } else {
            let id = self.runtime.around.target.id;
            log::warn!("target {id} stops its runs: its ownership cannot be renewed");
            self.runtime.logic.stop();
        }
    }
}

impl Handler<StopRuns> for TargetSupervisor {
    type Result = ();

    fn handle(&mut self, _: StopRuns, context: &mut Self::Context) {
        self.paused = true;
        self.give_back(context);
        self.runtime.logic.stop();
    }
}

impl Handler<Drain> for TargetSupervisor {
    type Result = bool;

    fn handle(&mut self, _: Drain, context: &mut Self::Context) -> bool {
        self.draining = true;
        self.give_back(context);
        self.leased.is_empty() && !self.claiming
    }
}
