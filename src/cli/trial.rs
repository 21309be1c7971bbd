//! `provisiond logic test` and `provisiond run replay`.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Failure;
use super::args::{LogicChoice, ReplayRun, TestLogic, TestWhom};
use super::client::Client;
use super::import::percent;
use super::logic::{name_file, submit};
use super::print::{inset, say_json};
use super::source::{Source, read_json};
use super::target::find;
use super::trial_report::{tell_plan, tell_replay, tell_run};

/// How often a plan is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Runs logic for an account, or for many.
pub async fn test(test: TestLogic, as_json: bool) -> Result<(), Failure> {
    let (client, id) = find(&test.name).await?;
    let mut body = body(&client, &id, &test).await?;
    let file = choose(&mut body, &test.logic)?;
    let request =
        client.request(Method::POST, &format!("/targets/{id}/logic/test")).json(&Value::Object(body));
    let mut answer = submit(&client, request, file.as_deref(), as_json).await?;
    if answer["state"] == "running" {
        answer = follow(&client, &id, &answer).await?;
    }
    if let Some(file) = file.as_deref().filter(|_| !as_json) {
        name_file(&mut answer, file);
    }
    let is_plan = answer["plan"].is_object();
    match (as_json, is_plan) {
        (true, _) => say_json(&answer),
        (false, true) => tell_plan(&answer),
        (false, false) => tell_run(&answer),
    }
    if is_plan { well_planned(&answer) } else { well_run(&answer) }
}

/// Runs a failed run again.
pub async fn replay(replay: ReplayRun, as_json: bool) -> Result<(), Failure> {
    let ReplayRun { run, logic, answers, remote } = replay;
    let client = Client::new(&remote)?;
    let mut body = Map::new();
    let file = choose(&mut body, &logic)?;
    add_answers(&mut body, answers.as_deref())?;
    let path = format!("/runs/{}/replay", percent(&run));
    let request = client.request(Method::POST, &path).json(&Value::Object(body));
    let mut answer = submit(&client, request, file.as_deref(), as_json).await?;
    if as_json {
        say_json(&answer);
    } else {
        // What was recorded ran another text.
        file.iter().for_each(|file| name_file(&mut answer["replayed"], file));
        tell_replay(&answer);
    }
    well_run(&answer["replayed"])
}

fn well_run(run: &Value) -> Result<(), Failure> {
    match run["outcome"]["status"].as_str() {
        Some("provisionFailed") => Err(Failure::Failed("the run would fail".into())),
        _ => Ok(()),
    }
}

fn well_planned(plan: &Value) -> Result<(), Failure> {
    let failures = plan["plan"]["failures"].as_u64().unwrap_or(0);
    match plan["state"].as_str() {
        Some("finished") if failures == 0 => Ok(()),
        Some("finished") => Err(Failure::Failed(format!("{failures} of the runs would fail"))),
        _ => Err(Failure::Failed(inset(plan["reason"].as_str().unwrap_or("the plan was not finished")))),
    }
}

async fn body(client: &Client, target: &str, test: &TestLogic) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    add_answers(&mut body, test.answers.as_deref())?;
    let TestWhom { account, made_up, sample } = &test.who;
    if let Some(account) = account {
        body.insert("accountId".into(), account_id(client, target, account).await?.into());
    }
    if let Some(file) = made_up {
        body.insert("account".into(), read_json(file)?);
    }
    if let Some(sample) = sample {
        body.insert(
            "sample".into(),
            sample.parse::<i64>().map_or_else(|_| json!(sample), |number| json!(number)),
        );
    }
    if let Some(reason) = &test.reason {
        body.insert("reason".into(), json!(reason));
    }
    if test.offline {
        body.insert("reads".into(), json!(false));
    }
    Ok(body)
}

/// Says which logic; the name of the file that it is in, if it is in one.
fn choose(body: &mut Map<String, Value>, choice: &LogicChoice) -> Result<Option<String>, Failure> {
    if let Some(logic) = &choice.logic {
        body.insert(
            "logic".into(),
            logic.parse::<i64>().map_or_else(|_| json!(logic), |number| json!(number)),
        );
    }
    let source = Source::of(&choice.source)?;
    Ok(source.map(|source| {
        let name = source.name.clone();
        source.add_to(body);
        name
    }))
}

fn add_answers(body: &mut Map<String, Value>, file: Option<&Path>) -> Result<(), Failure> {
    if let Some(file) = file {
        body.insert("answers".into(), read_json(file)?);
    }
    Ok(())
}

/// An id stays; a user name is looked up in the target's store.
pub async fn account_id(client: &Client, target: &str, account: &str) -> Result<String, Failure> {
    if account.chars().all(|c| c.is_ascii_digit()) {
        return Ok(account.to_owned());
    }
    let settings = client.get(&format!("/targets/{target}")).await?;
    let store = settings["storeId"].as_str().unwrap_or_default();
    let found = client.get(&format!("/stores/{store}/accounts?userName={}", percent(account))).await?;
    let id = found["items"][0]["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| Failure::Failed(format!("the target's store has no account `{account}`")))
}

/// Shows a bar until a plan has ended; interrupted, the plan is cancelled.
async fn follow(client: &Client, target: &str, begun: &Value) -> Result<Value, Failure> {
    let path = format!("/targets/{target}/logic/plans/{}", begun["id"].as_str().unwrap_or_default());
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} {eta} left");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or(ProgressStyle::default_bar()));
    let ended = tokio::select! {
        ended = until_ended(client, &path, &bar) => ended,
        _ = tokio::signal::ctrl_c() => client.send(client.request(Method::DELETE, &path)).await,
    };
    bar.finish_and_clear();
    ended
}

async fn until_ended(client: &Client, path: &str, bar: &ProgressBar) -> Result<Value, Failure> {
    loop {
        let plan = client.get(path).await?;
        bar.set_length(plan["plan"]["total"].as_u64().unwrap_or(0));
        bar.set_position(plan["plan"]["tried"].as_u64().unwrap_or(0));
        if plan["state"] != "running" {
            return Ok(plan);
        }
        tokio::time::sleep(LOOK).await;
    }
}
