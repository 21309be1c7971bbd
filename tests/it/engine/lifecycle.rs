//! Pausing, stopping, draining, and actors that die.

use std::time::Duration;

use serde_json::json;

use super::{RECORD, settings, settings_with};
use crate::support::app::TestApp;
use crate::support::sink::{Answer, Sink};

#[tokio::test]
async fn never_more_than_the_maximum_of_parallel_jobs() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(60)));
    let store = app.store("people").await;
    for number in 0..40 {
        app.account(&store, &format!("user{number}"), json!({})).await;
    }
    let three = json!({ "maxParallelJobs": 3 });
    let target = app.target(&store, settings_with("crm", &sink, three), RECORD).await;
    let calls = sink.wait_for(40).await;
    app.until_idle(&target).await;
    let most = calls
        .iter()
        .map(|call| {
            calls.iter().filter(|other| other.start <= call.start && other.end > Some(call.start)).count()
        })
        .max();
    assert!((2..=3).contains(&most.unwrap()), "{most:?} at once");
}

#[tokio::test]
async fn a_paused_target_keeps_its_work() {
    let (app, sink, beside) = (TestApp::start().await, Sink::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    app.post(&format!("/targets/{}/pause", target.id), json!({})).await.expect(200);
    app.until("the pause".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["engine"]["paused"] == true { Ok(()) } else { Err(status) }
    })
    .await;
    let other = app.target(&store, settings("other", &beside), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    // The same change has woken both.
    app.until_status(&ada, &other, "provisioned").await;
    assert_eq!(sink.calls().len(), 0);
    let shown = app.provision(&ada, &target).await;
    assert!(shown["why"].as_str().unwrap().contains("paused"), "{shown}");
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    app.until_status(&ada, &target, "provisioned").await;
}

#[tokio::test]
async fn a_pause_and_a_disabling_let_runs_end() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    for (name, action) in [("ada", "pause"), ("bob", "disable")] {
        sink.forget();
        sink.answer(Answer::new(200).after(Duration::from_millis(1_200)));
        let account = app.account(&store, name, json!({})).await;
        sink.wait_until(|calls| calls.len() == 1).await;
        if action == "pause" {
            app.post(&format!("/targets/{}/pause", target.id), json!({})).await.expect(200);
        } else {
            app.patch(&format!("/targets/{}", target.id), json!({ "enabled": false })).await.expect(200);
        }
        let run = app.until_runs(&target, &account, 1).await.remove(0);
        assert_eq!((&run["status"], sink.calls()[0].status), (&json!("provisioned"), Some(200)), "{action}");
        assert_eq!(sink.calls().len(), 1, "{action}");
        app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_target_has_ended_its_runs_and_given_the_rest_back() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(1_500)));
    let store = app.store("people").await;
    let two = json!({ "maxParallelJobs": 2 });
    let target = app.target(&store, settings_with("crm", &sink, two), RECORD).await;
    for number in 0..10 {
        app.account(&store, &format!("user{number}"), json!({})).await;
    }
    sink.wait_until(|calls| calls.len() == 2).await;
    let (code, said) = tokio::task::block_in_place(|| app.cli(&["target", "drain", "crm"]));
    assert_eq!(
        (code, said.as_str()),
        (0, "drained target crm: nothing runs, 8 wait for `target resume`\n"),
        "{:?}",
        sink.calls()
    );
    assert!(sink.calls().len() == 2 && sink.calls().iter().all(|call| call.end.is_some()));
    let status = app.get(&format!("/targets/{}/status", target.id)).await;
    assert_eq!((&status["engine"]["leased"], &status["counts"]["provisioned"]), (&json!(0), &json!(2)));
    sink.answer_well();
    assert_eq!(app.cli(&["target", "resume", "crm"]).0, 0);
    sink.wait_until(|calls| calls.len() == 10).await;
}

#[tokio::test]
async fn stop_ends_what_runs_and_resume_does_it_again() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_secs(20)).times(1));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    sink.wait_until(|calls| calls.len() == 1).await;
    app.post(&format!("/targets/{}/stop", target.id), json!({})).await.expect(200);
    sink.wait_until(|calls| calls[0].end.is_some()).await;
    let runs = app.until_runs(&target, &ada, 1).await;
    assert!(runs[0]["message"].as_str().unwrap().starts_with("interrupted: "), "{runs:?}");
    assert_eq!((&runs[0]["status"], &runs[0]["statusBefore"]), (&json!("pending"), &json!("pending")));
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    app.until_status(&ada, &target, "provisioned").await;
    assert_eq!(sink.calls()[0].header("idempotency-key"), sink.calls()[1].header("idempotency-key"));
}

#[tokio::test]
async fn sigterm_lets_runs_end() {
    let (mut app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(1_500)));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let mut accounts = Vec::new();
    for number in 0..12 {
        accounts.push(app.account(&store, &format!("user{number}"), json!({})).await);
    }
    sink.wait_until(|calls| calls.len() == 5).await;
    assert!(app.terminate(), "{}", app.log());
    assert!(sink.calls().iter().all(|call| call.status == Some(200)), "a call was cut off");
    sink.answer_well();
    app.restart().await;
    for account in &accounts {
        app.until_status(account, &target, "provisioned").await;
    }
    app.until_idle(&target).await;
    assert_eq!(sink.calls().len(), 12, "a run that had ended was done again");
}

#[tokio::test]
async fn new_logic_runs_only_when_something_asks_for_it() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisioned").await;
    let code = r#"export default () => ({ status: "provisionNotNeeded", message: "second" })"#;
    app.put(&format!("/targets/{}/logic", target.id), json!({ "code": code })).await.expect(200);
    let version = app.post(&format!("/targets/{}/logic/publish", target.id), json!({})).await.expect(200);
    assert_eq!(version["version"], 2);
    app.until("the new version to be served".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["engine"]["logicVersion"] == 2 { Ok(()) } else { Err(status) }
    })
    .await;
    assert_eq!(app.runs(&target, &ada).await.len(), 1);
    app.post(&format!("/targets/{}/force", target.id), json!({})).await.expect(202);
    let runs = app.until_runs(&target, &ada, 2).await;
    assert_eq!((&runs[1]["logicVersion"], &runs[1]["message"]), (&json!(2), &json!("second")));
}

#[tokio::test]
async fn stop_also_ends_what_waits_for_a_shared_host() {
    stop_also_ends_what_waits_for_its_host("shared").await;
}

#[tokio::test]
async fn stop_also_ends_what_waits_for_a_host_of_its_own() {
    stop_also_ends_what_waits_for_its_host("exclusive").await;
}

async fn stop_also_ends_what_waits_for_its_host(isolation: &str) {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let slow = format!("await new Promise((resolve) => setTimeout(resolve, 3_000));\n{RECORD}");
    let how = json!({ "isolation": isolation, "maxParallelJobs": 2 });
    let target = app.target(&store, settings_with("crm", &sink, how), &slow).await;
    let accounts = [app.account(&store, "ada", json!({})).await, app.account(&store, "bob", json!({})).await];
    app.until("two busy workers".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["engine"]["busy"] == 2 { Ok(()) } else { Err(status) }
    })
    .await;
    app.post(&format!("/targets/{}/stop", target.id), json!({})).await.expect(200);
    for account in &accounts {
        let run = app.until_runs(&target, account, 1).await.remove(0);
        assert!(run["message"].as_str().unwrap().contains("stopped"), "{run}");
    }
    assert_eq!(sink.calls().len(), 0);
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    for account in &accounts {
        app.until_status(account, &target, "provisioned").await;
    }
}
