//! Loads what was built as a run would, and runs the tests that its author
//! wrote beside it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::LogicError;
use super::build::{Built, Workshop};
use crate::domain::host_call::ConsoleLine;
use crate::domain::response::cut_message;
use crate::domain::target::Limits;
use crate::js::{JsHost, RunEnd, RunOutcome};

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// As its author calls it.
    pub name: String,
    /// It ended without throwing.
    pub passed: bool,
    /// Why it did not, with the lines of the author's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it wrote meanwhile.
    pub log: Vec<ConsoleLine>,
}

/// All tests together take no longer than so many runs may …
const RUNS: u32 = 4;
/// … and than this: others wait meanwhile.
const LONGEST: Duration = Duration::from_secs(60);

impl Workshop {
    /// Loads the code in a host of its own and runs its tests, one after
    /// another.
    pub async fn try_out(&self, built: &Built, limits: &Limits) -> Result<Vec<TestResult>, LogicError> {
        self.try_code(built.code(), limits).await
    }

    /// The same, of code that was built before.
    pub async fn try_code(
        &self,
        code: crate::js::Code,
        limits: &Limits,
    ) -> Result<Vec<TestResult>, LogicError> {
        // The semaphore is never closed.
        let _turn = self.trials.acquire().await;
        let longest = (limits.wall() * RUNS).min(LONGEST);
        let end = Instant::now() + longest;
        let mut host = JsHost::start(&self.program, &code, limits).await?;
        let mut results = Vec::new();
        for name in host.tests() {
            if Instant::now() >= end {
                results.push(late(name, longest));
                continue;
            }
            let ran = timeout_at(end, async {
                if !host.is_alive() {
                    host = JsHost::start(&self.program, &code, limits).await?;
                }
                Ok::<_, LogicError>(host.test(&name).await)
            });
            results.push(match ran.await {
                Ok(ended) => result(name, ended?),
                Err(_) => late(name, longest),
            });
        }
        Ok(results)
    }
}

/// It, or what ran before it, took too long.
fn late(name: String, longest: Duration) -> TestResult {
    let message =
        format!("the limit of {} ms for all tests together was reached before it ended", longest.as_millis());
    TestResult { name, passed: false, message: Some(message), log: Vec::new() }
}

fn result(name: String, RunEnd { outcome, console: log }: RunEnd) -> TestResult {
    let message = match outcome {
        RunOutcome::Returned(_) => None,
        RunOutcome::Threw(thrown) => Some(match thrown.stack {
            Some(stack) => format!("{}\n{stack}", thrown.message),
            None => thrown.message,
        }),
        RunOutcome::Limit(message)
        | RunOutcome::TimedOut(message)
        | RunOutcome::Killed(message)
        | RunOutcome::Interrupted(message) => Some(message),
    };
    TestResult { name, passed: message.is_none(), message: message.as_deref().map(cut_message), log }
}
