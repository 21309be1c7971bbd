//! A dry run for one subject.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::act::{Act, act};
use super::case::{Case, Who, Wish};
use super::record::{Record, Trial};
use super::report::Report;
use super::stage::Stage;
use super::{Logic, TrialError, Trials};
use crate::domain::ids::TargetId;
use crate::egress::{DryRun, Egress};
use crate::engine::context::context;
use crate::engine::surroundings::Surroundings;
use crate::storage::dry_runs::Kind;
use crate::storage::{DbError, Pool, trial};

/// A dry run whose logic is loaded. Dropping it, or its future, ends everything.
pub struct DryRunReady {
    around: Surroundings,
    egress: Arc<Egress>,
    stage: Stage,
    case: Case,
    wish: Wish,
    record: Record,
    _turn: OwnedSemaphorePermit,
}

impl Trials {
    /// Gets everything ready for a dry run.
    ///
    /// # Errors
    /// A [`TrialError`] when it cannot begin; whatever logic does is no error.
    pub async fn dry_run(
        &self,
        target: TargetId,
        logic: Logic,
        who: Who,
        wish: Wish,
    ) -> Result<DryRunReady, TrialError> {
        let turn = self.turn()?;
        let around = self.surroundings(target).await?;
        let of = around.target.clone();
        let account = match who {
            Who::Account(id) => Some(id),
            Who::MadeUp(_) => None,
        };
        let found = self.deps.db.read(Pool::Api, move |connection| match who {
            Who::Account(id) => Ok::<_, DbError>(trial::situations(connection, &of, &[id])?.pop()),
            Who::MadeUp(draft) => trial::made_up(connection, &of, *draft).map(Some),
        });
        let case = Case::of(&around, found.await?.ok_or(TrialError::NoAccount)?, &wish);
        let trial = Trial { target, kind: Kind::DryRun, logic: &logic, account, run: None };
        let record = self.record(trial).await?;
        let mut stage = Stage::new(&self.deps.program, around.target.settings.limits, logic);
        stage.open().await?;
        let egress = self.deps.egress.clone();
        Ok(DryRunReady { around, egress, stage, case, wish, record, _turn: turn })
    }
}

impl DryRunReady {
    /// Runs logic and reports, as JSON.
    pub async fn run(mut self) -> Value {
        let origin = self.stage.logic.origin;
        let report = if self.case.idle {
            Report::not_run(&self.case, origin).json()
        } else {
            let way_out = (&*self.egress, &self.record);
            let act = rehearse(&self.around, way_out, &mut self.stage, &self.case, &self.wish).await;
            Report::of(&self.case, origin, act).json()
        };
        self.record.finish().await;
        report
    }
}

/// One run in which reads are sent and writes are not.
pub(super) async fn rehearse(
    around: &Surroundings,
    (egress, record): (&Egress, &Record),
    stage: &mut Stage,
    case: &Case,
    wish: &Wish,
) -> Act {
    let session = egress.session(around.egress.clone());
    let tape = Arc::new(DryRun::new(session, wish.script.clone(), wish.reads));
    let context = context(around, &case.job).unwrap_or_else(|error| {
        log::error!("the context of a dry run cannot be written: {error}");
        "{}".to_owned()
    });
    act(stage, case, context, around, (tape, record)).await
}
