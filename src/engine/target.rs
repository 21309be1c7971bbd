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

mod neighbours;
mod quarantine;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use chrono::Utc;
use serde::Serialize;

use super::completer::{Completer, Finished, Linked};
use super::deps::{Deps, WORK_LEASE};
use super::handle::Nudge;
use super::health::Health;
use super::hosts::HostState;
use super::job::{Job, Planned, abandoned, plan};
use super::mailbox::{Delivery, Mailboxes};
use super::pace::Pace;
use super::ready::Ready;
use super::runtime::Runtime;
use super::sweeper::{Recheck, Sweep, Sweeper};
use super::timer::{Arm, Timer};
use super::worker::{Run, Worker};
use crate::domain::ids::{SubjectId, TargetId};
use crate::plan::breaker::BreakerView;
use crate::storage::guard::{Admitted, Intake, claim_guarded};
use crate::storage::{DbError, Passed, Pool, claim};

/// Rest after the database failed.
const REST: Duration = Duration::from_millis(500);
/// How often workers are looked after and leases renewed.
const TICK: Duration = Duration::from_secs(1);
/// Rows that any target claims ahead of its workers.
const SPARE: usize = 4;
/// How far ahead of its workers a fast target claims.
const AHEAD: Duration = Duration::from_millis(100);
/// Most rows that it claims because of that.
const MOST_AHEAD: usize = 1_500;
/// Small claims do not follow each other faster: what comes in meanwhile joins.
const GATHER: Duration = Duration::from_millis(4);
/// So often a claim looks at the whole queue, also for what came in late.
const LOOK_AT_ALL: Duration = Duration::from_secs(5);
/// A sweep that another process has started is found after so many ticks.
const SWEEP_TICKS: u64 = 5;
/// What waits for other targets is looked after so often, in ticks.
const RECHECK_TICKS: u64 = 30;

/// Serves one target.
pub struct TargetSupervisor {
    deps: Deps,
    nudge: Nudge,
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

struct Slot {
    worker: Addr<Worker>,
    job: Option<Arc<Job>>,
}

struct Helpers {
    timer: Addr<Timer>,
    completer: Addr<Completer>,
    sweeper: Addr<Sweeper>,
}

#[derive(Default)]
struct Counters {
    claimed: u64,
    committed: u64,
    worker_restarts: u64,
    last_error: Option<String>,
    rate: Rate,
}

/// Commits a second over the last ticks.
#[derive(Default)]
struct Rate {
    at_last_tick: u64,
    per_second: f64,
}

/// What a target does on this node.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservableState {
    /// Claims nothing until resumed.
    pub paused: bool,
    /// Is about to stop.
    pub draining: bool,
    /// Maximum parallel jobs.
    pub workers: usize,
    /// Workers with a job.
    pub busy: usize,
    /// Jobs that wait for a worker.
    pub ready: usize,
    /// Claimed and not yet committed.
    pub leased: usize,
    /// Rows claimed since the actor started.
    pub claimed: u64,
    /// Rows committed since the actor started.
    pub committed: u64,
    /// What the breaker lets through.
    pub breaker: BreakerView,
    /// Commits a second of late.
    pub per_second: f64,
    /// Workers that died and were replaced.
    pub worker_restarts: u64,
    /// The published version that runs.
    pub logic_version: i32,
    /// The JavaScript processes.
    pub hosts: Vec<HostState>,
    /// The last thing that went wrong in the engine itself.
    pub last_error: Option<String>,
}

/// There may be due work.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Wake;

/// A sweep was started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Swept;

/// A worker has ended its job.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Idle(pub usize);

/// Results are durable.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Committed {
    /// Whose.
    pub subjects: Vec<SubjectId>,
    /// When the earliest of their rows that stay in the queue is due.
    pub next_in: Option<Duration>,
}

/// Go on with these settings.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reload(pub Arc<Runtime>);

/// Whether this node can still be sure that the target is its own. While it
/// cannot, nothing runs here: another node may have taken over.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Certain(pub bool);

/// Tell what you do.
#[derive(Debug, Message)]
#[rtype(result = "ObservableState")]
pub struct Observe;

/// Kill running JavaScript.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopRuns;

/// Claim nothing more, give back what has not begun. True when nothing runs.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct Drain;

impl TargetSupervisor {
    /// A supervisor for a target that this node owns.
    pub fn new(deps: Deps, nudge: Nudge, runtime: Arc<Runtime>) -> Self {
        Self {
            paused: runtime.target.paused,
            health: Arc::new(Health::new(&runtime, deps.settings.breaker)),
            saving: false,
            deps,
            nudge,
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
        self.runtime.target.settings.max_parallel_jobs as usize
    }

    /// How many rows to claim, if it is time to. What just came in may be
    /// urgent: there is room for it also when a sweep has used all credits up,
    /// unless the target is in quarantine.
    fn room(&self, credits: usize) -> Option<Room> {
        let swept = credits.saturating_sub(self.leased.len());
        let urgent = match self.woken && !self.health.is_quarantined() {
            true => (MOST_AHEAD + 4 * self.most_workers()).saturating_sub(self.leased.len()),
            false => 0,
        };
        let all = swept.max(urgent.min(self.most_workers() + 4));
        let is_large = swept * 2 >= credits || self.ready.is_empty();
        (all > 0 && (is_large || self.woken)).then_some(Room { all, swept })
    }

    fn take_in(&mut self, context: &mut Context<Self>) {
        if self.claiming || self.gathering || self.paused || self.draining {
            return;
        }
        let credits = self.credits();
        if credits == 0 {
            return self.wait_for_breaker();
        }
        let Some(room) = self.room(credits) else { return };
        let is_large = room.swept * 2 >= credits && self.more;
        if !is_large && self.claimed_at.elapsed() < GATHER {
            self.gathering = true;
            context.run_later(GATHER, |target, context| {
                target.gathering = false;
                target.take_in(context);
            });
            return;
        }
        self.claim(room, context);
    }

    fn claim(&mut self, room: Room, context: &mut Context<Self>) {
        self.claiming = true;
        self.woken = false;
        self.claimed_at = Instant::now();
        if self.looked.elapsed() >= LOOK_AT_ALL {
            (self.passed, self.looked) = (Passed::default(), Instant::now());
        }
        let known = self.unsure.then(|| self.leased.keys().copied().collect());
        let claims = claim_work(self.deps.clone(), self.runtime.clone(), room, self.passed, known);
        context.spawn(claims.into_actor(self).map(move |claims, target, context| {
            target.claiming = false;
            match claims {
                Ok(claims) => target.took_in(claims, room, context),
                Err(error) => {
                    target.unsure = true;
                    target.failed(&error.to_string(), context);
                }
            }
        }));
    }

    fn failed(&mut self, error: &str, context: &mut Context<Self>) {
        log::warn!("target {} waits: {error}", self.runtime.target.id);
        self.counters.last_error = Some(error.to_owned());
        context.notify_later(Wake, REST);
    }

    fn took_in(&mut self, claims: Claims, room: Room, context: &mut Context<Self>) {
        self.unsure = false;
        self.passed = claims.passed;
        // Whether there is more of a sweep is not known by a claim that left it out.
        self.more = claims.claimed == room.all || (room.swept < room.all && self.more);
        self.counters.claimed += claims.rows.len() as u64;
        (self.nudge)(&claims.woken);
        for planned in claims.rows {
            self.accept(planned);
        }
        self.hand_out();
        self.follow_breaker(context);
        self.arm(claims.next_due);
        if self.more || self.woken {
            self.take_in(context);
        }
    }

    fn arm(&self, delay: Option<Duration>) {
        if let (Some(helpers), Some(delay)) = (&self.helpers, delay) {
            helpers.timer.do_send(Arm(delay));
        }
    }

    fn accept(&mut self, planned: Planned) {
        let (subject, fence) = planned.lease();
        self.leased.insert(subject, (fence, Instant::now()));
        match planned {
            Planned::Record(completion) => self.complete(Finished(*completion)),
            Planned::Run(job) => {
                if let Delivery::Start(job) = self.mailboxes.deliver(subject, Arc::from(job)) {
                    self.ready.push(job);
                }
            }
        }
    }

    fn complete(&self, finished: Finished) {
        if let Some(helpers) = &self.helpers {
            helpers.completer.do_send(finished);
        }
    }

    fn hand_out(&mut self) {
        if self.uncertain {
            return;
        }
        while self.may_start() {
            let Some(number) = self.idle.pop() else { return };
            if number >= self.most_workers() {
                continue;
            }
            let Some(job) = self.ready.pop() else {
                self.idle.push(number);
                return;
            };
            self.workers[number].job = Some(job.clone());
            let run = Run { job, runtime: self.runtime.clone(), watch: self.health.start() };
            self.workers[number].worker.do_send(run);
        }
    }

    fn new_worker(&self, number: usize, context: &mut Context<Self>) -> Option<Slot> {
        let completer = self.helpers.as_ref()?.completer.clone();
        let target = context.address().recipient();
        let worker = Worker::new(number, self.deps.clone(), target, completer).start();
        Some(Slot { worker, job: None })
    }

    /// Makes workers up to the limit; those above it end when they are idle.
    fn staff(&mut self, context: &mut Context<Self>) {
        while self.workers.len() < self.most_workers() {
            let number = self.workers.len();
            let Some(slot) = self.new_worker(number, context) else { return };
            self.workers.push(slot);
            self.idle.push(number);
        }
        for number in 0..self.most_workers() {
            if self.workers[number].job.is_none() && !self.idle.contains(&number) {
                self.idle.push(number);
            }
        }
    }

    /// Replaces workers whose actor died and concludes their jobs as failed.
    fn look_after_workers(&mut self, context: &mut Context<Self>) {
        for number in 0..self.workers.len() {
            if self.workers[number].worker.connected() {
                continue;
            }
            let Some(slot) = self.new_worker(number, context) else { return };
            let dead = std::mem::replace(&mut self.workers[number], slot);
            self.counters.worker_restarts += 1;
            log::error!("worker {number} of target {} died and was replaced", self.runtime.target.id);
            if let Some(job) = dead.job {
                let message = "the daemon failed while it ran this job: see its log";
                self.complete(Finished(abandoned(&self.runtime, &job, message)));
            }
            self.idle.push(number);
        }
        self.hand_out();
    }

    fn renew_leases(&mut self, context: &mut Context<Self>) {
        let old: Vec<(i64, i64)> = self
            .leased
            .iter_mut()
            .filter(|(_, (_, since))| since.elapsed() > WORK_LEASE / 3)
            .map(|(subject, (fence, since))| {
                *since = Instant::now();
                (subject.0, *fence)
            })
            .collect();
        if old.is_empty() {
            return;
        }
        let (db, id) = (self.deps.db.clone(), self.runtime.target.id);
        let renewal = async move {
            let lease = WORK_LEASE.as_secs_f64();
            db.run(Pool::Engine, move |connection| claim::renew(connection, id, &old, lease)).await
        };
        context.spawn(renewal.into_actor(self).map(|renewed, target, _| {
            if let Err(error) = renewed {
                target.counters.last_error = Some(format!("leases were not renewed: {error}"));
            }
        }));
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
        let rate = &mut self.counters.rate;
        let fresh = (self.counters.committed - rate.at_last_tick) as f64 / TICK.as_secs_f64();
        rate.per_second = if rate.per_second == 0.0 { fresh } else { 0.7 * rate.per_second + 0.3 * fresh };
        if rate.per_second < 0.05 {
            rate.per_second = 0.0;
        }
        rate.at_last_tick = self.counters.committed;
    }

    /// Gives back jobs that no worker has begun.
    fn give_back(&mut self, context: &mut Context<Self>) {
        let unbegun = self.ready.drain();
        self.release(unbegun, context);
    }

    /// A target that has become slow holds more of a sweep than it should: what
    /// is urgent may be among it, and is claimed again in its new place.
    fn give_back_excess(&mut self, context: &mut Context<Self>) {
        let most = self.credits();
        if self.ready.len() > 2 * most {
            let excess = self.ready.take_swept(most);
            self.more = true;
            self.release(excess, context);
        }
    }

    fn release(&mut self, mut unbegun: Vec<Arc<Job>>, context: &mut Context<Self>) {
        let mut waiting = Vec::new();
        for job in &unbegun {
            waiting.extend(self.mailboxes.finish(job.claimed.subject.id));
            self.leased.remove(&job.claimed.subject.id);
        }
        unbegun.append(&mut waiting);
        let fences: Vec<(i64, i64)> =
            unbegun.iter().map(|job| (job.claimed.subject.id.0, job.claimed.fence)).collect();
        if fences.is_empty() {
            return;
        }
        let (db, id) = (self.deps.db.clone(), self.runtime.target.id);
        let release = async move {
            db.run(Pool::Engine, move |connection| claim::release(connection, id, &fences)).await
        };
        context.wait(release.into_actor(self).map(|released, target, _| {
            if let Err(error) = released {
                log::warn!("target {} could not give work back: {error}", target.runtime.target.id);
            }
        }));
    }
}

/// How many rows to claim.
#[derive(Debug, Clone, Copy)]
struct Room {
    all: usize,
    /// Of these, so many may be a sweep's.
    swept: usize,
}

struct Claims {
    /// What is to be done, planned by the settings that the guard has judged by.
    rows: Vec<Planned>,
    /// Rows that were due, held ones included.
    claimed: usize,
    /// Where the next claim may begin.
    passed: Passed,
    /// When the next row falls due, if fewer rows were due than asked for.
    next_due: Option<Duration>,
    /// Targets that need no longer wait for this one.
    woken: Vec<TargetId>,
}

/// With `known`, gives back first what is leased to this node and not known to it.
async fn claim_work(
    deps: Deps,
    runtime: Arc<Runtime>,
    room: Room,
    passed: Passed,
    known: Option<Vec<SubjectId>>,
) -> Result<Claims, DbError> {
    let node = deps.settings.node.clone();
    deps.db
        .run(Pool::Engine, move |connection| {
            if let Some(known) = known {
                claim::release_unknown(connection, runtime.target.id, &node, &known)?;
            }
            let now = Utc::now();
            let intake = Intake {
                target: &runtime.target,
                node: &node,
                limit: room.all,
                most_swept: room.swept,
                lease: WORK_LEASE.as_secs_f64(),
                policy: &runtime.guard,
                passed,
                gated: !runtime.links.is_empty(),
            };
            let Admitted { rows, claimed, passed, woken } =
                claim_guarded(connection, intake, |claimed| plan(&runtime, claimed, now))?;
            let next_due = match claimed < room.all && room.swept >= room.all {
                true => claim::next_due(connection, runtime.target.id, passed)?,
                false => None,
            };
            // Never at once: a row that is due and was skipped is locked by a
            // writer, which wakes the target when it has committed.
            let next_due = next_due.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.02, 3_600.0)));
            Ok(Claims { rows, claimed, passed, next_due, woken })
        })
        .await
}

impl Actor for TargetSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let me = context.address();
        let (db, id) = (self.deps.db.clone(), self.runtime.target.id);
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
        self.runtime.hosts.stop();
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
        self.paused = runtime.target.paused;
        if !self.paused {
            runtime.hosts.allow();
        }
        self.health.reload(&self.runtime, &runtime);
        self.runtime = runtime;
        self.staff(context);
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
            self.runtime.hosts.allow();
            self.hand_out();
        } else {
            log::warn!("target {} stops its runs: its ownership cannot be renewed", self.runtime.target.id);
            self.runtime.hosts.stop();
        }
    }
}

impl Handler<Observe> for TargetSupervisor {
    type Result = MessageResult<Observe>;

    fn handle(&mut self, _: Observe, _: &mut Self::Context) -> Self::Result {
        MessageResult(ObservableState {
            paused: self.paused,
            draining: self.draining,
            workers: self.most_workers(),
            busy: self.workers.iter().filter(|slot| slot.job.is_some()).count(),
            ready: self.ready.len(),
            leased: self.leased.len(),
            claimed: self.counters.claimed,
            committed: self.counters.committed,
            breaker: self.health.view(),
            per_second: self.counters.rate.per_second,
            worker_restarts: self.counters.worker_restarts,
            logic_version: self.runtime.logic_version,
            hosts: self.runtime.hosts.observe(),
            last_error: self.counters.last_error.clone(),
        })
    }
}

impl Handler<StopRuns> for TargetSupervisor {
    type Result = ();

    fn handle(&mut self, _: StopRuns, context: &mut Self::Context) {
        self.paused = true;
        self.give_back(context);
        self.runtime.hosts.stop();
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
