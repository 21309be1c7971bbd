//! A manual sync and a fresh change overtake a sweep: they are claimed although
//! the sweep's work has used all credits up, and stand first in line.

use actix::prelude::*;

use super::{Claims, TargetSupervisor, WORK_LEASE};
use crate::storage::{Pool, claim};

impl TargetSupervisor {
    /// Urgent rows that may be claimed beyond the credits: a sweep cannot keep
    /// them out, and they too are bounded.
    fn urgent_credits(&self) -> usize {
        self.credits() + self.most_workers() + 4
    }

    /// Claims urgent rows when there is no room for others. Something has
    /// called for it: it costs a query, so it is not tried after each batch.
    pub(super) fn take_urgent(&mut self, context: &mut Context<Self>) {
        if self.claiming {
            self.urgent_again = true;
            return;
        }
        let stopped = self.paused || self.draining || self.health.is_quarantined();
        let free = self.urgent_credits().saturating_sub(self.leased.len());
        if stopped || free == 0 || self.ready.is_empty() || self.health.allowance() == 0 {
            return;
        }
        self.claiming = true;
        let (deps, target) = (self.deps.clone(), self.runtime.target.id);
        let node = deps.settings.node.clone();
        let claims = async move {
            let lease = WORK_LEASE.as_secs_f64();
            let claim = move |connection: &mut _| claim::claim_urgent(connection, target, &node, free, lease);
            deps.db.run(Pool::Engine, claim).await
        };
        context.spawn(claims.into_actor(self).map(move |rows, target, context| {
            target.claiming = false;
            match rows {
                Ok(rows) => {
                    // Whether there is more of the sweep is not known by this.
                    let more = target.more || rows.len() == free;
                    target.took_in(Claims { rows, next_due: None }, usize::MAX, context);
                    target.more = more;
                }
                Err(error) => target.failed(&error.to_string(), context),
            }
        }));
    }
}
