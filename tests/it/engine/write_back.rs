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
