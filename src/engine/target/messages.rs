//! What the supervisor of a target is told.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::super::runtime::Runtime;
use super::ObservableState;
use crate::domain::ids::SubjectId;

/// There may be due work.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Wake;

/// A sweep was started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Swept;

/// A worker has ended its job.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Idle(pub usize);

/// Results are durable.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Committed {
    /// Whose.
    pub subjects: Vec<SubjectId>,
    /// When the earliest of their rows that stay in the queue is due.
    pub next_in: Option<Duration>,
}

/// Go on with these settings.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reload(pub Arc<Runtime>);

/// Whether this node can still be sure that the target is its own. While it
/// cannot, nothing runs here: another node may have taken over.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Certain(pub bool);

/// Tell what you do.
#[derive(Debug, Message)]
#[rtype(result = "ObservableState")]
pub struct Observe;

/// Kill running JavaScript.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopRuns;

/// Claim nothing more, give back what has not begun. True when nothing runs.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub struct Drain;
