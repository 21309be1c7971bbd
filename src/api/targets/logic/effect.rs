//! What another logic means for the accounts of a target: how many would run it
//! if all were forced, or that all are.

use serde_json::{Value, json};

use super::{ApiState, EngineState};
use crate::api::sweeps::SweepView;
use crate::domain::filter::Filter;
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

/// Forces all accounts, if it is asked for: in the transaction that gives them
/// another logic, so that there is never one without the other, and before it
/// locks the target, since the whole store is counted.
///
/// No account runs what was published before because of it: a claim looks which
/// version is.
pub(super) fn begin(
    connection: &mut Connection,
    target: &Target,
    force: bool,
) -> Result<Option<Sweep>, Problem> {
    may_force(target, force)?;
    let start = || sweeps::start(connection, target, SweepKind::Force, Trigger::Force);
    Ok(force.then(start).transpose()?)
}

/// Tells the engine, and the caller: `sweep`, or `accountsToForce`.
pub(super) async fn tell(
    state: &ApiState,
    engine: &EngineState,
    target: Target,
    sweep: Option<Sweep>,
) -> Result<Value, Problem> {
    engine.engine.look_round();
    let Some(sweep) = sweep else {
        let counted = state.run(move |connection| count(connection, &target)).await?;
        return Ok(json!({ "accountsToForce": counted }));
    };
    engine.engine.sweep(target.id);
    Ok(json!({ "sweep": SweepView::new(&sweep) }))
}

fn count(connection: &mut Connection, target: &Target) -> Result<i64, Problem> {
    let filter = Filter::parse(&target.settings.filter).map_err(Problem::internal)?;
    Ok(preview::preview(connection, target.store, target.id, &filter)?.total)
}
