//! `logic put` and `logic validate`.

use std::path::Path;

use reqwest::Method;
use serde_json::{Map, json};

use super::super::Failure;
use super::super::args::TargetName;
use super::super::client::{Client, Tagged};
use super::super::print::{say, say_json};
use super::super::source::Source;
use super::super::target::find;
use super::report::{publishable, tell_draft};
use super::{submit, submit_tagged};

/// Saves a file as the draft.
pub async fn put(
    name: &TargetName,
    file: &Path,
    dependencies: Option<&Path>,
    as_json: bool,
) -> Result<(), Failure> {
    let source = Source::read(file, dependencies)?;
    let (client, id) = find(name).await?;
    let answer = save(&client, &id, source, as_json).await?.body;
    if as_json {
        say_json(&answer);
    }
    publishable(&answer["draft"])?;
    if !as_json {
        say(&format!(
            "saved the draft of {}; `provisiond logic publish {}` makes it run",
            name.target,
            name.words()
        ));
    }
    Ok(())
}

/// Sends a file, and tells what was found unless it is to be JSON.
pub async fn save(client: &Client, id: &str, source: Source, as_json: bool) -> Result<Tagged, Failure> {
    let (mut body, file) = (Map::new(), source.name.clone());
    source.add_to(&mut body);
    let request = client.request(Method::PUT, &format!("/targets/{id}/logic")).json(&body);
    let answer = submit_tagged(client, request, Some(&file), as_json).await?;
    if !as_json {
        tell_draft(&answer.body["draft"], Some(&file));
    }
    Ok(answer)
}

/// Builds and tests the draft again.
pub async fn validate(name: &TargetName, update: bool, as_json: bool) -> Result<(), Failure> {
    let (client, id) = find(name).await?;
    let path = format!("/targets/{id}/logic/validate");
    let request = client.request(Method::POST, &path).json(&json!({ "update": update }));
    let answer = submit(&client, request, None, as_json).await?;
    let draft = &answer["draft"];
    if as_json {
        say_json(&answer);
    } else {
        tell_draft(draft, None);
    }
    publishable(draft)?;
    if !as_json {
        say(&format!("`provisiond logic publish {}` makes it run", name.words()));
    }
    Ok(())
}
