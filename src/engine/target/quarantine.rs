//! What the breaker means for a target's work: how much is claimed and started,
//! what is given back, and that it is written down.

use std::time::{Duration, Instant};

use actix::prelude::*;

use super::TargetSupervisor;
use super::intake::{MOST_AHEAD, REST};
use super::messages::Wake;
use crate::storage::{Pool, breakers};

/// Rows that any target claims ahead of its workers.
const SPARE: usize = 4;
/// How far ahead of its workers a fast target claims.
const AHEAD: Duration = Duration::from_millis(100);

impl TargetSupervisor {
    /// Whether the breaker lets another job start.
    pub(super) fn may_start(&self) -> bool {
        let allowed = self.health.allowance();
        allowed >= self.most_workers()
            || self.workers.iter().filter(|slot| slot.job.is_some()).count() < allowed
    }

    /// Rows that may be claimed and uncommitted at one time: enough to keep
    /// the workers busy over a claim and a commit, and no more: what is claimed
    /// stands in its place when something urgent comes. A target that is fast
    /// gets more, so that its batches are large. In quarantine the
    /// probe's alone, and none while it waits for its time.
    pub(super) fn credits(&self) -> usize {
        let allowed = self.health.allowance();
        match allowed {
            0 => 0,
            _ if self.health.is_quarantined() => 1,
            _ if allowed < self.most_workers() => allowed + SPARE,
            _ => self.most_workers() + SPARE + self.pace.within(AHEAD, MOST_AHEAD, Instant::now()),
        }
    }

    /// Comes back when the breaker may let something start.
    pub(super) fn wait_for_breaker(&self) {
        let wait = self.health.wait();
        if !wait.is_zero() {
            self.arm(Some(wait));
        }
    }

    /// After anything that may have moved the breaker: gives unbegun work back
    /// while nothing may start, and writes the breaker down.
    pub(super) fn follow_breaker(&mut self, context: &mut Context<Self>) {
        if self.health.allowance() == 0 {
            if !self.ready.is_empty() {
                self.give_back(context);
            }
            self.wait_for_breaker();
        }
        self.keep_breaker(context);
    }

    fn keep_breaker(&mut self, context: &mut Context<Self>) {
        if self.saving {
            return;
        }
        let Some(saved) = self.health.unsaved(&self.runtime) else { return };
        let (id, name) = (self.runtime.around.target.id, &self.runtime.around.target.settings.name);
        match self.health.log_line() {
            Some(reason) => log::warn!("target {id} `{name}`: {reason}"),
            None => log::info!("target {id} `{name}` is well again"),
        }
        self.saving = true;
        let (db, node) = (self.deps.db.clone(), self.deps.settings.node.clone());
        let save = async move {
            db.run(Pool::Engine, move |connection| breakers::save(connection, id, &node, saved.as_ref()))
                .await
        };
        context.spawn(save.into_actor(self).map(|written, target, context| {
            target.saving = false;
            if let Err(error) = written {
                target.counters.last_error = Some(format!("the breaker was not written down: {error}"));
                target.health.not_saved();
                context.run_later(REST, |target, context| target.keep_breaker(context));
                return;
            }
            target.keep_breaker(context);
            context.notify(Wake);
            target.free_neighbours(context);
        }));
    }
}
