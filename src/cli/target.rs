//! `provisiond target …`

use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;

use super::args::{TargetCommand, TargetName};
use super::client::Client;
use super::import::percent;
use super::print::{say, say_json, say_pretty_json};
use super::wait::{Patience, standstill};
use super::{Failure, dead, held, sweep, wait};

/// Runs a target command.
pub async fn run(command: TargetCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        TargetCommand::List { store, remote } => list(&Client::new(&remote)?, store, as_json).await,
        TargetCommand::Show(name) => {
            let (client, id) = find(&name).await?;
            say_pretty_json(&client.get(&format!("/targets/{id}")).await?);
            Ok(())
        }
        TargetCommand::Status(name) => {
            let (client, id) = find(&name).await?;
            let status = client.get(&format!("/targets/{id}/status")).await?;
            if as_json {
                say_json(&status)
            } else {
                tell_status(&status)
            }
            Ok(())
        }
        TargetCommand::Force { name, no_wait } => force(&name, no_wait, as_json).await,
        TargetCommand::Cancel { name, sweep } => {
            let (client, id) = find(&name).await?;
            sweep::cancel(&client, &id, sweep, as_json).await
        }
        TargetCommand::Dead(name) => {
            let (client, id) = find(&name).await?;
            dead::list(&client, &id, as_json).await
        }
        TargetCommand::Retry { name, what } => {
            let (client, id) = find(&name).await?;
            dead::retry(&client, &id, &what, as_json).await
        }
        TargetCommand::Wait { name, settled, timeout } => {
            finish(&name, Patience { settled, most: timeout }, as_json).await
        }
        TargetCommand::Held(name) => {
            let (client, id) = find(&name).await?;
            held::list(&client, &id, as_json).await
        }
        TargetCommand::Pause(name) => act(&name, "pause", "paused").await,
        TargetCommand::Drain(name) => drain(&name).await,
        TargetCommand::Resume(name) => resume(&name).await,
        TargetCommand::Stop(name) => act(&name, "stop", "stopped").await,
    }
}

async fn targets(client: &Client, store: Option<&str>) -> Result<Vec<Value>, Failure> {
    let stores = match store {
        Some(store) => vec![percent(store)],
        None => {
            let list = client.get("/stores?limit=500").await?;
            let ids = list["items"].as_array().into_iter().flatten();
            ids.filter_map(|store| store["id"].as_str().map(str::to_owned)).collect()
        }
    };
    let mut targets = Vec::new();
    for store in stores {
        let list = client.get(&format!("/stores/{store}/targets")).await?;
        targets.extend(list["items"].as_array().cloned().unwrap_or_default());
    }
    Ok(targets)
}

async fn list(client: &Client, store: Option<String>, as_json: bool) -> Result<(), Failure> {
    let targets = targets(client, store.as_deref()).await?;
    if as_json {
        say_json(&Value::Array(targets));
        return Ok(());
    }
    for target in targets {
        let text = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
        let on = standstill(&target).map_or_else(|| text("mode"), str::to_owned);
        let needs: Vec<&str> =
            target["dependsOn"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let after = if needs.is_empty() { String::new() } else { format!("  after {}", needs.join(", ")) };
        say(&format!("{:>6}  {:<10}  {:<24}  {}{after}", text("id"), on, text("name"), text("filter")));
    }
    Ok(())
}

/// The daemon and the id of a target.
pub async fn find(name: &TargetName) -> Result<(Client, String), Failure> {
    let client = Client::new(&name.remote)?;
    if !name.target.is_empty() && name.target.chars().all(|c| c.is_ascii_digit()) {
        return Ok((client, name.target.clone()));
    }
    let named: Vec<Value> = targets(&client, name.store.as_deref())
        .await?
        .into_iter()
        .filter(|target| target["name"].as_str().is_some_and(|n| n.eq_ignore_ascii_case(&name.target)))
        .collect();
    match named.as_slice() {
        [one] => Ok((client, one["id"].as_str().unwrap_or_default().to_owned())),
        [] => Err(Failure::Failed(format!("there is no target `{}`", name.target))),
        _ => Err(Failure::Usage(format!(
            "several stores have a target `{}`\nhint: name the store with `--store`",
            name.target
        ))),
    }
}

async fn act(name: &TargetName, action: &str, done: &str) -> Result<(), Failure> {
    let (client, id) = find(name).await?;
    client.post(&format!("/targets/{id}/{action}")).await?;
    say(&format!("{done} target {}", name.target));
    Ok(())
}

/// Goes on; says what keeps the target from it.
async fn resume(name: &TargetName) -> Result<(), Failure> {
    act(name, "resume", "resumed").await?;
    let (client, id) = find(name).await?;
    let status = client.get(&format!("/targets/{id}/status")).await?;
    if standstill(&status).is_some() {
        say("the target is disabled: nothing of it runs");
    } else if let Some(reason) = status["breaker"]["reason"].as_str() {
        say(&format!("  {}", reason));
    }
    Ok(())
}

/// Pauses and waits for as long as runs take; interrupted, the target stays paused.
async fn drain(name: &TargetName) -> Result<(), Failure> {
    let (client, id) = find(name).await?;
    client.post(&format!("/targets/{id}/pause")).await?;
    let bar = ProgressBar::new_spinner();
    loop {
        let status = client.get(&format!("/targets/{id}/status")).await?;
        let (running, due) = (status["running"].as_i64().unwrap_or(0), &status["backlog"]);
        // What has ended is not over before it is written down.
        let unwritten = status["engine"]["leased"].as_i64().unwrap_or(0);
        if running + unwritten == 0 && status["engine"]["paused"] != false {
            bar.finish_and_clear();
            say(&format!("drained target {}: nothing runs, {due} wait for `target resume`", name.target));
            return Ok(());
        }
        bar.set_message(format!("{running} still run"));
        bar.tick();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn force(name: &TargetName, no_wait: bool, as_json: bool) -> Result<(), Failure> {
    let (client, id) = find(name).await?;
    let begun = client.post(&format!("/targets/{id}/force")).await?;
    if no_wait {
        if as_json {
            say_json(&begun);
        } else {
            say(&format!("{} accounts are to be provisioned again", begun["sweep"]["total"]));
        }
        return Ok(());
    }
    sweep::follow(&client, &begun["sweep"], &name.words()).await?;
    let status = client.get(&format!("/targets/{id}/status")).await?;
    report(&status, name, as_json)
}

async fn finish(name: &TargetName, patience: Patience, as_json: bool) -> Result<(), Failure> {
    let (client, id) = find(name).await?;
    let status = wait::until_done(&client, &id, patience).await?;
    report(&status, name, as_json)
}

/// Shows how the target stands; fails when not all is done.
fn report(status: &Value, name: &TargetName, as_json: bool) -> Result<(), Failure> {
    if as_json {
        say_json(status)
    } else {
        tell_status(status)
    }
    wait::all_done(status, &name.words())
}

fn tell_status(status: &Value) {
    let number = |name: &str| status[name].as_i64().unwrap_or(0);
    let state = standstill(status).map_or(String::new(), |state| format!("{state}; "));
    say(&format!(
        "{}: {state}{} due, {} running, {} scheduled, {:.0}/s",
        status["name"].as_str().unwrap_or_default(),
        number("backlog"),
        number("running"),
        number("scheduled"),
        status["perSecond"].as_f64().unwrap_or(0.0)
    ));
    if number("deadLetters") > 0 {
        say(&format!("  {:>8}  dead letters: see `target dead`", number("deadLetters")));
    }
    match status["held"]["waiting"].as_u64() {
        None | Some(0) => {}
        Some(waiting) => say(&format!("  {waiting:>8}  held")),
    }
    match status["blocked"].as_u64() {
        None | Some(0) => {}
        Some(blocked) => say(&format!("  {blocked:>8}  wait for other targets")),
    }
    if let Some(reason) = status["breaker"]["reason"].as_str() {
        say(&format!("  {reason}"));
    }
    for (name, count) in status["counts"].as_object().into_iter().flatten() {
        say(&format!("  {count:>8}  {name}"));
    }
}
