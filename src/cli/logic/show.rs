//! `logic show` and `logic versions`.

use serde_json::Value;

use super::super::Failure;
use super::super::args::TargetName;
use super::super::client::Client;
use super::super::print::{say, say_json};
use super::canary::{in_short, tell_figures};
use super::report::{packages_in_short, tests_in_short};
use super::{by_whom, logic_of, time};

/// All on one screen.
pub async fn show(name: &TargetName, as_json: bool) -> Result<(), Failure> {
    let (_, _, logic) = logic_of(name).await?;
    if as_json {
        say_json(&logic);
        return Ok(());
    }
    match version(&logic, &logic["publishedVersion"]) {
        Some(version) => say(&format!("published  {}", about(version))),
        None => match logic["publishedVersion"].as_i64() {
            Some(number) => say(&format!("published  version {number}")),
            None => say("published  nothing"),
        },
    }
    if logic["canary"].is_object() {
        say(&format!("canary     {}", in_short(&logic["canary"])));
    }
    if logic["canary"]["state"] == "running" {
        tell_figures(&logic["canary"]);
    }
    tell_draft(&logic);
    Ok(())
}

fn version<'a>(logic: &'a Value, number: &Value) -> Option<&'a Value> {
    logic["versions"].as_array()?.iter().find(|version| version["version"] == *number)
}

fn about(version: &Value) -> String {
    let note = note(version);
    let dash = if note.is_empty() { "" } else { ": " };
    format!(
        "version {}, by {}, {}{dash}{note}",
        version["version"],
        by_whom(version, "publishedBy"),
        time(&version["publishedAt"])
    )
}

/// What it restores, and why it was published.
fn note(version: &Value) -> String {
    let restores = version["restores"].as_i64().map(|number| format!("version {number} again"));
    let note = version["note"].as_str().filter(|note| !note.is_empty()).map(str::to_owned);
    restores.into_iter().chain(note).collect::<Vec<_>>().join("; ")
}

fn tell_draft(logic: &Value) {
    let draft = &logic["draft"];
    if draft.is_null() {
        say("draft      none");
        return;
    }
    let (by, at) = (by_whom(draft, "savedBy"), time(&draft["updatedAt"]));
    let mut versions = logic["versions"].as_array().into_iter().flatten();
    let same = versions.find(|version| version["artefact"]["id"] == draft["artefact"]["id"]);
    let same =
        same.map_or(String::new(), |version| format!(", as published in version {}", version["version"]));
    say(&format!("draft      saved by {by}, {at}{same}"));
    match draft["report"]["problem"].as_str() {
        Some(problem) => say(&format!("           not built: {problem}")),
        None => say(&format!("           built, {}", tests_in_short(&draft["report"]["tests"]))),
    }
    if let Some([_, ..]) = draft["artefact"]["packages"].as_array().map(Vec::as_slice) {
        say(&format!("           with {}", packages_in_short(&draft["artefact"]["packages"])));
    }
}

async fn history(client: &Client, id: &str) -> Result<Vec<Value>, Failure> {
    let (mut versions, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page = client.get(&format!("/targets/{id}/logic/versions?limit=500{cursor}")).await?;
        if let Some(items) = page["items"].as_array_mut() {
            versions.append(items);
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(versions),
        }
    }
}

/// The history.
pub async fn versions(name: &TargetName, as_json: bool) -> Result<(), Failure> {
    let (client, id, logic) = logic_of(name).await?;
    let versions = history(&client, &id).await?;
    if as_json {
        say_json(&Value::Array(versions));
        return Ok(());
    }
    if versions.is_empty() {
        say("nothing was published yet");
    }
    for version in &versions {
        let number = &version["version"];
        let on_trial = logic["canary"]["state"] == "running" && logic["canary"]["version"] == *number;
        let state = match () {
            () if logic["publishedVersion"] == *number => "published",
            () if on_trial => "on trial",
            () => "",
        };
        let line = format!(
            "{:>6}  {:<9}  {}  {:<32}  {}",
            number.as_i64().unwrap_or(0),
            state,
            time(&version["publishedAt"]),
            by_whom(version, "publishedBy"),
            note(version)
        );
        say(line.trim_end());
    }
    Ok(())
}
