//! Waiting for a target, and how a target is said to stand.

use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::{RECORD, settings, settings_with};
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

/// Ongoing until the account is finished.
const ONGOING: &str = r#"
    export default (ctx) => ctx.account.attributes.finished
        ? { status: "provisioned" }
        : { status: "provisionOngoing", runAgainIn: 3600 };
"#;

fn path(target: &TestTarget, rest: &str) -> String {
    format!("/targets/{}{rest}", target.id)
}

#[tokio::test]
async fn ongoing_accounts_are_not_done() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), ONGOING).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisionOngoing").await;
    app.until_idle(&target).await;
    let (code, said) = app.cli(&["target", "wait", "crm"]);
    assert_eq!(code, 4, "{said}");
    for part in ["1 accounts are ongoing", "`provisiond target wait --settled crm` waits for them"] {
        assert!(said.contains(part), "`{part}` is missing in {said}");
    }
    let (code, said) = app.cli(&["target", "wait", "crm", "--settled", "--timeout", "1s"]);
    assert!(code == 1 && said.contains("1 accounts are left"), "{said}");
    let child = app
        .command(&["target", "wait", "crm", "--settled"])
        .env("PROVISIOND_TOKEN", &app.token)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    app.set(&ada, json!({ "finished": true })).await;
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(app.cli(&["target", "wait", "crm"]).0, 0);
}

#[tokio::test]
async fn failures_are_not_done() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(400));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisionFailed").await;
    let (code, said) = app.cli(&["target", "wait", "crm"]);
    assert!(code == 1 && said.contains("1 accounts failed, 0 of them are tried again"), "{said}");
    assert_eq!(app.cli(&["target", "force", "crm"]).0, 1);
    assert_eq!(app.cli(&["target", "wait", "crm", "--settled"]).0, 1, "a dead letter is settled");
    sink.answer_well();
    assert_eq!(app.cli(&["target", "force", "crm"]).0, 0);
}

#[tokio::test]
async fn a_target_that_stands_still_is_said_to() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.disabled_target(&store, settings("crm", &sink), RECORD).await;
    app.account(&store, "ada", json!({})).await;
    let (code, said) = app.cli(&["target", "wait", "crm"]);
    assert!(code == 4 && said.contains("the target is disabled"), "{said}");
    assert!(app.cli(&["target", "status", "crm"]).1.starts_with("crm: disabled; "));
    assert!(app.cli(&["target", "list"]).1.contains("  disabled    crm"));

    app.post(&path(&target, "/pause"), json!({})).await.expect(200);
    app.enable(&target).await;
    let (code, said) = app.cli(&["target", "wait", "crm", "--timeout", "30s"]);
    assert!(code == 4 && said.contains("the target is paused with"), "{said}");
    assert!(app.cli(&["target", "status", "crm"]).1.starts_with("crm: paused; "));
    assert!(app.cli(&["target", "list"]).1.contains("  paused      crm"));
    app.post(&path(&target, "/resume"), json!({})).await.expect(200);
    assert_eq!(app.cli(&["target", "wait", "crm"]).0, 0);
    assert!(app.cli(&["target", "list"]).1.contains("  immediate   crm"));
}

#[tokio::test]
async fn running_counts_runs() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_secs(600)));
    let store = app.store("people").await;
    let two = json!({ "maxParallelJobs": 2 });
    let target = app.target(&store, settings_with("crm", &sink, two), RECORD).await;
    for number in 0..6 {
        app.account(&store, &format!("user{number}"), json!({})).await;
    }
    let status = app
        .until("more to be claimed than runs".into(), async || {
            let status = app.get(&path(&target, "/status")).await;
            let leased = status["engine"]["leased"].as_i64().unwrap_or(0);
            if leased == 6 && sink.calls().len() == 2 { Ok(status) } else { Err(status) }
        })
        .await;
    assert_eq!((&status["running"], &status["backlog"]), (&json!(2), &json!(6)));
    app.post(&path(&target, "/stop"), json!({})).await.expect(200);
}

#[tokio::test]
async fn resume_does_not_break_what_the_system_asked_for() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(429).header("retry-after", 600));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    app.account(&store, "ada", json!({})).await;
    let held = async || {
        app.until("a hold".into(), async || {
            let status = app.get(&path(&target, "/status")).await;
            let held = &status["breaker"]["heldUntil"];
            if held.is_string() && status["engine"]["leased"] == 0 { Ok(held.clone()) } else { Err(status) }
        })
        .await
    };
    let until: Value = held().await;
    let since = app.get(&path(&target, "/status")).await["breaker"]["since"].clone();
    sink.answer_well();
    sink.forget();
    app.account(&store, "bob", json!({})).await;
    let (code, said) = app.cli(&["target", "resume", "crm"]);
    assert!(code == 0 && said.contains("the system asked for no calls before"), "{said}");
    // The engine has taken the resumed target over when it has judged it anew.
    app.until("the engine to have looked".into(), async || {
        let status = app.get(&path(&target, "/status")).await;
        let resumed = status["breaker"]["since"] != since && status["backlog"] == 1;
        if resumed { Ok(()) } else { Err(status) }
    })
    .await;
    assert_eq!(held().await, until);
    assert_eq!(sink.calls().len(), 0);
    // Other settings may mean another system.
    app.patch(&path(&target, ""), json!({ "description": "moved" })).await.expect(200);
    sink.wait_until(|calls| !calls.is_empty()).await;
}
