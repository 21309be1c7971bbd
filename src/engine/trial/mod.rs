//! Logic that runs without changing anything: a dry run for one account, a plan
//! for many, a replay of a run that failed.
//!
//! Everything goes the way of a real run (the same context, the same rules for
//! what goes out, the same conclusion), except that nothing is claimed and
//! nothing is written but a record of it: the rest of the database is read in
//! transactions that cannot write. Logic
//! runs in hosts of its own, with the limits of its target and behind everything
//! else that wants CPU, a few at a time for the whole instance.
//!
//! | file | holds |
//! |---|---|
//! | `case.rs` | a subject and a wish become a job |
//! | `stage.rs` | a host for one piece of logic |
//! | `act.rs` | one run, and what it comes to |
//! | `report.rs`, `diff.rs` | that, for people |
//! | `dry_run.rs` | one subject |
//! | `cohort.rs`, `progress.rs` | many subjects |
//! | `judge.rs`, `summary.rs` | what is found of them, and draft beside published |
//! | `plans.rs` | plans that go on in the background |
//! | `replay.rs` | a failed run again, offline |
//! | `record.rs` | what remains of all of it |

mod act;
mod case;
mod cohort;
mod diff;
mod dry_run;
mod judge;
mod plans;
mod progress;
mod record;
mod replay;
mod report;
mod stage;
mod summary;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::deps::Deps;
use super::runtime::RuntimeError;
use super::surroundings::Surroundings;
use crate::domain::ids::TargetId;
use crate::js::{Code, StartError};
use crate::storage::targets::{self, TargetError};
use crate::storage::{DbError, Pool};

pub use case::{Previous, Who, Wish};
pub use cohort::{CohortRun, Size};
pub use dry_run::DryRunReady;
pub use plans::{PlanId, PlanView};
pub use record::Asker;
pub use replay::ReplayReady;
pub use report::Origin;

/// Runs that are not real, at one time, in the whole instance.
const AT_A_TIME: usize = 4;

/// Logic to be tried.
#[derive(Debug, Clone)]
pub struct Logic {
    /// What a host loads.
    pub code: Code,
    /// Where it comes from.
    pub origin: Origin,
    /// What its author wrote; `None` for a published version, which stays.
    pub written: Option<String>,
}

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// Too many are being tried already.
    #[error("{AT_A_TIME} runs are being tried already: try again in a moment")]
    Busy,
    /// The target is gone.
    #[error("there is no such target")]
    NoTarget,
    /// A setting or a secret of the target is bad.
    #[error("{0}")]
    Bad(String),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The store of the target has no such account.
    #[error("the target's store has no such account")]
    NoAccount,
    /// The logic cannot be loaded.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The external system is not well.
    #[error("{0}")]
    Quarantined(String),
    /// What was kept of the run cannot be used.
    #[error("{0}")]
    Recording(String),
    /// A plan of the target is going on.
    #[error("a plan of this target is going on: wait for it or cancel it")]
    Planning,
}

impl From<RuntimeError> for TrialError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Db(error) => Self::Db(error),
            RuntimeError::Gone => Self::NoTarget,
            RuntimeError::Bad(what) => Self::Bad(what),
        }
    }
}

/// The place where logic is tried. Cheap to clone.
#[derive(Clone)]
pub struct Trials {
    deps: Deps,
    turns: Arc<Semaphore>,
    plans: Arc<plans::Plans>,
    by: Option<Asker>,
}

impl Trials {
    /// Nothing is started before it is asked for.
    pub fn new(deps: Deps) -> Self {
        Self { deps, turns: Arc::new(Semaphore::new(AT_A_TIME)), plans: Arc::default(), by: None }
    }

    /// The same, for somebody whose doings are written down.
    #[must_use]
    pub fn asked_by(&self, asker: Asker) -> Self {
        Self { by: Some(asker), ..self.clone() }
    }

    /// A turn, if one is free.
    fn turn(&self) -> Result<OwnedSemaphorePermit, TrialError> {
        self.turns.clone().try_acquire_owned().map_err(|_| TrialError::Busy)
    }

    /// Up to `wanted` turns, at least one.
    fn turns(&self, wanted: usize) -> Result<Vec<OwnedSemaphorePermit>, TrialError> {
        let mut turns = vec![self.turn()?];
        turns.extend((1..wanted).map_while(|_| self.turn().ok()));
        Ok(turns)
    }

    async fn surroundings(&self, id: TargetId) -> Result<Surroundings, TrialError> {
        let found = self.deps.db.read(Pool::Api, move |connection| {
            let target = targets::find(connection, id).map_err(|error| match error {
                TargetError::Db(error) => RuntimeError::Db(error),
                _ => RuntimeError::Gone,
            })?;
            Ok::<_, RuntimeError>((target, targets::secrets(connection, id)?))
        });
        let (target, secrets) = found.await?;
        Ok(Surroundings::new(&self.deps, target, &secrets, None)?)
    }
}
