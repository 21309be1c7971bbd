//! What handlers work with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::TargetId;
use crate::egress::Ceiling;
use crate::engine::EngineHandle;
use crate::engine::trial::Trials;
use crate::http::Problem;
use crate::http::queue::Queue;
use crate::logic::Workshop;
use crate::plan::GuardPolicy;
use crate::security::Sealer;
use crate::storage::import::MAX_BATCH;
use crate::storage::{Connection, Db, DbError, Pool};

/// Wakes the engine for targets that got work.
pub type Nudge = Arc<dyn Fn(&[TargetId]) + Send + Sync>;

/// Application data of the API.
#[derive(Clone)]
pub struct ApiState {
    /// The database.
    pub db: Db,
    /// Called after each commit with the targets that got work.
    pub nudge: Nudge,
    /// Caps.
    pub limits: ApiLimits,
    /// Turns at reads that may be dear.
    pub reads: Queue,
}

/// Caps of what a request may bring. The cap of JSON bodies is
/// [`crate::http::BodyLimit`], which a resource may override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiLimits {
    /// Bytes of one line of an import.
    pub import_line: usize,
    /// Accounts that an import may delete unasked, and the guard of targets that
    /// set none themselves.
    pub guard: GuardPolicy,
    /// Bad lines that the answer to an import describes; all are counted.
    pub import_errors: usize,
    /// How long a statement may take that only reads.
    pub longest_read: Duration,
    /// Most lines that an import writes at once.
    pub import_batch: usize,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            import_line: 1024 * 1024,
            import_errors: 1_000,
            import_batch: MAX_BATCH,
            guard: GuardPolicy::default(),
            longest_read: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl ApiState {
    /// Runs blocking database work on a connection of the API's own pool.
    ///
    /// # Errors
    /// What the work says, as a problem.
    pub async fn run<T, E, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        Problem: From<E>,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        Ok(self.db.run(Pool::Api, work).await?)
    }

    /// The same in one transaction: all of the work is done, or nothing.
    ///
    /// # Errors
    /// What the work says, as a problem.
    pub async fn change<T, E, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        Problem: From<E>,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        Ok(self.db.change(Pool::Api, work).await?)
    }

    /// Wakes the engine after a commit.
    pub fn wake(&self, targets: &[TargetId]) {
        if !targets.is_empty() {
            (self.nudge)(targets);
        }
    }
}

/// What the endpoints of targets work with besides [`ApiState`].
#[derive(Clone)]
pub struct EngineState {
    /// The engine.
    pub engine: EngineHandle,
    /// Runs logic without changing anything.
    pub trials: Trials,
    /// Where logic is built and tried.
    pub workshop: Arc<Workshop>,
    /// Turns at that.
    pub makers: Queue,
    /// Seals secrets.
    pub sealer: Arc<Sealer>,
    /// Targets that this instance may have.
    pub most_targets: i64,
    /// What no target may reach.
    pub ceiling: Arc<Ceiling>,
}
