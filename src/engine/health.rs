//! A target's breaker as its actors share it: the supervisor asks how much may
//! run, workers report how it ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;

use super::runtime::Runtime;
use crate::plan::breaker::{Basis, Breaker, BreakerView, End, Saved, Ticket, Timing};
use crate::storage::complete::Completion;

/// The breaker of one target.
pub struct Health {
    breaker: Mutex<Breaker>,
    /// Differs from what is written down.
    dirty: AtomicBool,
}

/// Goes with a run; reports its end.
pub struct Watch {
    health: Arc<Health>,
    ticket: Ticket,
}

impl Health {
    /// Goes on from what is written down about the target.
    pub fn new(runtime: &Runtime, timing: Timing) -> Self {
        let (cap, now) = (runtime.around.target.settings.max_parallel_jobs, Utc::now());
        let basis = Basis::of(&runtime.around.target);
        let breaker = match &runtime.breaker {
            Some(saved) => Breaker::restore(cap, timing, saved, basis, now),
            None => Breaker::new(cap, timing, now),
        };
        let stale = runtime.breaker.as_ref().is_some_and(|saved| saved.basis != basis);
        Self { breaker: Mutex::new(breaker), dirty: AtomicBool::new(stale) }
    }

    /// A panic elsewhere leaves the breaker as it was between two steps.
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs that may be under way now.
    pub fn allowance(&self) -> usize {
        self.breaker().allowance(Utc::now()) as usize
    }

    /// How long nothing may start.
    pub fn wait(&self) -> Duration {
        self.breaker().wait(Utc::now())
    }

    /// Nothing but probes is let through.
    pub fn is_quarantined(&self) -> bool {
        self.breaker().is_quarantined()
    }

    /// The breaker for people.
    pub fn view(&self) -> BreakerView {
        self.breaker().view()
    }

    /// The reason of its view, for the daemon's log.
    pub fn log_line(&self) -> Option<String> {
        self.breaker().log_line()
    }

    /// A run starts.
    pub fn start(self: &Arc<Self>) -> Watch {
        Watch { health: self.clone(), ticket: self.breaker().start() }
    }

    /// Takes new settings over. Whatever changed but a pause is a reason to
    /// give a quarantined target another chance.
    pub fn reload(&self, before: &Runtime, after: &Runtime) {
        self.breaker().set_cap(after.around.target.settings.max_parallel_jobs);
        let (before, after) = (Basis::of(&before.around.target), Basis::of(&after.around.target));
        if before != after {
            let mut breaker = self.breaker();
            if breaker.view().reason.is_some() {
                self.dirty.store(true, Ordering::Release);
            }
            breaker.reset(after.settings_differ(before), Utc::now());
        }
    }

    /// What to write down, if it changed since the last call.
    pub fn unsaved(&self, runtime: &Runtime) -> Option<Option<Saved>> {
        let dirty = self.dirty.swap(false, Ordering::AcqRel);
        dirty.then(|| self.breaker().saved(Basis::of(&runtime.around.target)))
    }

    /// It could not be written down.
    pub fn not_saved(&self) {
        self.dirty.store(true, Ordering::Release);
    }
}

impl Watch {
    /// Reports a run's end. In quarantine a failure that it explains costs the
    /// account no attempt: it stays due. `slower` is for how much longer the remote
    /// asked to go slower, if it did, in answer to any of the calls.
    pub fn ended(self, completion: &mut Completion, slower: Option<Duration>) {
        let Some(run) = &completion.run else { return };
        let conclusion = &mut completion.conclusion;
        let end = End {
            subject: completion.subject,
            class: conclusion.error_class,
            neutral: conclusion.error_class.is_none() && !conclusion.done,
            retry_after: conclusion.retry_after,
            slower,
            message: &conclusion.message,
        };
        let now = Utc::now();
        let effect = self.health.breaker().ended(self.ticket, &end, now);
        if effect.give_back {
            conclusion.give_attempt_back(run.reason, run.trigger, run.attempt, now);
        }
        if effect.changed {
            self.health.dirty.store(true, Ordering::Release);
        }
    }
}
