//! One run that is not real, and what it comes to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::case::Case;
use super::record::Record;
use super::stage::Stage;
use crate::domain::host_call::{ConsoleLine, Exchange, HostCalls};
use crate::egress::{DryRun, Failure, Hider, Replay, Rest, Seen};
use crate::engine::job::{concluded, ending, start_failed};
use crate::engine::redacted::{credentials, names, redacted};
use crate::engine::surroundings::Surroundings;
use crate::js::{RunEnd, RunOutcome, RunRequest, StartError};
use crate::plan::Conclusion;

/// Waits lie in the middle of what they can be.
const JITTER: f64 = 0.5;

/// The calls of a run that is not real.
pub(super) trait Tape: HostCalls {
    fn take(&self) -> (Vec<Exchange>, Rest);
    fn failure(&self) -> Option<Failure>;
    fn hider(&self, more: Seen, names: &[&str]) -> Option<Arc<Hider>>;
}

impl Tape for DryRun {
    fn take(&self) -> (Vec<Exchange>, Rest) {
        self.take()
    }

    fn failure(&self) -> Option<Failure> {
        self.failure()
    }

    fn hider(&self, more: Seen, names: &[&str]) -> Option<Arc<Hider>> {
        self.hider(more, names)
    }
}

impl Tape for Replay {
    fn take(&self) -> (Vec<Exchange>, Rest) {
        self.take()
    }

    fn failure(&self) -> Option<Failure> {
        self.failure()
    }

    fn hider(&self, more: Seen, names: &[&str]) -> Option<Arc<Hider>> {
        self.hider(more, names)
    }
}

/// What a run came to.
pub(super) struct Act {
    /// How it ended; `None` when the host did not start.
    pub outcome: Option<RunOutcome>,
    pub conclusion: Conclusion,
    pub console: Vec<ConsoleLine>,
    pub exchanges: Vec<Exchange>,
    pub left_out: usize,
    /// `None` when the host did not outlive the run.
    pub cpu: Option<Duration>,
    pub wall: Duration,
}

/// Runs logic for a case and concludes as a real run does.
pub(super) async fn act<T: Tape + 'static>(
    stage: &mut Stage,
    case: &Case,
    context: String,
    around: &Surroundings,
    (tape, record): (Arc<T>, &Record),
) -> Act {
    let began = Instant::now();
    record.watch(tape.clone());
    let claimed = &case.job.claimed;
    // At once, for a replay to compare what it hides with what was hidden.
    tape.hider(credentials(claimed, None), &names(claimed));
    let (end, cpu) = perform(stage, context, tape.clone()).await;
    let wall = began.elapsed();
    let hider = tape.hider(credentials(claimed, end.as_ref().ok()), &names(claimed));
    let (exchanges, rest) = tape.take();
    record.note(&exchanges, rest.left_out());
    let reason = case.job.reason;
    let (outcome, console, ending) = match end {
        Ok(end) => {
            let RunEnd { outcome, console } = redacted(end, &around.egress, hider.as_deref());
            let ending = ending(outcome.clone(), reason, tape.failure());
            (Some(outcome), console, ending)
        }
        Err(error) => (None, Vec::new(), start_failed(&error)),
    };
    let made_calls = !exchanges.is_empty();
    let conclusion = concluded(&around.policy, &case.job, ending, (made_calls, 0), Utc::now(), JITTER);
    Act { outcome, conclusion, console, exchanges, left_out: rest.left_out(), cpu, wall }
}

async fn perform(
    stage: &mut Stage,
    context: String,
    calls: Arc<dyn HostCalls>,
) -> (Result<RunEnd, StartError>, Option<Duration>) {
    let host = match stage.open().await {
        Ok(host) => host,
        Err(error) => return (Err(error), None),
    };
    let before = host.cpu();
    let end = host.run(RunRequest { context }, calls).await;
    let cpu = before.zip(host.cpu()).map(|(before, after)| after.saturating_sub(before));
    (Ok(end), cpu)
}
