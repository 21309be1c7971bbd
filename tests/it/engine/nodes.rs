//! Two nodes on one database share its targets: one owner at a time, and a
//! node that dies is replaced.

use std::time::{Duration, Instant};

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
    let (survivor, killed) = if owners[0] {
        first.kill();
        (&second, Instant::now())
    } else {
        panic!("the node that a target was enabled at takes it");
    };
    let before = sink.calls().len();
    sink.wait_until(|calls| calls.len() > before + 5).await;
    assert!(killed.elapsed() < Duration::from_secs(14), "took over after {:?}", killed.elapsed());
    for account in &accounts {
        survivor.until_status(account, &target, "provisioned").await;
    }
    let calls = sink.calls();
    for (index, call) in calls.iter().enumerate() {
        let twice = calls[..index].iter().filter(|other| other.json()["id"] == call.json()["id"]);
        twice.for_each(|other| assert!(!call.overlaps(other), "two runs of one account overlap"));
    }
}
