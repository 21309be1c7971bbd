//! Dry runs for many subjects: what a draft would do for them, and where the
//! published version would do something else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::case::{Case, Wish};
use super::dry_run::rehearse;
use super::progress::{Progress, State, Tried};
use super::record::{Record, Trial};
use super::stage::Stage;
use super::{Logic, TrialError, Trials};
use crate::domain::ids::{SubjectId, TargetId};
use crate::engine::surroundings::Surroundings;
use crate::storage::dry_runs::Kind;
use crate::storage::trial::{self, Situation};
use crate::storage::{DbError, Pool, breakers};

/// Runs of a sample, at one time; never more than the target may have.
const LANES_OF_SAMPLE: usize = 4;
/// Runs of a plan for all, at one time: others want to try something meanwhile.
const LANES_OF_ALL: usize = 2;
/// How long a sample is tried; then it says how far it came.
const PATIENCE: Duration = Duration::from_secs(120);
/// Subjects read at a time.
const PAGE: i64 = 100;

/// How many subjects are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// At most so many, spread over all.
    Sample(i64),
    /// All of them.
    All,
}

/// Where one subject after the other is tried.
struct Lane {
    draft: Stage,
    published: Option<Stage>,
}

/// A cohort whose logic is loaded. Dropping it, or its future, ends everything.
pub struct CohortRun {
    trials: Trials,
    around: Arc<Surroundings>,
    wish: Wish,
    /// The sample; `None` for all.
    ids: Option<Vec<SubjectId>>,
    lanes: Mutex<Vec<Lane>>,
    parallel: usize,
    pub(super) progress: Arc<Progress>,
    record: Record,
    _turns: Vec<OwnedSemaphorePermit>,
}

impl Trials {
    /// Gets everything ready to try `draft`, and `published` beside it.
    ///
    /// # Errors
    /// A [`TrialError`] when it cannot begin; whatever logic does is no error.
    pub async fn cohort(
        &self,
        target: TargetId,
        draft: Logic,
        published: Option<Logic>,
        size: Size,
        wish: Wish,
    ) -> Result<CohortRun, TrialError> {
        let around = Arc::new(self.surroundings(target).await?);
        let most = if size == Size::All { LANES_OF_ALL } else { LANES_OF_SAMPLE };
        let turns = self.turns(most.min(around.target.settings.max_parallel_jobs as usize))?;
        if wish.reads {
            self.refuse_quarantined(&around).await?;
        }
        let (of, filter) = (around.target.clone(), around.filter.clone());
        let found = self.deps.db.read(Pool::Api, move |connection| {
            let among = trial::count(connection, &of, &filter)?;
            let ids = match size {
                Size::Sample(size) => Some(trial::sample(connection, &of, &filter, among, size)?),
                Size::All => None,
            };
            Ok::<_, DbError>((among, ids))
        });
        let (among, ids) = found.await?;
        let kind = if size == Size::All { Kind::Plan } else { Kind::Sample };
        let trial = Trial { target, kind, logic: &draft, account: None, run: None };
        let record = self.record(trial).await?;
        let (logic, against) = (draft.origin, published.as_ref().map(|logic| logic.origin));
        let progress = Progress::new(logic, against, among.staying + among.leaving);
        let stage = |logic| Stage::new(&self.deps.program, around.target.settings.limits, logic);
        let lane = |_: &_| Lane { draft: stage(draft.clone()), published: published.clone().map(stage) };
        let mut lanes: Vec<Lane> = turns.iter().map(lane).collect();
        lanes[0].open().await?;
        Ok(CohortRun {
            trials: self.clone(),
            around,
            wish,
            ids,
            parallel: lanes.len(),
            lanes: Mutex::new(lanes),
            progress: Arc::new(progress),
            record,
            _turns: turns,
        })
    }

    async fn refuse_quarantined(&self, around: &Surroundings) -> Result<(), TrialError> {
        let id = around.target.id;
        let saved = self.deps.db.read(Pool::Api, move |connection| breakers::load(connection, id)).await?;
        let view = saved.and_then(|saved| saved.view(&around.target));
        match view.and_then(|view| view.why_waiting(chrono::Utc::now())) {
            Some(why) => Err(TrialError::Quarantined(format!("a plan {why}; `reads: false` asks nobody"))),
            None => Ok(()),
        }
    }
}

impl Lane {
    async fn open(&mut self) -> Result<(), TrialError> {
        self.draft.open().await?;
        if let Some(published) = &mut self.published {
            published.open().await?;
        }
        Ok(())
    }
}

impl CohortRun {
    /// Tries the sample, for as long as somebody can be kept waiting, and reports
    /// as JSON.
    pub async fn run(self) -> Value {
        if tokio::time::timeout(PATIENCE, self.go()).await.is_err() {
            let reason = format!("it took longer than {} s; begin a plan for more", PATIENCE.as_secs());
            self.progress.end(State::Stopped, Some(reason));
            self.record.finish().await;
        }
        self.progress.json()
    }

    /// Tries everybody.
    pub(super) async fn go(&self) {
        let mut after = SubjectId(0);
        let ended = loop {
            match self.next(&mut after).await {
                Ok(batch) if batch.is_empty() => break Ok(()),
                Ok(batch) => {
                    if let Err(reason) = self.try_all(batch).await {
                        break Err(reason);
                    }
                }
                Err(error) => break Err(format!("the accounts cannot be read: {error}")),
            }
        };
        match ended {
            Ok(()) => self.progress.end(State::Finished, None),
            Err(reason) => self.progress.end(State::Stopped, Some(reason)),
        }
        self.record.finish().await;
    }

    /// The next subjects, and `after` which ones.
    async fn next(&self, after: &mut SubjectId) -> Result<Vec<Situation>, DbError> {
        let (around, beyond) = (self.around.clone(), *after);
        let some = self
            .ids
            .as_ref()
            .map(|ids| ids.iter().copied().filter(|id| *id > beyond).take(PAGE as usize).collect::<Vec<_>>());
        let found = self.trials.deps.db.read(Pool::Api, move |connection| {
            let target = &around.target;
            let ids = match some {
                Some(ids) => ids,
                None => trial::page(connection, target, &around.filter, beyond, PAGE)?,
            };
            let last = ids.last().copied();
            Ok::<_, DbError>((trial::situations(connection, target, &ids)?, last))
        });
        let (batch, last) = found.await?;
        *after = last.unwrap_or(beyond);
        Ok(batch)
    }

    async fn try_all(&self, batch: Vec<Situation>) -> Result<(), String> {
        let tries = stream::iter(batch).map(|situation| self.try_one(situation));
        let mut tried = std::pin::pin!(tries.buffer_unordered(self.parallel));
        while let Some(tried) = tried.next().await {
            self.progress.note(&tried?)?;
        }
        Ok(())
    }

    async fn try_one(&self, situation: Situation) -> Result<Tried, String> {
        let case = Case::of(&self.around, situation, &self.wish);
        if case.idle {
            return Ok(Tried { case, draft: None, published: None });
        }
        // There are as many lanes as subjects that are tried at a time.
        let mut lane = self.lanes().pop().ok_or("there is no host left to try accounts in")?;
        let egress = (&*self.trials.deps.egress, &self.record);
        let draft = rehearse(&self.around, egress, &mut lane.draft, &case, &self.wish).await;
        let published = match &mut lane.published {
            Some(stage) => Some(rehearse(&self.around, egress, stage, &case, &self.wish).await),
            None => None,
        };
        self.lanes().push(lane);
        Ok(Tried { case, draft: Some(draft), published })
    }

    fn lanes(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
