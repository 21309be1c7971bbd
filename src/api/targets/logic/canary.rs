//! A version that some accounts run first.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ApiState, CanaryView, Endpoint, EngineState, effect, note};
use crate::domain::canary::{Canary, Share};
use crate::domain::filter::Filter;
use crate::domain::ids::TargetId;
use crate::domain::subject::FieldError;
use crate::domain::target::Target;
use crate::domain::who::Who;
use crate::http::auth::Editor;
use crate::http::path::Id;
use crate::http::{Authorized, Kind, OptionalJsonBody, Problem};
use crate::storage::canaries::{self, CanaryRow};
use crate::storage::{Connection, preview, targets};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/targets/{id}/logic/canary/promote", promote),
        Endpoint::post("/targets/{id}/logic/canary/rollback", roll_back),
    ]
}

/// Most accounts that are chosen by number; beyond that, a share does.
const MOST_ACCOUNTS: u32 = 1_000;
/// How many accounts have run before it is judged, when nobody says.
const USUAL_RUNS: u32 = 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CanaryBody {
    accounts: Option<u32>,
    percent: Option<u8>,
    max_failure_percent: Option<u8>,
    min_runs: Option<u32>,
}

/// What was asked for, before accounts are chosen.
pub(super) struct Wanted {
    share: WantedShare,
    max_failure_percent: u8,
    /// As many as there are, up to the usual number, when nobody said.
    min_runs: Option<u32>,
}

enum WantedShare {
    Accounts(u32),
    Percent(u8),
}

impl CanaryBody {
    pub fn read(self) -> Result<Wanted, Problem> {
        let bad = |field: &str, rule: &str| {
            Problem::validation(vec![FieldError::new(format!("canary.{field}"), rule)])
        };
        let share = match (self.accounts, self.percent) {
            (Some(accounts), None) if (1..=MOST_ACCOUNTS).contains(&accounts) => {
                WantedShare::Accounts(accounts)
            }
            (Some(_), None) => return Err(bad("accounts", "must lie within 1 and 1000")),
            (None, Some(percent)) if (1..=99).contains(&percent) => WantedShare::Percent(percent),
            (None, Some(_)) => return Err(bad("percent", "must lie within 1 and 99")),
            _ => return Err(bad("accounts", "or `percent` must be given, and not both")),
        };
        let max_failure_percent = self.max_failure_percent.unwrap_or(10);
        if max_failure_percent > 100 {
            return Err(bad("maxFailurePercent", "must lie within 0 and 100"));
        }
        if self.min_runs.is_some_and(|runs| !(1..=1_000_000).contains(&runs)) {
            return Err(bad("minRuns", "must lie within 1 and 1000000"));
        }
        Ok(Wanted { share, max_failure_percent, min_runs: self.min_runs })
    }
}

/// What was asked for, with the accounts.
pub(super) struct Chosen {
    share: Share,
    max_failure_percent: u8,
    min_runs: u32,
}

/// Chooses the accounts, if they are to be chosen by number.
pub(super) fn choose(
    connection: &mut Connection,
    target: &Target,
    wanted: Wanted,
) -> Result<Chosen, Problem> {
    let Wanted { share, max_failure_percent, min_runs } = wanted;
    let filter = Filter::parse(&target.settings.filter).map_err(Problem::internal)?;
    let share = match share {
        WantedShare::Percent(percent) => share_of(connection, target, &filter, percent)?,
        WantedShare::Accounts(most) => {
            let chosen = canaries::choose(connection, target.store, &filter, most)?;
            if chosen.is_empty() {
                let sentence = "no account is in scope that could run it first: publish without `canary`";
                return Err(Problem::new(Kind::State, sentence));
            }
            Share::Subjects(chosen)
        }
    };
    // Of few accounts, each one counts.
    let usual = match &share {
        Share::Subjects(chosen) | Share::Sample(_, chosen) => {
            u32::try_from(chosen.len()).unwrap_or(u32::MAX).min(USUAL_RUNS)
        }
        Share::Percent(_) => USUAL_RUNS,
    };
    let min_runs = min_runs.unwrap_or(usual);
    Ok(Chosen { share, max_failure_percent, min_runs })
}

/// Of few accounts, exactly that share is chosen, and one at least: a trial that
/// nobody runs would never be judged.
fn share_of(
    connection: &mut Connection,
    target: &Target,
    filter: &Filter,
    percent: u8,
) -> Result<Share, Problem> {
    let in_scope = preview::preview(connection, target.store, target.id, filter)?.total;
    let wanted = (in_scope.unsigned_abs() * u64::from(percent)).div_ceil(100);
    match u32::try_from(wanted) {
        Ok(wanted) if (1..=MOST_ACCOUNTS).contains(&wanted) => {
            Ok(Share::Sample(percent, canaries::choose(connection, target.store, filter, wanted)?))
        }
        _ => Ok(Share::Percent(percent)),
    }
}

/// Begins the trial of a version, in place of one that is running. The target is
/// locked.
pub(super) fn begin(
    connection: &mut Connection,
    target: &Target,
    version: i32,
    chosen: Chosen,
    by: &Who,
) -> Result<CanaryRow, Problem> {
    let Some(base) = target.logic_version else {
        let rule =
            "needs a published version that the other accounts run meanwhile: publish without it first";
        return Err(Problem::validation(vec![FieldError::new("canary", rule)]));
    };
    let Chosen { share, max_failure_percent, min_runs } = chosen;
    let canary = Canary { version, share, max_failure_percent, min_runs };
    canaries::roll_back(connection, target.id, by, &format!("version {version} took its place"))?;
    Ok(canaries::start(connection, target.id, base, &canary, by)?)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PromoteBody {
    note: Option<String>,
    /// Every account in scope runs at once; otherwise none does because of it.
    force: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct RollbackBody {
    note: Option<String>,
}

/// All accounts run the version on trial from now on.
async fn promote(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
    OptionalJsonBody(body): OptionalJsonBody<PromoteBody>,
) -> Result<HttpResponse, Problem> {
    let (by, why) = (editor.caller.who(), note(body.note)?);
    let (ended, effect) = state
        .change(move |connection| {
            let target = targets::find(connection, id)?;
            let effect = effect::begin(connection, &target, body.force)?;
            targets::lock(connection, id)?;
            let ended = canaries::promote(connection, id, &by, &why)?.ok_or_else(no_trial)?;
            Ok::<_, Problem>((ended, effect))
        })
        .await?;
    let mut answer = ended_view(id, &ended);
    answer.extend(effect::tell(&engine, id, &effect));
    Ok(HttpResponse::Ok().json(answer))
}

/// No account runs the version on trial any more.
async fn roll_back(
    editor: Authorized<Editor>,
    state: web::Data<ApiState>,
    engine: web::Data<EngineState>,
    Id(id): Id<TargetId>,
    OptionalJsonBody(body): OptionalJsonBody<RollbackBody>,
) -> Result<HttpResponse, Problem> {
    let (by, why) = (editor.caller.who(), note(body.note)?);
    let ended = state
        .change(move |connection| {
            targets::lock(connection, id)?;
            canaries::roll_back(connection, id, &by, &why)?.ok_or_else(no_trial)
        })
        .await?;
    engine.engine.look_round();
    Ok(HttpResponse::Ok().json(ended_view(id, &ended)))
}

fn no_trial() -> Problem {
    Problem::new(Kind::State, "no version is on trial at this target")
}

fn ended_view(id: TargetId, ended: &CanaryRow) -> Map<String, Value> {
    let members = [("targetId", json!(id)), ("canary", json!(CanaryView::of(ended)))];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
