//! Logic as a thing that people write: checked before it is kept, published as
//! a version that never changes.

pub mod bundle;
pub mod packages;

use crate::domain::target::Limits;
use crate::js::{CompileError, HostProgram, JsHost, StartError};

/// Longest source text, in characters.
pub const MAX_CODE: usize = 256_000;

/// Why logic was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum LogicError {
    /// It is empty.
    #[error("must not be empty")]
    Empty,
    /// It is longer than [`MAX_CODE`].
    #[error("must not be longer than {MAX_CODE} characters, has {0}")]
    TooLong(usize),
    /// It cannot be stored.
    #[error("must not contain the NUL character (U+0000)")]
    Nul,
    /// It does not compile, throws when loaded, or exports no function.
    #[error("{0}")]
    Compile(CompileError),
    /// Loading it broke a limit.
    #[error("cannot be loaded: {0}")]
    Limit(String),
    /// The JavaScript host did not start: not the author's fault.
    #[error("the JavaScript host did not start: {0}")]
    Host(String),
}

/// Loads logic in a host of its own, as a run would, and throws it away.
pub async fn check(program: &HostProgram, code: &str, limits: &Limits) -> Result<(), LogicError> {
    let length = code.chars().count();
    if code.trim().is_empty() {
        return Err(LogicError::Empty);
    } else if length > MAX_CODE {
        return Err(LogicError::TooLong(length));
    } else if code.contains('\0') {
        return Err(LogicError::Nul);
    }
    match JsHost::start(program, code, limits).await {
        Ok(_) => Ok(()),
        Err(StartError::Compile(error)) => Err(LogicError::Compile(error)),
        Err(StartError::Limit(message)) => Err(LogicError::Limit(message)),
        Err(StartError::Crashed(message)) => Err(LogicError::Limit(message)),
        Err(StartError::Spawn(message)) => Err(LogicError::Host(message)),
    }
}
