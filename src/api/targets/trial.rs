//! Trying logic before it is published: dry runs for one account, plans for many.

use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpResponse, web};

use super::logic::does_not_load;
use super::logic_to_run::{Choice, logic_to_run};
use super::trial_body::{Asked, Trial, TrialBody};
use super::{ApiState, Endpoint, EngineState};
use crate::api::turns::Making;
use crate::domain::ids::TargetId;
use crate::domain::subject::FieldError;
use crate::engine::trial::{Asker, CohortRun, Logic, Origin, PlanId, Size, TrialError, Trials, Wish};
use crate::http::auth::{Editor, Viewer};
use crate::http::path::{Id, Path};
use crate::http::{Authorized, JsonBody, Kind, Problem, slow};
use crate::js::StartError;
use crate::storage::targets;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/targets/{id}/logic/test", test),
        Endpoint::post("/targets/{id}/logic/plans", begin_plan),
        Endpoint::get("/targets/{id}/logic/plans/{plan}", show_plan),
        Endpoint::delete("/targets/{id}/logic/plans/{plan}", cancel_plan),
    ]
}

async fn test(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    making: Making,
    Id(id): Id<TargetId>,
    JsonBody(body): JsonBody<TrialBody>,
) -> Result<HttpResponse, Problem> {
    let Trial { asked, choice, wish } = body.read(None).map_err(Problem::validation)?;
    let (logic, published) = logics(&state, &engine, &making, id, choice).await?;
    let trials = engine.trials.asked_by(asker(&editor));
    match asked {
        Asked::One(who) => {
            let origin = logic.origin;
            let ready = trials.dry_run(id, logic, who, wish).await;
            let ready = ready.map_err(|error| problem(error, Some(origin)))?;
            Ok(slow::json(ready.run()))
        }
        Asked::Many(size) => {
            let cohort = cohort(&trials, id, (logic, published), size, wish).await?;
            match size {
                Size::Sample(_) => Ok(slow::json(cohort.run())),
                Size::All => begin(&engine, id, cohort),
            }
        }
    }
}

/// Lets a plan go on in the background: for all, unless a sample is wanted.
async fn begin_plan(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    making: Making,
    Id(id): Id<TargetId>,
    JsonBody(body): JsonBody<TrialBody>,
) -> Result<HttpResponse, Problem> {
    let Trial { asked, choice, wish } = body.read(Some(Size::All)).map_err(Problem::validation)?;
    let Asked::Many(size) = asked else {
        let rule = "goes with a dry run: a plan is for many";
        return Err(Problem::validation(vec![FieldError::new("accountId", rule)]));
    };
    let (logic, published) = logics(&state, &engine, &making, id, choice).await?;
    let trials = engine.trials.asked_by(asker(&editor));
    let cohort = cohort(&trials, id, (logic, published), size, wish).await?;
    begin(&engine, id, cohort)
}

fn begin(engine: &EngineState, id: TargetId, cohort: CohortRun) -> Result<HttpResponse, Problem> {
    let plan = engine.trials.begin_plan(id, cohort).map_err(|error| problem(error, None))?;
    let location = format!("{}/targets/{id}/logic/plans/{}", crate::api::PREFIX, plan.id.0);
    Ok(HttpResponse::Accepted().insert_header((LOCATION, location)).json(plan))
}

async fn show_plan(
    _: Authorized<Viewer>,
    engine: web::Data<EngineState>,
    Path((id, plan)): Path<(TargetId, u64)>,
) -> Result<HttpResponse, Problem> {
    let plan = engine.trials.plan(id, PlanId(plan)).ok_or_else(no_plan)?;
    Ok(HttpResponse::Ok().json(plan))
}

/// Ends a plan; what it has found can still be looked at.
async fn cancel_plan(
    _: Authorized<Editor>,
    engine: web::Data<EngineState>,
    Path((id, plan)): Path<(TargetId, u64)>,
) -> Result<HttpResponse, Problem> {
    let plan = engine.trials.cancel_plan(id, PlanId(plan)).ok_or_else(no_plan)?;
    Ok(HttpResponse::Ok().json(plan))
}

fn no_plan() -> Problem {
    let detail = "there is no such plan: plans are known for an hour, to the node that was asked for them";
    Problem::new(Kind::NotFound, detail)
}

/// What is to be tried, and what runs now if that is something else.
async fn logics(
    state: &ApiState,
    engine: &EngineState,
    making: &Making,
    id: TargetId,
    choice: Choice,
) -> Result<(Logic, Option<Logic>), Problem> {
    let target = state.run(move |connection| targets::find(connection, id)).await?;
    let version = target.logic_version;
    let logic = logic_to_run(state, engine, making, id, version, choice).await?;
    let published = match version.map(Origin::Version) {
        Some(origin) if origin != logic.origin => {
            Some(logic_to_run(state, engine, making, id, version, Choice::Published).await?)
        }
        _ => None,
    };
    Ok((logic, published))
}

/// Whose doings are written down.
pub(in crate::api) fn asker(editor: &Authorized<Editor>) -> Asker {
    Asker { token: editor.caller.token, name: editor.caller.name.clone() }
}

async fn cohort(
    trials: &Trials,
    id: TargetId,
    (logic, published): (Logic, Option<Logic>),
    size: Size,
    wish: Wish,
) -> Result<CohortRun, Problem> {
    let origin = logic.origin;
    let cohort = trials.cohort(id, logic, published, size, wish).await;
    cohort.map_err(|error| problem(error, Some(origin)))
}

/// Why nothing was tried. `origin` is that of the logic, if it is the one that
/// may not load.
pub(in crate::api) fn problem(error: TrialError, origin: Option<Origin>) -> Problem {
    let detail = error.to_string();
    let field = if origin == Some(Origin::Unsaved) { "code" } else { "logic" };
    match error {
        TrialError::Busy => Problem::new(Kind::Busy, detail).with_header(RETRY_AFTER, "2"),
        TrialError::Db(error) => error.into(),
        TrialError::NoTarget => Problem::new(Kind::NotFound, detail),
        TrialError::Start(StartError::Compile(error)) => does_not_load(field, &error),
        TrialError::Start(StartError::Spawn(message)) => Problem::new(Kind::Unavailable, message),
        TrialError::Start(StartError::Limit(message) | StartError::Crashed(message)) => {
            Problem::validation(vec![FieldError::new(field, format!("cannot be loaded: {message}"))])
        }
        TrialError::NoAccount => Problem::validation(vec![FieldError::new("accountId", detail)]),
        TrialError::Bad(_) | TrialError::Quarantined(_) | TrialError::Recording(_) | TrialError::Planning => {
            Problem::new(Kind::State, detail)
        }
    }
}
