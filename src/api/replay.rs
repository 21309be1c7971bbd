//! A run that failed, again and offline.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::Value;

use super::targets::{AnswerBody, ChoiceBody, asker, logic_to_run, problem, script};
use super::turns::Making;
use super::{ApiState, Endpoint, EngineState, runs};
use crate::domain::ids::{RunId, TargetId};
use crate::http::auth::Editor;
use crate::http::path::Id;
use crate::http::{Authorized, JsonBody, Kind, Problem, slow};
use crate::logic::{Dependencies, Language};
use crate::storage::{replays, targets};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint::post("/runs/{id}/replay", replay)]
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct ReplayBody {
    logic: Option<Value>,
    code: Option<String>,
    language: Option<Language>,
    package_dependencies: Option<Dependencies>,
    #[serde(default)]
    answers: Vec<AnswerBody>,
}

async fn replay(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    making: Making,
    Id(id): Id<RunId>,
    JsonBody(body): JsonBody<ReplayBody>,
) -> Result<HttpResponse, Problem> {
    let mut errors = Vec::new();
    let ReplayBody { logic, code, language, package_dependencies, answers } = body;
    let choice = ChoiceBody { logic, code, language, package_dependencies }.read(&mut errors);
    let script = script(answers, &mut errors);
    if !errors.is_empty() {
        return Err(Problem::validation(errors));
    }
    let found = state.run(move |connection| {
        let run = runs::find(connection, id)?;
        let kept = replays::find(connection, &run)?.ok_or_else(nothing_kept)?;
        let target = targets::find(connection, TargetId(run.target_id))?;
        Ok::<_, Problem>((run, kept, target))
    });
    let (run, kept, target) = found.await?;
    let logic = logic_to_run(&state, &engine, &making, target.id, target.logic_version, choice).await?;
    let origin = logic.origin;
    let trials = engine.trials.asked_by(asker(&editor));
    let ready = trials.replay(run, kept, logic, script).await;
    let ready = ready.map_err(|error| problem(error, Some(origin)))?;
    Ok(slow::json(async move {
        let mut answer = ready.run().await;
        answer["runId"] = id.to_string().into();
        answer
    }))
}

fn nothing_kept() -> Problem {
    let detail = "nothing is kept to run it again: only failed runs can be replayed, for as long as \
                  `limits.replayRetentionDays` says";
    Problem::new(Kind::State, detail)
}
