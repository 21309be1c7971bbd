//! Attributes written back: seen by others, no loop, nothing lost.

use std::time::Duration;

use serde_json::json;

use super::{RECORD, settings, settings_with};
use crate::support::app::TestApp;
use crate::support::sink::{Answer, Sink};

const MAILBOX: &str = r#"export default async (ctx) => {
    await fetch(ctx.target.config.url + "/mailbox", { method: "POST", body: ctx.account.userName });
    return { status: "provisioned", attributes: { mailbox: { address: ctx.account.userName + "@example.org" } } };
}"#;

#[tokio::test]
async fn a_write_back_wakes_the_others_and_not_its_own_target() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let mailbox = app.target(&store, settings("mailbox", &sink), MAILBOX).await;
    let filter = json!({ "filter": "mailbox.address pr" });
    let crm = app.target(&store, settings_with("crm", &sink, filter), RECORD).await;
    let ada = app.account(&store, "ada", json!({ "title": "Director", "mailbox": { "quota": 5 } })).await;
    app.until_status(&ada, &mailbox, "provisioned").await;
    app.until_status(&ada, &crm, "provisioned").await;
    app.until_idle(&mailbox).await;
    let record = app.get(&format!("/accounts/{ada}")).await;
    assert_eq!(record["attributes"]["mailbox"], json!({ "quota": 5, "address": "ada@example.org" }));
    assert_eq!(record["version"], 2);
    assert_eq!(app.runs(&mailbox, &ada).await.len(), 1);
    assert_eq!(app.runs(&crm, &ada).await[0]["trigger"], "enteredFilter");
    assert_eq!(sink.calls_about("mailbox").len(), 2);
}

#[tokio::test]
async fn changes_during_a_run_give_exactly_one_more_with_the_newest_version() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(1_500)).times(1));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({ "n": 0 })).await;
    sink.wait_until(|calls| calls.len() == 1).await;
    app.set(&ada, json!({ "n": 1 })).await;
    app.set(&ada, json!({ "n": 2 })).await;
    sink.wait_for(2).await;
    app.until_status(&ada, &target, "provisioned").await;
    app.until_idle(&target).await;
    let calls = sink.calls();
    assert_eq!(calls.len(), 2, "{calls:#?}");
    assert_eq!(calls[1].json()["attributes"]["n"], 2);
    assert_eq!(calls[1].json()["version"], 3);
    assert!(!calls[0].overlaps(&calls[1]));
}

#[tokio::test]
async fn a_write_back_beside_a_change_loses_neither() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(800)).times(1));
    let store = app.store("people").await;
    let mailbox = app.target(&store, settings("mailbox", &sink), MAILBOX).await;
    let ada = app.account(&store, "ada", json!({})).await;
    sink.wait_until(|calls| calls.len() == 1).await;
    app.set(&ada, json!({ "title": "Director" })).await;
    app.until_runs(&mailbox, &ada, 2).await;
    app.until_idle(&mailbox).await;
    let record = app.get(&format!("/accounts/{ada}")).await;
    assert_eq!(record["attributes"]["title"], "Director");
    assert_eq!(record["attributes"]["mailbox"]["address"], "ada@example.org");
    assert_eq!(app.runs(&mailbox, &ada).await.len(), 2);
}

/// The personnel system does not know the mailbox, and must not erase it.
#[tokio::test]
async fn imports_and_puts_keep_what_logic_wrote_back() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let mailbox = app.target(&store, settings("mailbox", &sink), MAILBOX).await;
    let line = json!({ "userName": "ada", "attributes": { "title": "Director" } });
    let ada = app.account(&store, "ada", line["attributes"].clone()).await;
    app.until_status(&ada, &mailbox, "provisioned").await;
    assert_eq!(app.import(&store, "", line.to_string()).await["unchanged"], 1);
    let promoted = json!({ "userName": "ada", "attributes": { "title": "Chair" } });
    assert_eq!(app.import(&store, "", promoted.to_string()).await["updated"], 1);
    let record = app.get(&format!("/accounts/{ada}")).await;
    assert_eq!(record["attributes"]["title"], "Chair");
    assert_eq!(record["attributes"]["mailbox"]["address"], "ada@example.org");

    // Nor by another way, nor by naming the mailbox for something else.
    let put = json!({ "userName": "ada", "attributes": { "mailbox": { "quota": 5 } } });
    app.call(reqwest::Method::PUT, &format!("/accounts/{ada}"), Some(put.clone())).await.expect(200);
    app.until_idle(&mailbox).await;
    let record = app.get(&format!("/accounts/{ada}")).await;
    assert_eq!(record["attributes"], json!({ "mailbox": { "quota": 5, "address": "ada@example.org" } }));
    assert_eq!(app.import(&store, "", put.to_string()).await["unchanged"], 1);
}

/// Logic that writes an attribute, made of the account's version so that each run
/// writes something new.
fn writes(attribute: &str) -> String {
    format!(
        r#"export default async (ctx) => ({{ status: "provisioned",
            attributes: {{ {attribute}: ctx.target.name + ctx.account.version }} }});"#
    )
}

async fn version(app: &TestApp, account: &str) -> i64 {
    app.get(&format!("/accounts/{account}")).await["version"].as_i64().unwrap()
}

#[tokio::test]
async fn two_targets_that_write_one_attribute_are_stopped_and_named() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let hr = app.target(&store, settings("hris", &sink), &writes("mail")).await;
    let crm = app.target(&store, settings("crm", &sink), &writes("mail")).await;
    let ada = app.account(&store, "ada", json!({})).await;
    let refused = app
        .until("one of them to be refused".into(), async || {
            let both = [app.provision(&ada, &hr).await, app.provision(&ada, &crm).await];
            let failed = both.iter().find(|one| one["status"] == "provisionFailed").cloned();
            failed.ok_or(json!(both))
        })
        .await;
    let message = refused["message"].as_str().unwrap();
    assert!(message.starts_with("`mail` is not written back: the targets `"), "{message}");
    assert!(message.contains("`hris`") && message.contains("`crm`"), "{message}");
    assert_eq!(refused["errorClass"], "logic");
    // It changed hands three times; runs that began beside each other add a few.
    app.until_idle(&hr).await;
    app.until_idle(&crm).await;
    let stopped_at = version(&app, &ada).await;
    assert!((5..=12).contains(&stopped_at), "{stopped_at}");
    let other = if refused["target"] == "hris" { &crm } else { &hr };
    assert_eq!(app.provision(&ada, other).await["status"], "provisioned");

    // When somebody edits the account, it may be written again.
    app.set(&ada, json!({ "mail": "by hand" })).await;
    app.until("the refused one to write".into(), async || {
        let after = version(&app, &ada).await;
        if after >= stopped_at + 3 { Ok(()) } else { Err(json!(after)) }
    })
    .await;
}

/// One sets it on creation, another one clears it at the end; and a target takes over
/// what one wrote that is gone.
#[tokio::test]
async fn an_attribute_may_pass_from_target_to_target() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let sets = r#"export default async (ctx) => ({ status: "provisioned",
        attributes: ctx.account.attributes.badge ? undefined : { badge: "B-1" } });"#;
    let sets = app.target(&store, settings("badges", &sink), sets).await;
    let ada = app.account(&store, "ada", json!({ "works": true })).await;
    app.until_status(&ada, &sets, "provisioned").await;
    let clears = r#"export default async (ctx) => ctx.reason === "provision" ? { status: "provisioned" }
        : { status: "deprovisioned", attributes: { badge: null } };"#;
    let filter = json!({ "filter": "works eq true", "guard": { "percent": 100 } });
    let clears = app.target(&store, settings_with("doors", &sink, filter), clears).await;
    app.until_status(&ada, &clears, "provisioned").await;
    for round in 0..6 {
        app.set(&ada, json!({ "works": false })).await;
        app.until_status(&ada, &clears, "deprovisioned").await;
        app.set(&ada, json!({ "works": true })).await;
        app.until_status(&ada, &clears, "provisioned").await;
        app.until_idle(&sets).await;
        let status = app.provision(&ada, &sets).await;
        assert_eq!(status["status"], "provisioned", "round {round}: {status}");
    }

    let first = app.target(&store, settings("first", &sink), &writes("mail")).await;
    app.until_status(&ada, &first, "provisioned").await;
    app.delete(&format!("/targets/{}?name=first", first.id)).await.expect(204);
    let second = app.target(&store, settings("second", &sink), &writes("mail")).await;
    app.until_status(&ada, &second, "provisioned").await;
    let record = app.get(&format!("/accounts/{ada}")).await;
    assert!(record["attributes"]["mail"].as_str().unwrap().starts_with("second"), "{record}");
}

/// Two targets that answer each other by different attributes.
#[tokio::test]
async fn write_backs_in_a_row_are_braked() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let ping = app.target(&store, settings("ping", &sink), &writes("ping")).await;
    let pong = app.target(&store, settings("pong", &sink), &writes("pong")).await;
    let ada = app.account(&store, "ada", json!({})).await;
    let braked = app
        .until("the brake".into(), async || {
            let both = [app.provision(&ada, &ping).await, app.provision(&ada, &pong).await];
            let waits = |one: &&serde_json::Value| {
                one["message"].as_str().unwrap().starts_with("the write-back waits until ")
            };
            both.iter().find(waits).cloned().ok_or(json!(both))
        })
        .await;
    let message = braked["message"].as_str().unwrap();
    assert!(message.contains("look whether `ping`, `pong` answer each other"), "{message}");
    assert!(braked["nextRunAt"].is_string(), "{braked}");
    app.until_idle(&ping).await;
    app.until_idle(&pong).await;
    let braked_at = version(&app, &ada).await;
    assert!((2..=21).contains(&braked_at), "{braked_at}");
    // Somebody else's change frees it.
    app.set(&ada, json!({ "title": "Director" })).await;
    app.until("more versions".into(), async || {
        let after = version(&app, &ada).await;
        if after > braked_at + 10 { Ok(()) } else { Err(json!(after)) }
    })
    .await;
}
