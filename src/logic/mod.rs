//! Logic as a thing that people write: built, tried, and published as a version
//! that never changes.
//!
//! | file | holds |
//! |---|---|
//! | `packages/` | choosing, verifying and unpacking packages |
//! | `bundle/` | making one text of it all, in a process of its own |
//! | `build.rs` | from what an author wrote to what a host runs |
//! | `scratch.rs` | the folder of a build, and that nobody waits for it any more |
//! | `trial.rs` | loading it, and running the author's tests |

mod build;
pub mod bundle;
pub mod packages;
mod scratch;
mod trial;

pub use build::{Built, Source, Workshop};
pub use bundle::{Finding, Language};
pub use packages::{Dependencies, Package, PackageError};
pub use trial::TestResult;

use crate::domain::subject::FieldError;
use crate::js::{CompileError, StartError};

/// Longest source text, in characters.
pub const MAX_CODE: usize = 256_000;

/// Why logic was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum LogicError {
    /// Fields that break a rule, among them packages that cannot be had.
    #[error("{}", .0.first().map_or("", |error| error.rule.as_str()))]
    Fields(Vec<FieldError>),
    /// It does not compile, throws when loaded, or exports no function.
    #[error("{0}")]
    Compile(CompileError),
    /// Loading or bundling it broke a limit.
    #[error("cannot be loaded: {0}")]
    Limit(String),
    /// The package registry cannot be asked; later it may.
    #[error("{0}")]
    Registry(String),
    /// Something of this machine: not the author's fault.
    #[error("{0}")]
    Machine(String),
}

impl From<StartError> for LogicError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Compile(error) => Self::Compile(error),
            StartError::Limit(message) | StartError::Crashed(message) => Self::Limit(message),
            StartError::Spawn(message) => {
                Self::Machine(format!("the JavaScript host did not start: {message}"))
            }
        }
    }
}

impl From<PackageError> for LogicError {
    fn from(error: PackageError) -> Self {
        match error {
            PackageError::Refused(errors) => Self::Fields(errors),
            PackageError::Off => {
                Self::Fields(vec![FieldError::new("packageDependencies", format!("cannot be used: {error}"))])
            }
            PackageError::Registry(_) => Self::Registry(error.to_string()),
            PackageError::Io(_) => Self::Machine(error.to_string()),
        }
    }
}
