//! Failures that nothing will retry: grouped, listed, retried.

use reqwest::Method;
use serde_json::{Value, json};

use super::{RECORD, settings, settings_with};
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

/// Fails for good with the account's name and a number in its message.
const REFUSES: &str = r#"
    export default async (ctx) => {
        const { userName, attributes } = ctx.account;
        if (attributes.fixed) return { status: "provisioned" };
        const message = attributes.kind === "licence"
            ? `no licence left for ${userName} (request ${Math.floor(Math.random() * 1e6)})`
            : `address ${userName}@example.org of "${userName}" is taken`;
        return { status: "provisionFailed", errorClass: "permanent", message };
    }
"#;

async fn groups(app: &TestApp, target: &TestTarget) -> Vec<Value> {
    let list = app.get(&format!("/targets/{}/deadletters", target.id)).await;
    list["items"].as_array().unwrap().clone()
}

/// Waits until there are so many dead letters.
async fn until_dead(app: &TestApp, target: &TestTarget, count: i64) {
    app.until(format!("{count} dead letters"), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["deadLetters"] == count && status["backlog"] == 0 { Ok(()) } else { Err(status) }
    })
    .await;
}

/// The account ada, whom the sink refused for good.
async fn one_dead(app: &TestApp, sink: &Sink) -> (String, TestTarget, String) {
    sink.answer(Answer::new(400));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    until_dead(app, &target, 1).await;
    (store, target, ada)
}

async fn retry(app: &TestApp, target: &TestTarget, body: Value) -> Value {
    let path = format!("/targets/{}/deadletters/retry", target.id);
    app.post(&path, body).await.expect(202)["count"].clone()
}

#[tokio::test]
async fn failures_that_differ_in_names_and_numbers_are_one_group() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), REFUSES).await;
    let mut licence = Vec::new();
    for name in ["ada", "bob", "carol.x", "d42"] {
        licence.push(app.account(&store, name, json!({ "kind": "licence" })).await);
    }
    for name in ["eve", "frank7"] {
        app.account(&store, name, json!({ "kind": "address" })).await;
    }
    until_dead(&app, &target, 6).await;
    let found = groups(&app, &target).await;
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!((&found[0]["count"], &found[1]["count"]), (&json!(4), &json!(2)));
    assert_eq!(found[0]["errorClass"], "permanent");
    assert!(found[0]["message"].as_str().unwrap().starts_with("no licence left for "));
    assert!(found[0]["firstAt"].as_str().unwrap() <= found[0]["lastAt"].as_str().unwrap());

    let print = found[0]["fingerprint"].as_str().unwrap();
    let path = format!("/targets/{}/deadletters?fingerprint={print}&limit=3", target.id);
    let first = app.get(&path).await;
    let second = app.get(&format!("{path}&cursor={}", first["next"].as_str().unwrap())).await;
    let ids: Vec<&Value> =
        [&first, &second].iter().flat_map(|page| page["items"].as_array().unwrap()).collect();
    let ids: Vec<&str> = ids.iter().map(|item| item["accountId"].as_str().unwrap()).collect();
    assert_eq!((ids, &second["next"]), (licence.iter().map(String::as_str).collect(), &Value::Null));

    // A change is work that is due again: no dead letter any more, until it fails.
    app.set(&licence[0], json!({ "fixed": true })).await;
    until_dead(&app, &target, 5).await;
}

#[tokio::test]
async fn a_group_a_filter_some_accounts_and_all_are_retried() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(400));
    let store = app.store("people").await;
    let one_try = json!({ "retry": { "maxAttempts": 1 } });
    let target = app.target(&store, settings_with("crm", &sink, one_try), RECORD).await;
    let mut accounts = Vec::new();
    for number in 0..12 {
        let site = if number % 2 == 0 { "Oslo" } else { "Bonn" };
        accounts.push(app.account(&store, &format!("user{number}"), json!({ "site": site })).await);
    }
    until_dead(&app, &target, 12).await;
    sink.answer_well();

    let some = json!({ "accounts": [accounts[1], accounts[3]] });
    assert_eq!(retry(&app, &target, some).await, 2);
    until_dead(&app, &target, 10).await;
    let run = app.runs(&target, &accounts[1]).await.pop().unwrap();
    assert_eq!(
        (&run["trigger"], &run["attempt"], &run["status"]),
        (&json!("manual"), &json!(1), &json!("provisioned"))
    );

    assert_eq!(retry(&app, &target, json!({ "filter": "site eq \"Oslo\"" })).await, 6);
    until_dead(&app, &target, 4).await;
    let print = groups(&app, &target).await[0]["fingerprint"].clone();
    let both = json!({ "fingerprint": print, "filter": "userName eq \"user5\"" });
    assert_eq!(retry(&app, &target, both).await, 1);
    until_dead(&app, &target, 3).await;
    assert_eq!(retry(&app, &target, json!({ "since": "2999-01-01T00:00:00Z" })).await, 0);
    assert_eq!(retry(&app, &target, json!({ "fingerprint": "0000000000000000" })).await, 0);
    assert_eq!(retry(&app, &target, json!({ "since": "2020-01-01T00:00:00Z" })).await, 3);
    until_dead(&app, &target, 0).await;
    assert_eq!(retry(&app, &target, json!({ "all": true })).await, 0);
    assert_eq!(groups(&app, &target).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_retry_that_fails_again_is_a_dead_letter_again() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let (_, target, ada) = one_dead(&app, &sink).await;
    assert_eq!(retry(&app, &target, json!({ "all": true })).await, 1);
    app.until_runs(&target, &ada, 2).await;
    until_dead(&app, &target, 1).await;
    app.until_idle(&target).await;
    assert_eq!(app.runs(&target, &ada).await.len(), 2, "a sweep does not chase what fails again");
}

#[tokio::test]
async fn a_deprovision_that_died_is_retried_as_one() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(400).to("/deprovision"));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisioned").await;
    app.delete(&format!("/accounts/{ada}")).await.expect(204);
    until_dead(&app, &target, 1).await;
    sink.answer_well();
    assert_eq!(retry(&app, &target, json!({ "accounts": [ada] })).await, 1);
    app.until_status(&ada, &target, "deprovisioned").await;
    assert_eq!(app.runs(&target, &ada).await.pop().unwrap()["reason"], "deprovision");
}

#[tokio::test]
async fn retries_at_a_quarantined_target_wait_in_the_queue() {
    let never = [("PROVISIOND_ENGINE_BREAKER_PROBE", "1h")];
    let (app, sink) = (TestApp::start_with(&never).await, Sink::start().await);
    sink.answer(Answer::new(400));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    for number in 0..4 {
        app.account(&store, &format!("user{number}"), json!({})).await;
    }
    until_dead(&app, &target, 4).await;
    sink.answer(Answer::new(401));
    let eve = app.account(&store, "eve", json!({})).await;
    app.until("the quarantine".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        let quiet = status["breaker"]["state"] == "open" && status["engine"]["leased"] == 0;
        if quiet { Ok(()) } else { Err(status) }
    })
    .await;
    sink.answer_well();
    let called = sink.calls().len();
    assert_eq!(retry(&app, &target, json!({ "all": true })).await, 4);
    app.until("the retries to be due".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["backlog"] == 5 && status["deadLetters"] == 0 { Ok(()) } else { Err(status) }
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let sweep = app.get(&format!("/targets/{}/status", target.id)).await["sweep"].clone();
    assert_eq!(
        (sink.calls().len(), &sweep["remaining"], &sweep["etaSeconds"]),
        (called, &json!(4), &Value::Null)
    );
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    app.until_status(&eve, &target, "provisioned").await;
    app.until_idle(&target).await;
    assert_eq!(sink.calls().len(), called + 5);
}

#[tokio::test]
async fn only_what_died_since_a_time_is_retried() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let (store, target, ada) = one_dead(&app, &sink).await;
    let since = chrono::Utc::now();
    let bob = app.account(&store, "bob", json!({})).await;
    until_dead(&app, &target, 2).await;
    sink.answer_well();
    assert_eq!(retry(&app, &target, json!({ "since": since })).await, 1);
    app.until_status(&bob, &target, "provisioned").await;
    assert_eq!(app.provision(&ada, &target).await["status"], "provisionFailed");
}

#[tokio::test]
async fn a_filter_that_names_nothing_is_told() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let (_, target, _) = one_dead(&app, &sink).await;
    let path = format!("/targets/{}/deadletters/retry", target.id);
    let none = app.post(&path, json!({ "filter": "departement pr or userName eq \"x\"" })).await.expect(202);
    assert_eq!((&none["count"], &none["warnings"][0]["code"]), (&json!(0), &json!("unknownAttribute")));
    // It is looked at once and now.
    let now = app.post(&path, json!({ "filter": "createdAt lt \"now-1d\"" })).await.expect(202);
    assert_eq!(now["warnings"], json!([]));
    let (code, said) = app.cli(&["target", "retry", &target.name, "--filter", "departement pr"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("warning: no account has `departement`"), "{said}");
}

#[tokio::test]
async fn bad_retries_name_the_field() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.disabled_target(&store, settings("crm", &sink), RECORD).await;
    let path = format!("/targets/{}/deadletters/retry", target.id);
    let cases = [
        (json!({}), "all"),
        (json!({ "all": false }), "all"),
        (json!({ "all": true, "filter": "userName pr" }), "all"),
        (json!({ "filter": "userName zz" }), "filter"),
        (json!({ "accounts": [] }), "accounts"),
        (json!({ "accounts": ["x"] }), "accounts[0]"),
        (json!({ "since": "yesterday" }), "since"),
        (json!({ "since": "-262143-01-01T00:00:00Z" }), "since"),
        (json!({ "who": "all" }), "who"),
    ];
    for (body, field) in cases {
        let problem = app.post(&path, body).await.expect(422);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    app.post(&path, json!({ "all": true })).await.expect(409);
    app.post("/targets/999/deadletters/retry", json!({ "all": true })).await.expect(404);
    app.call(Method::GET, "/targets/999/deadletters", None).await.expect(404);
    app.call(Method::GET, &format!("/targets/{}/deadletters?limit=0", target.id), None).await.expect(400);
}
