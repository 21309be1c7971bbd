//! The workers of a target: as many as it may run jobs at a time.

use std::sync::Arc;

use actix::prelude::*;

use super::super::completer::Finished;
use super::super::job::{Job, abandoned};
use super::super::worker::{Run, Worker};
use super::TargetSupervisor;

/// A worker and what it is at.
pub(super) struct Slot {
    pub worker: Addr<Worker>,
    pub job: Option<Arc<Job>>,
}

impl TargetSupervisor {
    /// Gives waiting jobs to idle workers, as many as the breaker lets start.
    pub(super) fn hand_out(&mut self) {
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
    pub(super) fn staff(&mut self, context: &mut Context<Self>) {
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
    pub(super) fn look_after_workers(&mut self, context: &mut Context<Self>) {
        for number in 0..self.workers.len() {
            if self.workers[number].worker.connected() {
                continue;
            }
            let Some(slot) = self.new_worker(number, context) else { return };
            let dead = std::mem::replace(&mut self.workers[number], slot);
            self.counters.worker_restarts += 1;
            log::error!("worker {number} of target {} died and was replaced", self.runtime.around.target.id);
            if let Some(job) = dead.job {
                let message = "the daemon failed while it ran this job: see its log";
                self.complete(Finished(abandoned(&self.runtime, &job, message)));
            }
            self.idle.push(number);
        }
        self.hand_out();
    }
}
