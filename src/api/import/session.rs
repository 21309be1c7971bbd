//! One import, from its first batch to its answer.

use std::sync::Arc;

use actix_web::web;

use super::lines::RawLine;
use super::summary::{LineError, Summary};
use crate::api::ApiState;
use crate::api::subject_json::AccountBody;
use crate::domain::ids::StoreId;
use crate::http::Problem;
use crate::http::json::{self, BadJsonText};
use crate::storage::import::{self, BadLine, Import, Line};
use crate::storage::{Db, Pool};

/// An import that runs. Dropping it forgets what it has noted, also when the
/// sender hangs up.
pub(super) struct Session {
    state: web::Data<ApiState>,
    noted: Noted,
    summary: Summary,
    /// So many new accounts later the planner is told.
    take_stock_at: u64,
}

/// From its first large batch on, an import has the statistics renewed whenever
/// it has made this many times as many accounts.
const GROWTH: u64 = 4;

impl Session {
    /// Begins an import into a store.
    pub(super) async fn begin(state: web::Data<ApiState>, store: StoreId) -> Result<Self, Problem> {
        let import = state.run(move |connection| import::begin(connection, store)).await?;
        let noted = Noted { db: state.db.clone(), import };
        Ok(Self { state, noted, summary: Summary::default(), take_stock_at: import::MAX_BATCH as u64 })
    }

    /// Reads and writes a batch of lines, away from the reactor.
    pub(super) async fn write(&mut self, batch: Vec<RawLine>) -> Result<(), Problem> {
        let import = self.noted.import;
        let work = move |connection: &mut _| {
            let (lines, bad) = understand(batch);
            Ok::<_, Problem>((import::batch(connection, import, &lines)?, bad))
        };
        let (result, bad) = self.state.run(work).await?;
        self.state.wake(&result.nudge);
        let cap = self.state.limits.import_errors;
        bad.into_iter().for_each(|error| self.summary.fail(error, cap));
        self.summary.add(result, cap);
        if self.summary.created() >= self.take_stock_at {
            self.take_stock_at = self.summary.created() * GROWTH;
            if let Err(error) = self.state.db.run(Pool::Api, import::take_stock).await {
                log::warn!("statistics were not renewed in the middle of an import: {error}");
            }
        }
        Ok(())
    }

    /// Deletes the accounts that no line named, unless the guard objects.
    pub(super) async fn delete_missing(&mut self, confirmed: bool) -> Result<(), Problem> {
        let import = self.noted.import;
        let missing = self.state.run(move |connection| import::missing(connection, import)).await?;
        if let Some(problem) = self.summary.objection(missing, &self.state.limits.guard.guard, confirmed) {
            return Err(problem);
        }
        let policy = self.state.limits.guard;
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

    /// What it did.
    pub(super) fn summary(&self) -> Summary {
        self.summary.clone().sorted()
    }
}

/// Reads lines as accounts.
fn understand(batch: Vec<RawLine>) -> (Vec<Line>, Vec<LineError>) {
    let (mut lines, mut bad) = (Vec::with_capacity(batch.len()), Vec::new());
    for RawLine { number, text } in batch {
        let Some(text) = text else {
            bad.push(LineError::new(number, "is longer than a line may be"));
            continue;
        };
        match account(&text) {
            Ok(body) => lines.push(Line { number, draft: body.into() }),
            Err(BadJsonText::Syntax(message)) => {
                // Each line is a text of its own, whose first line it is.
                let message = message.replace(" at line 1 column ", " at column ");
                bad.push(LineError::new(number, format!("not JSON: {message}")));
            }
            Err(BadJsonText::Rule(error)) => bad.push(BadLine { number, error }.into()),
        }
    }
    (lines, bad)
}

fn account(text: &[u8]) -> Result<AccountBody, BadJsonText> {
    let body: AccountBody = json::read(text)?;
    match body.claimed().into_iter().next() {
        Some(error) => Err(BadJsonText::Rule(error)),
        None => Ok(body),
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
