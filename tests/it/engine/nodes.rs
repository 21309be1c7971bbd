//! Two nodes on one database share its targets: one owner at a time, and a
//! node that dies is replaced.

use std::time::Duration;

use serde_json::json;

use super::{RECORD, settings};
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

async fn serves(app: &TestApp, target: &TestTarget) -> bool {
    let status = app.get(&format!("/targets/{}/status", target.id)).await;
    !status["engine"].is_null()
}

#[tokio::test]
async fn a_node_takes_over_from_one_that_died_and_nobody_runs_twice() {
    let sink = Sink::start().await;
    sink.answer(Answer::new(200).after(Duration::from_millis(30)));
    let mut first = TestApp::start().await;
    let second = first.start_beside().await;
    let store = first.store("people").await;
    let target = first.target(&store, settings("crm", &sink), RECORD).await;
    let mut accounts = Vec::new();
    for number in 0..150 {
        // Changes come in at both nodes; only the owner runs them.
        let app = if number % 2 == 0 { &first } else { &second };
        accounts.push(app.account(&store, &format!("user{number}"), json!({})).await);
    }
    sink.wait_until(|calls| calls.len() >= 20).await;
    let owners = [serves(&first, &target).await, serves(&second, &target).await];
    assert_eq!(owners.iter().filter(|owner| **owner).count(), 1, "{owners:?}");
    assert!(owners[0], "the node that a target was enabled at takes it");
    first.kill();
    let survivor = &second;
    let before = sink.calls().len();
    sink.wait_until(|calls| calls.len() > before + 5).await;
    for account in &accounts {
        survivor.until_status(account, &target, "provisioned").await;
    }
    let calls = sink.calls();
    for (index, call) in calls.iter().enumerate() {
        let twice = calls[..index].iter().filter(|other| other.json()["id"] == call.json()["id"]);
        twice.for_each(|other| assert!(!call.overlaps(other), "two runs of one account overlap"));
    }
}

/// The other node hears of it later; its accounts run what was published all the
/// same.
#[tokio::test]
async fn a_force_at_another_node_runs_what_was_published_with_it() {
    let first = TestApp::start().await;
    let second = first.start_beside().await;
    let store = first.store("people").await;
    let says = |word: &str| format!("export default () => ({{ status: 'provisioned', message: '{word}' }});");
    let target = first.target(&store, json!({ "name": "crm" }), &says("v1")).await;
    let mut accounts = Vec::new();
    for number in 0..20 {
        accounts.push(first.account(&store, &format!("user{number}"), json!({})).await);
    }
    first.until_idle(&target).await;
    assert!(serves(&first, &target).await);
    let path = format!("/targets/{}/logic", target.id);
    for version in 2..5 {
        second.put(&path, json!({ "code": says(&format!("v{version}")) })).await.expect(200);
        second.post(&format!("{path}/publish"), json!({ "force": true })).await.expect(200);
        // The owner finds the sweep and the version when it looks.
        for account in &accounts {
            let runs = first.until_runs(&target, account, version).await;
            assert_eq!((runs.len(), &runs[version - 1]["logicVersion"]), (version, &json!(version)));
        }
    }
}
