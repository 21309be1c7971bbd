//! What is claimed for a target: kept while it runs, given back when it does
//! not begin.

use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;

use super::super::deps::WORK_LEASE;
use super::super::job::Job;
use super::TargetSupervisor;
use crate::storage::{Pool, claim};

impl TargetSupervisor {
    pub(super) fn renew_leases(&mut self, context: &mut Context<Self>) {
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
        let (db, id) = (self.deps.db.clone(), self.runtime.around.target.id);
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

    /// Gives back jobs that no worker has begun.
    pub(super) fn give_back(&mut self, context: &mut Context<Self>) {
        let unbegun = self.ready.drain();
        self.release(unbegun, context);
    }

    /// A target that has become slow holds more of a sweep than it should: what
    /// is urgent may be among it, and is claimed again in its new place.
    pub(super) fn give_back_excess(&mut self, context: &mut Context<Self>) {
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
        let (db, id) = (self.deps.db.clone(), self.runtime.around.target.id);
        let release = async move {
            db.run(Pool::Engine, move |connection| claim::release(connection, id, &fences)).await
        };
        context.wait(release.into_actor(self).map(|released, target, _| {
            if let Err(error) = released {
                log::warn!("target {} could not give work back: {error}", target.runtime.around.target.id);
            }
        }));
    }
}
