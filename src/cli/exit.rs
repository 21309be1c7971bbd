//! How commands end.

use std::process::ExitCode;

use super::print::{complain, say, say_lines};
use crate::app::{AppError, Finding, State};

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was tried and failed: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The arguments or the configuration are wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The daemon or the database cannot be reached: exit code 3.
    #[error("{0}")]
    Unreachable(String),
    /// Something else was in the way, or a guard holds it: exit code 4.
    #[error("{0}")]
    Conflict(String),
    /// The JavaScript host has told what is wrong itself.
    #[error("the JavaScript host failed")]
    Host(ExitCode),
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Unreachable(_) => Self::Unreachable(error.to_string()),
            AppError::Taken(_) => Self::Conflict(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Failure {
    /// Tells the person and gives the exit code.
    pub fn report(&self) -> ExitCode {
        let code = match self {
            Self::Host(code) => return *code,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Conflict(_) => 4,
        };
        complain(&self.to_string());
        ExitCode::from(code)
    }
}

/// Turns the JavaScript host's exit code into a result.
pub fn from_code(code: ExitCode) -> Result<(), Failure> {
    if code == ExitCode::SUCCESS { Ok(()) } else { Err(Failure::Host(code)) }
}

/// Prints the doctor's findings; fails when one is bad.
pub fn all_well(findings: Vec<Finding>) -> Result<(), Failure> {
    let bad = findings.iter().filter(|finding| matches!(finding.state, State::Bad(_))).count();
    for Finding { what, state } in &findings {
        match state {
            State::Well => say(&format!("ok    {what}")),
            State::Poor(problem) => say_lines(&format!("poor  {what}: {problem}")),
            State::Bad(problem) => say_lines(&format!("bad   {what}: {problem}")),
        }
    }
    if bad == 0 { Ok(()) } else { Err(Failure::Failed(format!("{bad} of {} checks failed", findings.len()))) }
}
