//! A worker: runs one job at a time. Maximum parallel jobs is the number of
//! workers.

use std::sync::Arc;

use actix::prelude::*;
use futures_util::FutureExt;

use super::completer::{Completer, Finished};
use super::deps::Deps;
use super::health::Watch;
use super::job::{self, Job, Ran};
use super::runtime::Runtime;
use super::target::Idle;

/// Runs jobs for a target.
pub struct Worker {
    number: usize,
    deps: Deps,
    target: Recipient<Idle>,
    completer: Addr<Completer>,
}

/// A job for a worker that is idle.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Run {
    /// What to do.
    pub job: Arc<Job>,
    /// For which target.
    pub runtime: Arc<Runtime>,
    /// Tells the breaker how it ended.
    pub watch: Watch,
}

impl Worker {
    /// Worker `number` of a target.
    pub fn new(number: usize, deps: Deps, target: Recipient<Idle>, completer: Addr<Completer>) -> Self {
        Self { number, deps, target, completer }
    }
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Handler<Run> for Worker {
    type Result = ();

    fn handle(&mut self, Run { job, runtime, watch }: Run, context: &mut Self::Context) {
        if let Some(hook) = &self.deps.before_run {
            hook(job.claimed.subject.id);
        }
        let egress = self.deps.egress.clone();
        let number = self.number;
        let jitter = rand::random::<f64>();
        let work = async move {
            let run = job::run(&runtime, &egress, &job, number, jitter);
            match std::panic::AssertUnwindSafe(run).catch_unwind().await {
                Ok(Ran { mut completion, slower }) => {
                    watch.ended(&mut completion, slower);
                    completion
                }
                Err(_) => {
                    job::abandoned(&runtime, &job, "the daemon failed while it ran this job: see its log")
                }
            }
        };
        context.spawn(work.into_actor(self).map(|completion, worker, _| {
            worker.completer.do_send(Finished(completion));
            worker.target.do_send(Idle(worker.number));
        }));
    }
}
