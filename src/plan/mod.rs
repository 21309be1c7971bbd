//! What to do with a subject, and what a run's end means. Pure: facts and the
//! time come in, a decision comes out; the engine only executes it.

mod backoff;
pub mod breaker;
mod conclude;
mod decide;
mod drift;
mod fingerprint;
mod gate;
mod guard;
mod holder;
mod kills;
mod links;
mod progress;
mod standing;
mod write_back;

pub use backoff::delay;
pub use conclude::{Conclusion, Ending, Next, Policy, RunFacts, conclude};
pub use decide::{Decision, Known, Scope, Work, decide};
pub use drift::Drift;
pub use fingerprint::fingerprint;
pub use gate::{Block, Neighbour, Obstacle, Queued, blocks, waits_for};
pub use guard::{DeletionGuard, GuardPolicy};
pub use holder::{Field, Holder, Place, Shared, Taking, Undone, Waited, taking};
pub use kills::{Kills, MAX_KILLS};
pub use links::{Links, Node, Tie, cycle};
pub use progress::{Progress, Swept, progress};
pub use standing::{Due, Standing, standing};
pub use write_back::{Refusal, WriteBacks, Writer};
