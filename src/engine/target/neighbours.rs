//! What other targets of the store have to know of a target.

use actix::prelude::*;

use super::TargetSupervisor;
use super::messages::Wake;
use crate::storage::{Pool, gate};

impl TargetSupervisor {
    /// Has what waits for this target looked at again, and what it has waiting
    /// itself: it has become another one, as far as they are concerned.
    pub(super) fn free_neighbours(&self, context: &mut Context<Self>) {
        let (db, id) = (self.deps.db.clone(), self.runtime.around.target.id);
        let free =
            async move { db.run(Pool::Engine, move |connection| gate::free_around(connection, id)).await };
        context.spawn(free.into_actor(self).map(|woken, target, context| match woken {
            Ok(woken) => {
                (target.nudge)(&woken);
                context.notify(Wake);
            }
            // The sweeper comes to them.
            Err(error) => {
                target.counters.last_error = Some(format!("waiting work was not looked at: {error}"));
            }
        }));
    }
}
