//! `logic publish` and `logic rollback`.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::super::Failure;
use super::super::args::{CanaryShare, ForceAll, PublishLogic, Share, TargetName};
use super::super::client::Client;
use super::super::exit::say;
use super::super::source::Source;
use super::super::target::find;
use super::super::terminal::agrees;
use super::canary::tell_canary;
use super::report::publishable;
use super::{accounts, draft, logic_of, submit};

/// Publishes the draft, or a file that becomes it.
pub async fn publish(publish: PublishLogic, as_json: bool) -> Result<(), Failure> {
    let PublishLogic { name, source, note, canary, force } = publish;
    let source = Source::of(&source)?;
    let (client, id) = find(&name).await?;
    if let Some(source) = source {
        let saved = draft::save(&client, &id, source, as_json).await?;
        publishable(&saved["draft"])?;
    }
    let mut body = about(note, &force);
    if let Some(canary) = trial(&canary) {
        body.insert("canary".into(), canary);
    }
    make_version(&client, &id, &name, "publish", body, &force, as_json).await
}

/// Publishes an earlier version again.
pub async fn roll_back(
    name: &TargetName,
    version: Option<u32>,
    note: Option<String>,
    force: &ForceAll,
    as_json: bool,
) -> Result<(), Failure> {
    let (client, id, logic) = logic_of(name).await?;
    let mut body = about(note, force);
    match version {
        Some(version) => _ = body.insert("version".into(), json!(version)),
        None => none_on_trial(&logic["canary"], &name.target)?,
    }
    make_version(&client, &id, name, "rollback", body, force, as_json).await
}

fn about(note: Option<String>, force: &ForceAll) -> Map<String, Value> {
    let mut body = Map::new();
    if let Some(note) = note {
        body.insert("note".into(), json!(note));
    }
    if force.force_all {
        body.insert("force".into(), json!(true));
    }
    body
}

fn trial(share: &CanaryShare) -> Option<Value> {
    let mut canary = match share.canary? {
        Share::Accounts(accounts) => json!({ "accounts": accounts }),
        Share::Percent(percent) => json!({ "percent": percent }),
    };
    if let Some(percent) = share.max_failures {
        canary["maxFailurePercent"] = json!(percent);
    }
    if let Some(runs) = share.min_runs {
        canary["minRuns"] = json!(runs);
    }
    Some(canary)
}

/// Whoever rolls back during a trial may mean the version on trial.
fn none_on_trial(canary: &Value, target: &str) -> Result<(), Failure> {
    if canary["state"] != "running" {
        return Ok(());
    }
    Err(Failure::Conflict(format!(
        "version {} is on trial\nhint: `provisiond logic canary rollback {target}` takes it back; \
         to go back behind version {} as well, name a version",
        canary["version"], canary["baseVersion"]
    )))
}

async fn make_version(
    client: &Client,
    id: &str,
    name: &TargetName,
    action: &str,
    body: Map<String, Value>,
    force: &ForceAll,
    as_json: bool,
) -> Result<(), Failure> {
    if force.force_all && !force.yes {
        ask(client, id, &name.target).await?;
    }
    let request = client.request(Method::POST, &format!("/targets/{id}/logic/{action}")).json(&body);
    let made = submit(client, request, None, as_json).await?;
    if as_json {
        say(&made.to_string());
        return Ok(());
    }
    let restored =
        made["restores"].as_i64().map_or(String::new(), |it| format!(", which is version {it} again"));
    say(&format!("published version {} of {}{restored}", made["version"], name.target));
    let settings = client.get(&format!("/targets/{id}")).await?;
    tell_next(&made, &settings, &name.target);
    Ok(())
}

async fn ask(client: &Client, id: &str, target: &str) -> Result<(), Failure> {
    let preview = client.post(&format!("/targets/{id}/filter/preview")).await?;
    let all = accounts(&preview["total"]);
    if agrees(&format!("{all} in scope of {target}: all run at once. Go on?"))? {
        return Ok(());
    }
    Err(Failure::Failed("nothing was published".into()))
}

/// Says what becomes of a version that was just made.
fn tell_next(made: &Value, settings: &Value, target: &str) {
    if settings["enabled"] != true {
        say("the target is not enabled: nothing runs before it is");
    }
    if made["canary"].is_object() {
        tell_canary(&made["canary"], target);
    }
    if made["sweep"].is_object() {
        let all = accounts(&made["sweep"]["total"]);
        say(&format!("runs now: {all}; `provisiond target wait {target}` waits for the end"));
    } else if settings["enabled"] == true {
        let all = accounts(&made["accountsToForce"]);
        let when = if settings["mode"] == "manual" { "you ask" } else { "something changes" };
        say(&format!("accounts run when {when}; `provisiond target force {target}` runs all now: {all}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_says_only_what_was_asked_for() {
        let share = |canary, max_failures, min_runs| CanaryShare { canary, max_failures, min_runs };
        assert_eq!(trial(&share(None, None, None)), None);
        assert_eq!(trial(&share(Some(Share::Accounts(20)), None, None)), Some(json!({ "accounts": 20 })));
        assert_eq!(
            trial(&share(Some(Share::Percent(5)), Some(0), Some(3))),
            Some(json!({ "percent": 5, "maxFailurePercent": 0, "minRuns": 3 }))
        );
    }
}
