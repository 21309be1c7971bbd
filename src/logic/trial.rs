//! Loads what was built as a run would, and runs the tests that its author
//! wrote beside it.

use serde::{Deserialize, Serialize};

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
        let mut host = JsHost::start(&self.program, &code, limits).await?;
        let mut results = Vec::new();
        for name in host.tests() {
            if !host.is_alive() {
                host = JsHost::start(&self.program, &code, limits).await?;
            }
            let end = host.test(&name).await;
            results.push(result(name, end));
        }
        Ok(results)
    }
}

fn result(name: String, RunEnd { outcome, console: log }: RunEnd) -> TestResult {
    let message = match outcome {
        RunOutcome::Returned(_) => None,
        RunOutcome::Threw(thrown) => Some(match thrown.stack {
            Some(stack) => format!("{}\n{stack}", thrown.message),
            None => thrown.message,
        }),
        RunOutcome::Limit(message) | RunOutcome::Killed(message) | RunOutcome::Interrupted(message) => {
            Some(message)
        }
    };
    TestResult { name, passed: message.is_none(), message: message.as_deref().map(cut_message), log }
}
