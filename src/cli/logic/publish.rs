//! `logic publish` and `logic rollback`.

use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::{Map, Value, json};

use super::super::Failure;
use super::super::args::{CanaryShare, ForceAll, PublishLogic, Share, TargetName};
use super::super::client::{Client, Tagged};
use super::super::print::{inset, quoted, say, say_json, tell_warnings};
use super::super::source::Source;
use super::super::target::find;
use super::super::terminal::agrees;
use super::canary::tell_canary;
use super::report::publishable;
use super::{accounts, by_whom, draft, logic_of, submit, time};

/// Publishes the draft, or a file that becomes it.
pub async fn publish(publish: PublishLogic, as_json: bool) -> Result<(), Failure> {
    let PublishLogic { name, source, saved_by, note, canary, force } = publish;
    let source = Source::of(&source)?;
    let (client, id) = find(&name).await?;
    let seen = match source {
        Some(source) => {
            let saved = draft::save(&client, &id, source, as_json).await?;
            publishable(&saved.body["draft"])?;
            saved.tag
        }
        None => draft_of(&client, &id, &name, saved_by.as_deref()).await?,
    };
    let mut body = about(note, &force);
    if let Some(canary) = trial(&canary) {
        body.insert("canary".into(), canary);
    }
    make_version(&client, &id, &name, Order { action: "publish", body, seen }, &force, as_json).await
}

/// The tag of the draft that is to be published: the caller's own, or that of the
/// token which is named.
async fn draft_of(
    client: &Client,
    id: &str,
    name: &TargetName,
    saved_by: Option<&str>,
) -> Result<Option<String>, Failure> {
    let logic = client.request(Method::GET, &format!("/targets/{id}/logic"));
    let Tagged { body, tag } = client.try_send_tagged(logic).await??;
    let draft = &body["draft"];
    if draft.is_null() {
        return Ok(tag);
    }
    let is_meant = match saved_by {
        Some(word) => draft["savedBy"] == word || draft["savedByTokenId"] == word,
        None => is_of(draft, &client.get("/me").await?["token"]),
    };
    if is_meant { Ok(tag) } else { Err(not_meant(draft, name)) }
}

fn is_of(draft: &Value, token: &Value) -> bool {
    match draft["savedByTokenId"].as_str() {
        Some(id) => token["id"] == id,
        // It was saved before ids were kept.
        None => draft["savedBy"] == token["name"],
    }
}

fn not_meant(draft: &Value, name: &TargetName) -> Failure {
    let words = name.words();
    let by = draft["savedBy"].as_str().unwrap_or_default();
    let word = draft["savedByTokenId"].as_str().unwrap_or(by);
    Failure::Conflict(format!(
        "the draft was saved by {}, {}: nothing was published\n\
         hint: `provisiond logic diff {words}` shows what it changes, \
         `provisiond logic publish --saved-by={} {words}` publishes it",
        inset(&by_whom(draft, "savedBy")),
        time(&draft["updatedAt"]),
        quoted(word)
    ))
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
        None => none_on_trial(&logic["canary"], &name.words())?,
    }
    make_version(&client, &id, name, Order { action: "rollback", body, seen: None }, force, as_json).await
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

/// What the daemon is asked for.
struct Order {
    action: &'static str,
    body: Map<String, Value>,
    /// The tag of the draft that the person has seen.
    seen: Option<String>,
}

async fn make_version(
    client: &Client,
    id: &str,
    name: &TargetName,
    order: Order,
    force: &ForceAll,
    as_json: bool,
) -> Result<(), Failure> {
    let Order { action, body, seen } = order;
    if force.force_all && !force.yes {
        ask(client, id, &name.target).await?;
    }
    let mut request = client.request(Method::POST, &format!("/targets/{id}/logic/{action}")).json(&body);
    if let Some(tag) = seen {
        request = request.header(IF_MATCH, tag);
    }
    let made = submit(client, request, None, as_json).await?;
    if as_json {
        say_json(&made);
        return Ok(());
    }
    let restored =
        made["restores"].as_i64().map_or(String::new(), |it| format!(", which is version {it} again"));
    say(&format!("published version {} of {}{restored}", made["version"], name.target));
    let settings = client.get(&format!("/targets/{id}")).await?;
    tell_next(&made, &settings, &name.words());
    Ok(())
}

async fn ask(client: &Client, id: &str, target: &str) -> Result<(), Failure> {
    let preview = client.post(&format!("/targets/{id}/filter/preview")).await?;
    let all = accounts(&preview["total"]);
    tell_warnings(&preview);
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
