//! Claims due work: no more than the workers can soon begin, in small batches
//! for latency and large ones under load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use chrono::Utc;

use super::super::completer::Finished;
use super::super::deps::{Deps, WORK_LEASE};
use super::super::job::{Planned, plan};
use super::super::mailbox::Delivery;
use super::super::runtime::Runtime;
use super::super::supervisor::LookRound;
use super::super::timer::Arm;
use super::TargetSupervisor;
use super::messages::Wake;
use crate::domain::ids::{SubjectId, TargetId};
use crate::storage::claim::Edition;
use crate::storage::guard::{Admitted, Intake, claim_guarded};
use crate::storage::{DbError, Passed, Pool, claim};

/// Rest after the database failed.
pub(super) const REST: Duration = Duration::from_millis(500);
/// Small claims do not follow each other faster: what comes in meanwhile joins.
const GATHER: Duration = Duration::from_millis(4);
/// So often a claim looks at the whole queue, also for what came in late.
const LOOK_AT_ALL: Duration = Duration::from_secs(5);
/// Most rows that it claims because of that.
pub(super) const MOST_AHEAD: usize = 1_500;

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
    /// What they were planned by.
    edition: Edition,
    /// The target is another one than that by now.
    stale: bool,
    /// Where the next claim may begin.
    passed: Passed,
    /// When the next row falls due, if fewer rows were due than asked for.
    next_due: Option<Duration>,
    /// Targets that need no longer wait for this one.
    woken: Vec<TargetId>,
}

impl TargetSupervisor {
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

    pub(super) fn take_in(&mut self, context: &mut Context<Self>) {
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
        log::warn!("target {} waits: {error}", self.runtime.around.target.id);
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
        // Planned by settings that a reload has replaced meanwhile.
        let outdated = claims.edition.version != self.runtime.edition().version;
        if self.paused || outdated {
            self.give_back(context);
        }
        if claims.stale {
            return self.ask_for_reload(context);
        }
        self.hand_out();
        self.follow_breaker(context);
        self.arm(claims.next_due);
        if self.more || self.woken || outdated {
            self.take_in(context);
        }
    }

    /// What is claimed and not begun was planned by what is no more. It is tried
    /// again: what changed may have changed back, and then nothing is reloaded.
    fn ask_for_reload(&mut self, context: &mut Context<Self>) {
        self.give_back(context);
        self.root.do_send(LookRound);
        context.notify_later(Wake, REST);
    }

    pub(super) fn arm(&self, delay: Option<Duration>) {
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
                claim::release_unknown(connection, runtime.around.target.id, &node, &known)?;
            }
            let now = Utc::now();
            let intake = Intake {
                target: &runtime.around.target,
                edition: runtime.edition(),
                node: &node,
                limit: room.all,
                most_swept: room.swept,
                lease: WORK_LEASE.as_secs_f64(),
                policy: &runtime.guard,
                passed,
                gated: !runtime.links.is_empty(),
            };
            let Admitted { rows, claimed, stale, passed, woken } =
                claim_guarded(connection, intake, |claimed| plan(&runtime, claimed, now))?;
            let next_due = match claimed < room.all && room.swept >= room.all {
                true => claim::next_due(connection, runtime.around.target.id, passed)?,
                false => None,
            };
            // Never at once: a row that is due and was skipped is locked by a
            // writer, which wakes the target when it has committed.
            let next_due = next_due.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.02, 3_600.0)));
            let edition = runtime.edition();
            Ok(Claims { rows, claimed, edition, stale, passed, next_due, woken })
        })
        .await
}
