//! The sweeper of a target: advances its open sweeps chunk by chunk. All state
//! is in the database, so it resumes where a crash left it.

use std::time::Duration;

use actix::prelude::*;

use super::target::Wake;
use crate::domain::ids::{SweepId, TargetId};
use crate::plan::GuardPolicy;
use crate::storage::{Connection, Db, DbError, Pool, former_names, gate, sweeps, targets};

/// Rest after a failure.
const REST: Duration = Duration::from_secs(1);

/// Advances sweeps.
pub struct Sweeper {
    db: Db,
    target: TargetId,
    /// The instance's.
    guard: GuardPolicy,
    wakes: Recipient<Wake>,
    busy: bool,
    /// Asked while busy: a sweep may have been started after the look.
    again: bool,
}

/// Look for open sweeps.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Sweep;

/// Look after work that has waited long for other targets or accounts.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Recheck;

/// Seconds after which such work is looked at again without being woken.
const LONG: f64 = 60.0;

impl Sweeper {
    /// A sweeper that wakes `wakes` after each chunk; `guard` is the instance's.
    pub fn new(db: Db, target: TargetId, guard: GuardPolicy, wakes: Recipient<Wake>) -> Self {
        Self { db, target, guard, wakes, busy: false, again: false }
    }
}

impl Actor for Sweeper {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.notify(Sweep);
    }
}

/// What a step found.
enum Step {
    Nothing,
    Advanced,
}

impl Handler<Sweep> for Sweeper {
    type Result = ();

    fn handle(&mut self, _: Sweep, context: &mut Self::Context) {
        if self.busy {
            self.again = true;
            return;
        }
        (self.busy, self.again) = (true, false);
        let (target, guard) = (self.target, self.guard);
        let db = self.db.clone();
        let step =
            async move { db.run(Pool::Engine, move |connection| step(connection, target, guard)).await };
        context.spawn(step.into_actor(self).map(|step, sweeper, context| {
            sweeper.busy = false;
            match step {
                Ok(Step::Nothing) if sweeper.again => context.notify(Sweep),
                Ok(Step::Nothing) => {}
                Ok(Step::Advanced) => {
                    sweeper.wakes.do_send(Wake);
                    context.notify(Sweep);
                }
                Err(error) => {
                    log::warn!("the sweep of target {} waits: {error}", sweeper.target);
                    context.notify_later(Sweep, REST);
                }
            }
        }));
    }
}

impl Handler<Recheck> for Sweeper {
    type Result = ();

    fn handle(&mut self, _: Recheck, context: &mut Self::Context) {
        let (db, target) = (self.db.clone(), self.target);
        let recheck =
            async move { db.run(Pool::Engine, move |connection| recheck(connection, target)).await };
        context.spawn(recheck.into_actor(self).map(|found, sweeper, _| match found {
            Ok(true) => sweeper.wakes.do_send(Wake),
            Ok(false) => {}
            Err(error) => log::warn!("waiting work of target {} was not looked at: {error}", sweeper.target),
        }));
    }
}

fn recheck(connection: &mut Connection, target: TargetId) -> Result<bool, DbError> {
    former_names::forget(connection, target)?;
    gate::recheck(connection, target, LONG)
}

fn step(connection: &mut Connection, target: TargetId, guard: GuardPolicy) -> Result<Step, DbError> {
    let Some(sweep) = sweeps::open(connection, target)?.into_iter().next() else { return Ok(Step::Nothing) };
    let target = match targets::find(connection, target) {
        Ok(target) => target,
        Err(targets::TargetError::Db(error)) => return Err(error),
        Err(_) => return Ok(Step::Nothing),
    };
    let guard = guard.with(target.settings.guard);
    sweeps::advance(connection, &target, SweepId(sweep.id), &guard)?;
    Ok(Step::Advanced)
}
