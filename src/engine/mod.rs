//! The engine: actors that run due work. They are caches; PostgreSQL is the
//! truth, and a restart begins where the last commit stands.
//!
//! ```text
//! Supervisor                      root: ownership, liveness, restarts
//!  └─ TargetSupervisor            one per enabled target, on a thread of its own
//!      ├─ Timer                   wakes it when work falls due
//!      ├─ Sweeper                 force and reconcile sweeps, chunk by chunk
//!      ├─ Health                  its breaker: quarantine and concurrency (the machine is in plan)
//!      ├─ Mailboxes               per-subject order (a plain state machine)
//!      ├─ Worker × max parallel   one job each ──► Hosts ──► JsHost process
//!      └─ Completer               results in batches, fenced
//! ```
//!
//! Beside the actors, [`trial`] runs logic that is not to change anything: dry
//! runs, plans for many subjects, replays of failed runs.
//!
//! Backpressure is by credits: a target never claims more than it has free,
//! so no mailbox grows without bound.

mod completer;
mod context;
mod dead_letter;
mod deps;
mod handle;
mod health;
mod hosts;
mod job;
mod mailbox;
mod pace;
mod ready;
mod redacted;
mod runtime;
mod supervisor;
mod surroundings;
mod sweeper;
mod target;
mod timer;
pub mod trial;
mod versions;
mod worker;

use std::sync::Arc;

use actix::Actor;

pub use deps::{Deps, Settings};
pub use handle::{EngineHandle, Nudge};
pub use hosts::HostState;
pub use target::ObservableState;

/// Starts the engine on the current actix system.
pub fn start(deps: Deps) -> EngineHandle {
    let registry = Arc::default();
    let supervisor = supervisor::Supervisor::new(deps, Arc::clone(&registry)).start();
    EngineHandle { supervisor, registry }
}
