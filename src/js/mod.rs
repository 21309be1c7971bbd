//! JavaScript, in a process of its own.
//!
//! Logic is untrusted and may loop, fill its heap or bring its engine down, so
//! it never runs inside the daemon. A [`JsHost`] is the handle of one child
//! process (`provisiond js-host`) with one runtime, which serves one version of
//! one target's logic: many runs, at most [`limits::MAX_IN_FLIGHT`] at a time.
//! The child has no network, no files and no secrets; whatever it wants done it
//! asks the daemon for through [`HostCalls`](crate::domain::host_call::HostCalls).
//!
//! | file | holds |
//! |---|---|
//! | `outcome.rs` | what comes of starting a host and of a run |
//! | `code.rs` | logic as a host runs it, with its source map |
//! | `limits.rs` | every figure |
//! | `protocol.rs` | the frames between daemon and host |
//! | `host.rs`, `host/` | the daemon's side: spawning, the runs in flight, reading, writing, watching |
//! | `child.rs` | the host's side: its main loop |
//! | `runtime.rs`, `load.rs`, `extensions.rs` | the runtime in the host, and the author's code in it |
//! | `ops/` | what the host's scripts ask of its Rust side |
//! | `bootstrap/` | the host's scripts: globals, freezing, runs |
//! | `sandbox.rs`, `sandbox/` | what the process gives up before it runs code |
//!
//! Limits are watched from outside, since some built-ins never yield: a host
//! that does not answer is killed, and every run in it is told whether it was
//! the one ([`RunOutcome::Killed`]) or may have been a bystander
//! ([`RunOutcome::Interrupted`]), to be run again alone.

mod child;
mod code;
mod extensions;
mod host;
pub mod limits;
mod load;
mod ops;
mod outcome;
mod protocol;
mod runtime;
pub mod sandbox;

use std::io;
use std::path::PathBuf;

pub use child::main;
pub use code::Code;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use host::hostile;
pub use host::{AttemptEnd, JsHost, attempt};
pub use outcome::{CompileError, RunEnd, RunOutcome, RunRequest, StartError, Thrown};

/// The program that becomes a host when its first argument is `js-host`, and a
/// bundler of logic when it is `bundle`.
#[derive(Debug, Clone)]
pub struct HostProgram {
    /// What to execute.
    pub executable: PathBuf,
    /// Whether these processes are confined; see [`sandbox`].
    pub confined: bool,
}

impl HostProgram {
    /// A program whose hosts are confined.
    pub fn new(executable: impl Into<PathBuf>) -> Self {
        Self { executable: executable.into(), confined: true }
    }

    /// This very program, even when its file was replaced since it started.
    pub fn current() -> io::Result<Self> {
        let executable = PathBuf::from("/proc/self/exe");
        executable.read_link()?;
        Ok(Self::new(executable))
    }
}
