//! What another logic means for the accounts of a target: how many would run it
//! if all were forced, or that all are.

use serde_json::{Map, Value, json};

use super::EngineState;
use crate::api::sweeps::SweepView;
use crate::domain::filter::Filter;
use crate::domain::ids::TargetId;
use crate::domain::status::Trigger;
use crate::domain::target::Target;
use crate::http::{Kind, Problem};
use crate::storage::sweeps::{self, Sweep, SweepKind};
use crate::storage::{Connection, preview};

/// Refuses to force a target that does nothing.
pub(super) fn may_force(target: &Target, force: bool) -> Result<(), Problem> {
    if force && !target.settings.is_served() {
        return Err(Problem::new(Kind::State, "the target is not enabled: enable it, then force it"));
    }
    Ok(())
}

/// What another logic brings about.
pub(super) enum Effect {
    /// All accounts in scope run it.
    Forced(Box<Sweep>),
    /// None does because of it; so many would if they were forced.
    Possible(i64),
}

/// Forces all accounts, if it is asked for, or counts them: in the transaction
/// that gives them another logic, so that there is never one without the other,
/// and before it locks the target, since the whole store is looked through.
///
/// No account runs what was published before because of it: a claim looks which
/// version is.
pub(super) fn begin(connection: &mut Connection, target: &Target, force: bool) -> Result<Effect, Problem> {
    may_force(target, force)?;
    if force {
        let sweep = sweeps::start(connection, target, SweepKind::Force, Trigger::Force)?;
        return Ok(Effect::Forced(Box::new(sweep)));
    }
    let filter = Filter::parse(&target.settings.filter).map_err(Problem::internal)?;
    Ok(Effect::Possible(preview::preview(connection, target.store, target.id, &filter)?.total))
}

/// Tells the engine, and the caller: `sweep`, or `accountsToForce`.
pub(super) fn tell(engine: &EngineState, target: TargetId, effect: &Effect) -> Map<String, Value> {
    engine.engine.look_round();
    let (name, value) = match effect {
        Effect::Possible(count) => ("accountsToForce", json!(count)),
        Effect::Forced(sweep) => {
            engine.engine.sweep(target);
            ("sweep", json!(SweepView::new(sweep)))
        }
    };
    Map::from_iter([(name.to_owned(), value)])
}
