//! What comes of starting a host and of a run.

use std::time::Duration;

use crate::domain::host_call::ConsoleLine;
use crate::domain::status::ErrorClass;

/// Code that cannot be loaded: it does not parse, throws while it is loaded, or
/// exports no function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", position(*line, *column))]
pub struct CompileError {
    /// One sentence, without the position.
    pub message: String,
    /// Line of the author's code, from 1.
    pub line: Option<u32>,
    /// Column in that line, from 1.
    pub column: Option<u32>,
}

fn position(line: Option<u32>, column: Option<u32>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!(" (line {line}, column {column})"),
        (Some(line), None) => format!(" (line {line})"),
        _ => String::new(),
    }
}

/// Why a host did not come up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The author has to mend the code.
    #[error("{0}")]
    Compile(CompileError),
    /// The process could not be started.
    #[error("the JavaScript host could not be started: {0}")]
    Spawn(String),
    /// Loading the code broke a limit; the sentence names it.
    #[error("{0}")]
    Limit(String),
    /// The process ended by itself.
    #[error("the JavaScript host ended while it was started: {0}")]
    Crashed(String),
}

/// What to run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// `ctx` as JSON, without `signal`.
    pub context: String,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// How it ended.
    pub outcome: RunOutcome,
    /// What it wrote with `console`, also when it was stopped.
    pub console: Vec<ConsoleLine>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RunOutcome {
    /// Logic returned; `undefined` is null.
    Returned(serde_json::Value),
    /// Logic threw.
    Threw(Thrown),
    /// This run broke a limit; the sentence names it and its figure. The host
    /// goes on.
    Limit(String),
    /// Its time was over; the sentence says how much that was. Whether logic or what
    /// it called is at fault, its calls have to tell. The host goes on.
    TimedOut(String),
    /// This run brought its host down, by a limit or by a crash; the sentence
    /// says how.
    Killed(String),
    /// The host was stopped, maybe on account of another run: to be run again.
    Interrupted(String),
}

/// A thrown value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thrown {
    /// What it says.
    pub message: String,
    /// Frames of the author's code only, one a line, with line and column.
    pub stack: Option<String>,
    /// Of where it came from, along its causes: a host call that failed, an answer,
    /// or what logic set as `errorClass`. `None` when that cannot be known.
    pub error_class: Option<ErrorClass>,
    /// Likewise: the `Retry-After` of that answer, or `retryAfter` in seconds.
    pub retry_after: Option<Duration>,
}

impl Thrown {
    pub(super) fn saying(message: impl Into<String>) -> Self {
        Self { message: message.into(), stack: None, error_class: None, retry_after: None }
    }
}
