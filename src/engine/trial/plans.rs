//! Plans that go on in the background. They live in memory: a plan is looked at
//! once, and begun again after a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::task::AbortHandle;

use super::cohort::CohortRun;
use super::progress::{Progress, State};
use super::{TrialError, Trials};
use crate::domain::ids::TargetId;

/// How long a plan that has ended can be looked at.
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Most plans that are kept; the oldest go first.
const MOST: usize = 20;

/// A plan's id: a string on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlanId(pub u64);

impl Serialize for PlanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A plan, as far as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// Its id.
    pub id: PlanId,
    /// Of which target.
    pub target_id: TargetId,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// State and figures.
    #[serde(flatten)]
    pub found: Value,
}

#[derive(Default)]
pub(super) struct Plans(Mutex<BTreeMap<PlanId, Plan>>);

struct Plan {
    target: TargetId,
    started_at: DateTime<Utc>,
    progress: Arc<Progress>,
    task: AbortHandle,
    /// When it was first seen to have ended.
    ended: Option<Instant>,
}

impl Plan {
    fn view(&self, id: PlanId) -> PlanView {
        PlanView { id, target_id: self.target, started_at: self.started_at, found: self.progress.json() }
    }
}

impl Plans {
    /// The plans, without those that are too old.
    fn current(&self) -> MutexGuard<'_, BTreeMap<PlanId, Plan>> {
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for plan in plans.values_mut().filter(|plan| !plan.progress.is_running()) {
            plan.ended.get_or_insert_with(Instant::now);
        }
        plans.retain(|_, plan| plan.ended.is_none_or(|ended| ended.elapsed() < KEPT_FOR));
        plans
    }
}

impl Trials {
    /// Lets a cohort go on in the background.
    ///
    /// # Errors
    /// [`TrialError::Planning`] while another plan of the target goes on.
    pub fn begin_plan(&self, target: TargetId, cohort: CohortRun) -> Result<PlanView, TrialError> {
        let mut plans = self.plans.current();
        if plans.values().any(|plan| plan.target == target && plan.progress.is_running()) {
            return Err(TrialError::Planning);
        }
        let oldest =
            plans.iter().filter(|(_, plan)| plan.ended.is_some()).min_by_key(|(_, plan)| plan.started_at);
        if let Some(oldest) = oldest.map(|(id, _)| *id).filter(|_| plans.len() >= MOST) {
            plans.remove(&oldest);
        }
        let progress = cohort.progress.clone();
        let task = actix::spawn(async move { cohort.go().await }).abort_handle();
        let id = PlanId(rand::random::<u64>() >> 1);
        let plan = Plan { target, started_at: Utc::now(), progress, task, ended: None };
        let view = plan.view(id);
        plans.insert(id, plan);
        Ok(view)
    }

    /// A plan of a target, as far as it is; `None` when it is not known (any
    /// more, or on this node).
    pub fn plan(&self, target: TargetId, id: PlanId) -> Option<PlanView> {
        self.plans.current().get(&id).filter(|plan| plan.target == target).map(|plan| plan.view(id))
    }

    /// Ends a plan and shows how far it came.
    pub fn cancel_plan(&self, target: TargetId, id: PlanId) -> Option<PlanView> {
        let plans = self.plans.current();
        let plan = plans.get(&id).filter(|plan| plan.target == target)?;
        plan.progress.end(State::Cancelled, None);
        plan.task.abort();
        Some(plan.view(id))
    }
}
