//! `logic canary …`

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::super::Failure;
use super::super::args::{CanaryCommand, TargetName};
use super::super::client::Client;
use super::super::print::{say, say_json};
use super::super::target::find;
use super::{accounts, by_whom, logic_of, time};

/// How often a trial is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Runs a canary command.
pub async fn run(command: CanaryCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        CanaryCommand::Status(name) => {
            let (_, _, logic) = logic_of(&name).await?;
            tell(&logic["canary"], &name, as_json);
            Ok(())
        }
        CanaryCommand::Wait(name) => wait(&name, as_json).await,
        CanaryCommand::Promote(name) => end(&name, "promote", None, as_json).await,
        CanaryCommand::Rollback { name, note } => end(&name, "rollback", note, as_json).await,
    }
}

fn tell(canary: &Value, name: &TargetName, as_json: bool) {
    if as_json {
        say_json(canary);
    } else if canary.is_null() {
        say(&format!("no version was ever on trial at {}", name.target));
    } else {
        tell_canary(canary, &name.words());
    }
}

/// A trial as it stands, or how it ended; `target` as commands name it.
pub fn tell_canary(canary: &Value, target: &str) {
    say(&in_short(canary));
    tell_figures(canary);
    if canary["state"] == "running" {
        let (percent, least) = (&canary["maxFailurePercent"], accounts(&canary["minRuns"]));
        say(&format!("it is rolled back by itself when more than {percent} % of at least {least} fail"));
        say(&format!(
            "`provisiond logic canary promote {target}` makes it the version of all, `… rollback …` takes it back"
        ));
    }
}

/// In one sentence.
pub fn in_short(canary: &Value) -> String {
    let version = &canary["version"];
    let by = by_whom(canary, "endedBy");
    let why = match canary["reason"].as_str() {
        None | Some("") => String::new(),
        Some(reason) => format!(": {reason}"),
    };
    let at = time(&canary["endedAt"]);
    match canary["state"].as_str().unwrap_or_default() {
        "running" => format!(
            "version {version} is on trial with {}, all others run version {}",
            share(canary),
            canary["baseVersion"]
        ),
        "promoted" => format!("version {version} was promoted by {by}, {at}{why}"),
        _ => format!("version {version} was rolled back by {by}, {at}{why}"),
    }
}

fn share(canary: &Value) -> String {
    match canary["percent"].as_u64() {
        Some(percent) if canary["accounts"].is_u64() => {
            format!("{percent} % of the accounts ({})", canary["accounts"])
        }
        Some(percent) => format!("{percent} % of the accounts"),
        None => accounts(&canary["accounts"]),
    }
}

/// Accounts that ran either version since it began, and those that failed last.
pub fn tell_figures(canary: &Value) {
    for figures in canary["figures"].as_array().into_iter().flatten() {
        let number = |name: &str| figures[name].as_u64().unwrap_or(0);
        let (version, failed) = (number("version"), number("failures"));
        say(&format!("  version {version:<4}  {} ran, {failed} failed", accounts(&figures["runs"])));
    }
}

async fn end(name: &TargetName, action: &str, note: Option<String>, as_json: bool) -> Result<(), Failure> {
    let (client, id) = find(name).await?;
    let body: Map<String, Value> = note.into_iter().map(|note| ("note".to_owned(), json!(note))).collect();
    let path = format!("/targets/{id}/logic/canary/{action}");
    let answer = client.send(client.request(Method::POST, &path).json(&body)).await?;
    if as_json {
        say_json(&answer);
        return Ok(());
    }
    let canary = &answer["canary"];
    tell_canary(canary, &name.words());
    let runs = if canary["state"] == "promoted" { &canary["version"] } else { &canary["baseVersion"] };
    say(&format!(
        "all accounts run version {runs} when something changes; `provisiond target force {}` runs them now",
        name.words()
    ));
    Ok(())
}

/// Shows a bar until enough accounts have run, or it was rolled back.
async fn wait(name: &TargetName, as_json: bool) -> Result<(), Failure> {
    let (client, id) = find(name).await?;
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} accounts, {msg} failed");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or(ProgressStyle::default_bar()));
    let canary = decided(&client, &id, &bar).await;
    bar.finish_and_clear();
    let canary = canary?;
    tell(&canary, name, as_json);
    match canary["state"].as_str() {
        Some("rolledBack") => Err(Failure::Failed("the version was rolled back".into())),
        _ => Ok(()),
    }
}

async fn decided(client: &Client, id: &str, bar: &ProgressBar) -> Result<Value, Failure> {
    loop {
        let status = client.get(&format!("/targets/{id}/status")).await?;
        let canary = &status["canary"];
        if canary.is_null() {
            return Err(Failure::Conflict("no version is on trial at this target".into()));
        }
        let (runs, enough) =
            (canary["figures"][0]["runs"].as_u64().unwrap_or(0), canary["minRuns"].as_u64().unwrap_or(0));
        bar.set_length(enough);
        bar.set_position(runs.min(enough));
        bar.set_message(canary["figures"][0]["failures"].as_u64().unwrap_or(0).to_string());
        if canary["state"] != "running" || runs >= enough {
            return Ok(canary.clone());
        }
        if status["enabled"] != true || status["paused"] == true {
            return Err(Failure::Conflict(format!(
                "the target does not run; {runs} of {enough} runs are done"
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}
