//! The timer of a target: wakes its supervisor when work falls due (a retry, a
//! poll, a schedule), and now and then in any case, for work that another
//! process has written.

use std::time::{Duration, Instant};

use actix::prelude::*;

use super::target::Wake;

/// Longest sleep.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(5);

/// Sleeps until the earliest time it was armed for.
pub struct Timer {
    wakes: Recipient<Wake>,
    armed: Option<(Instant, SpawnHandle)>,
}

/// Wake the target after so long at the latest.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Arm(pub Duration);

impl Timer {
    /// A timer that wakes `wakes`.
    pub fn new(wakes: Recipient<Wake>) -> Self {
        Self { wakes, armed: None }
    }

    fn fire(&mut self, context: &mut Context<Self>) {
        self.armed = None;
        self.wakes.do_send(Wake);
        context.notify(Arm(LOOK_AT_LEAST_EVERY));
    }
}

impl Actor for Timer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.notify(Arm(LOOK_AT_LEAST_EVERY));
    }
}

impl Handler<Arm> for Timer {
    type Result = ();

    fn handle(&mut self, Arm(delay): Arm, context: &mut Self::Context) {
        let delay = delay.min(LOOK_AT_LEAST_EVERY);
        let at = Instant::now() + delay;
        match self.armed.take() {
            Some((earlier, handle)) if earlier <= at => self.armed = Some((earlier, handle)),
            armed => {
                if let Some((_, handle)) = armed {
                    context.cancel_future(handle);
                }
                self.armed = Some((at, context.run_later(delay, Self::fire)));
            }
        }
    }
}
