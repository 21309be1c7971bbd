//! The daemon's handle of one host.

mod answers;
mod attempt;
mod calls;
mod death;
#[cfg(test)]
mod fuzz;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod process;
mod reader;
mod run;
mod shared;
mod watch;
mod writer;

use std::sync::Arc;

use super::code::Code;
use super::outcome::{RunEnd, RunOutcome, RunRequest, StartError};
use super::protocol::Kind;
use super::sandbox::{self, InForce};
use super::{HostProgram, limits};
use crate::domain::host_call::{FetchRequest, Fetched, HostCallError, HostCallFuture, HostCalls};
use crate::domain::status::ErrorClass;
use crate::domain::target::Limits;
pub use attempt::{AttemptEnd, attempt};
use death::Death;
use shared::{Shared, Startup};

/// One child process with one runtime that has one piece of logic loaded.
/// Dropping the handle kills it.
#[derive(Debug)]
pub struct JsHost {
    shared: Arc<Shared>,
}

impl JsHost {
    /// Starts a host and loads the code in it. Dropping the future kills it.
    ///
    /// The host's tasks live in the runtime that this is called from.
    pub async fn start(
        program: &HostProgram,
        code: impl Into<Code>,
        limits: &Limits,
    ) -> Result<Self, StartError> {
        let code = code.into();
        if code.text().len() > limits::MAX_FRAME_TO_HOST {
            let most = limits::MAX_FRAME_TO_HOST / (1024 * 1024);
            return Err(StartError::Limit(format!("the limit of {most} MiB for code was reached")));
        }
        let spawned = process::spawn(program).await.map_err(|error| StartError::Spawn(error.to_string()))?;
        let shared = Arc::new(Shared::new(spawned.process, code, *limits));
        let host = Self { shared: shared.clone() };
        shared.outbox.put(Kind::Start, 0, limits.heap_mib, &[shared.code.text().as_bytes()]);
        let (read, write) = spawned.socket.into_split();
        tokio::spawn(writer::write(shared.clone(), write));
        let words = tokio::spawn(reader::read_stderr(shared.clone(), spawned.stderr));
        tokio::spawn(reader::read(shared.clone(), read, words));
        match watch::until_started(&shared).await {
            Startup::Ready => {}
            Startup::Failed(error) => return Err(error),
            Startup::Booting | Startup::Loading { .. } => {
                return Err(StartError::Crashed("it never said that it was ready".into()));
            }
        }
        tokio::spawn(watch::watch(shared));
        Ok(host)
    }

    /// Lets everything else go first when CPUs are short: for a host that may be
    /// about to do harm. There is no way back.
    pub fn put_behind(&self) {
        if let Err(error) = sandbox::put_behind(self.pid()) {
            log::debug!("the JavaScript host {} keeps its priority: {error}", self.pid());
        }
    }

    /// Runs the logic once. At most [`limits::MAX_IN_FLIGHT`] runs are in the
    /// host at a time, others wait. Dropping the future gives the run up.
    pub async fn run(&self, request: RunRequest, calls: Arc<dyn HostCalls>) -> RunEnd {
        self.begin(Kind::Run, &request.context, calls).await
    }

    /// The names of the tests that the author wrote beside the logic.
    pub fn tests(&self) -> Vec<String> {
        self.shared.state().tests.clone()
    }

    /// Runs one of them. It fails by throwing; what it returns is null.
    pub async fn test(&self, name: &str) -> RunEnd {
        let name = serde_json::Value::from(name).to_string();
        self.begin(Kind::Test, &name, Arc::new(NoCalls)).await
    }

    async fn begin(&self, kind: Kind, payload: &str, calls: Arc<dyn HostCalls>) -> RunEnd {
        let interrupted = |why: String| RunEnd { outcome: RunOutcome::Interrupted(why), console: Vec::new() };
        if payload.len() > limits::MAX_FRAME_TO_HOST {
            let most = limits::MAX_FRAME_TO_HOST / (1024 * 1024);
            let outcome = RunOutcome::Limit(format!("the limit of {most} MiB for the context was reached"));
            return RunEnd { outcome, console: Vec::new() };
        }
        let Ok(_permit) = self.shared.permits.acquire().await else {
            return interrupted(self.shared.obituary());
        };
        match run::Run::begin(&self.shared, kind, payload) {
            Some(run) => run.drive(calls).await,
            None => interrupted(self.shared.obituary()),
        }
    }

    /// Whether the host takes runs.
    pub fn is_alive(&self) -> bool {
        self.shared.is_alive()
    }

    /// Whether a run was given up in it, which may still be at work there.
    pub fn is_tainted(&self) -> bool {
        self.shared.state().tainted
    }

    /// Whether nothing of any run is left to be done in it; false also when it
    /// does not say so at once.
    pub async fn is_at_rest(&self) -> bool {
        self.shared.outbox.put(Kind::Rest, 0, 0, &[]);
        let said = tokio::time::timeout(limits::UNANSWERED, self.shared.rested.notified()).await;
        said.is_ok() && self.shared.state().at_rest
    }

    /// CPU time that the child has used so far; `None` when it is gone.
    pub fn cpu(&self) -> Option<std::time::Duration> {
        self.shared.process.cpu().ok()
    }

    /// Whether somebody else than the daemon killed the child.
    pub fn was_killed_from_outside(&self) -> bool {
        self.shared.state().death == Some(Death::Outside)
    }

    /// How many runs are in the host.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight()
    }

    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.shared.process.pid()
    }

    /// What of the sandbox is in force in the child, as it said when it started.
    pub fn in_force(&self) -> InForce {
        self.shared.state().in_force
    }

    /// Kills the child. Every run in flight ends as
    /// [`RunOutcome::Interrupted`].
    pub fn kill(&self) {
        self.shared.kill(Death::Asked);
    }
}

impl Drop for JsHost {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A test has nobody to call: the host's scripts answer in the daemon's place,
/// and code that gets around them gets this.
struct NoCalls;

impl HostCalls for NoCalls {
    fn fetch(&self, _request: FetchRequest) -> HostCallFuture<Fetched> {
        let message = "a test cannot reach anything".to_owned();
        Box::pin(async { Err(HostCallError { class: ErrorClass::Logic, message, retry_after: None }) })
    }
}
