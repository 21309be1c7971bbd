//! One import, from its first batch to its answer.

use std::sync::Arc;

use actix_web::web;

use super::lines::RawLine;
use super::set_aside::SetAside;
use super::summary::{LineError, Summary};
use super::understand::understand;
use crate::api::ApiState;
use crate::domain::ids::StoreId;
use crate::http::Problem;
use crate::storage::import::{self, BadLine, BatchResult, Import, Keys};
use crate::storage::{Db, Pool};

/// An import that runs. Dropping it forgets what it has noted, also when the
/// sender hangs up.
pub(super) struct Session {
    state: web::Data<ApiState>,
    noted: Noted,
    summary: Summary,
    set_aside: SetAside,
    /// Whom the lines that were set aside name.
    spared: Vec<Keys>,
    /// Some lines have waited for user names.
    some_wait: bool,
    /// So many new accounts later the planner is told.
    take_stock_at: u64,
}

/// From its first large batch on, an import has the statistics renewed whenever
/// it has made this many times as many accounts.
const GROWTH: u64 = 4;

impl Session {
    /// Begins an import into a store.
    pub(super) async fn begin(
        state: web::Data<ApiState>,
        store: StoreId,
        set_aside: SetAside,
    ) -> Result<Self, Problem> {
        let import = state.run(move |connection| import::begin(connection, store)).await?;
        let noted = Noted { db: state.db.clone(), import };
        Ok(Self {
            state,
            noted,
            summary: Summary::default(),
            set_aside,
            spared: Vec::new(),
            some_wait: false,
            take_stock_at: import::MAX_BATCH as u64,
        })
    }

    /// Reads and writes a batch of lines, away from the reactor.
    pub(super) async fn write(&mut self, batch: Vec<RawLine>) -> Result<(), Problem> {
        let import = self.noted.import;
        let work = move |connection: &mut _| {
            let (lines, bad) = understand(batch);
            Ok::<_, Problem>((import::batch(connection, import, &lines)?, bad))
        };
        let (result, bad) = self.state.run(work).await?;
        bad.into_iter().for_each(|error| self.fail(error));
        self.take_in(result);
        if self.summary.created() >= self.take_stock_at {
            self.take_stock_at = self.summary.created() * GROWTH;
            if let Err(error) = self.state.db.run(Pool::Api, import::take_stock).await {
                log::warn!("statistics were not renewed in the middle of an import: {error}");
            }
        }
        Ok(())
    }

    /// Writes what has waited for user names, as far as it can.
    pub(super) async fn finish(&mut self) -> Result<(), Problem> {
        let leaving = self.settle().await?;
        self.fail_all(leaving);
        Ok(())
    }

    /// The same, and deletes the accounts that no line named, unless the guard
    /// objects: these leave first, for lines may wait for their names.
    pub(super) async fn finish_and_delete(&mut self, confirmed: bool) -> Result<(), Problem> {
        let leaving = self.settle().await?;
        self.spare().await?;
        let (import, guard) = (self.noted.import, self.state.limits.guard.guard);
        let missing = self.state.run(move |connection| import::missing(connection, import)).await?;
        if let Some(reason) = self.summary.objection(leaving.len(), missing, &guard, confirmed) {
            self.fail_all(leaving);
            return Err(self.summary.clone().refuse(reason, missing, &guard));
        }
        self.delete_missing().await?;
        let stuck = self.settle().await?;
        self.fail_all(stuck);
        Ok(())
    }

    async fn delete_missing(&mut self) -> Result<(), Problem> {
        let (import, policy) = (self.noted.import, self.state.limits.guard);
        let judge = move |connection: &mut _| import::judge_missing(connection, import, &policy);
        let verdicts = Arc::new(self.state.run(judge).await?);
        loop {
            let verdicts = verdicts.clone();
            let delete = move |connection: &mut _| import::delete_missing(connection, import, &verdicts);
            let deletion = self.state.run(delete).await?;
            self.state.wake(&deletion.nudge);
            self.summary.deleted(deletion.deleted);
            if deletion.exhausted {
                return Ok(());
            }
        }
    }

    /// Writes the lines that wait and whose names are free by now. Returns those
    /// whose names would be free if the missing accounts were deleted.
    async fn settle(&mut self) -> Result<Vec<BadLine>, Problem> {
        if !self.some_wait {
            return Ok(Vec::new());
        }
        self.spare().await?;
        let import = self.noted.import;
        let waiting = self.state.run(move |connection| import::waiting(connection, import)).await?;
        for numbers in waiting.batches {
            let settle = move |connection: &mut _| import::settle(connection, import, &numbers);
            let result = self.state.run(settle).await?;
            self.take_in(result);
        }
        self.fail_all(waiting.stuck);
        Ok(waiting.leaving)
    }

    /// Notes whom the lines that were set aside name.
    async fn spare(&mut self) -> Result<(), Problem> {
        let spared = std::mem::take(&mut self.spared);
        let mut external_ids: Vec<String> = self.set_aside.keys().cloned().collect();
        let mut user_names = external_ids.clone();
        for keys in spared {
            external_ids.extend(keys.external_id);
            user_names.extend(keys.user_name);
        }
        if external_ids.is_empty() && user_names.is_empty() {
            return Ok(());
        }
        let import = self.noted.import;
        self.state.run(move |connection| import::spare(connection, import, &external_ids, &user_names)).await
    }

    fn take_in(&mut self, mut result: BatchResult) {
        self.state.wake(&result.nudge);
        self.some_wait |= result.waiting > 0;
        self.fail_all(std::mem::take(&mut result.bad));
        self.summary.add(&result);
    }

    fn fail_all(&mut self, bad: Vec<BadLine>) {
        bad.into_iter().for_each(|bad| self.fail(bad.into()));
    }

    fn fail(&mut self, error: LineError) {
        let set_aside = self.set_aside.covers(error.line(), error.keys());
        if set_aside {
            self.spared.push(error.keys().clone());
        }
        self.summary.fail(error, set_aside, self.state.limits.import_errors);
    }

    /// What it did.
    pub(super) fn summary(&self) -> Summary {
        self.summary.clone().sorted()
    }
}

/// The notes that an import keeps in the database while it runs.
struct Noted {
    db: Db,
    import: Import,
}

impl Drop for Noted {
    fn drop(&mut self) {
        let (db, import) = (self.db.clone(), self.import);
        // Without a runtime the daemon is ending; the notes outlive it harmlessly.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let forgotten = db.run(Pool::Api, move |connection| import::finish(connection, import)).await;
            if let Err(error) = forgotten {
                log::warn!("the notes of an import stay in the database: {error}");
            }
        });
    }
}
