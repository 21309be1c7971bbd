//! An account that leaves while nobody knows whether the target has got it.

use std::time::Duration;

use serde_json::json;

use super::ledger::Scope;
use super::world::{LOGIC, settings};
use crate::support::app::TestApp;
use crate::support::sink::{Answer, Sink};

/// The daemon dies in the middle of a call; before it is made again one account
/// leaves the scope and one is deleted.
#[tokio::test]
async fn a_call_that_nobody_stored_is_not_forgotten() {
    let (mut app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_secs(1)));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", Scope::Members, &sink.address, 4), LOGIC).await;
    let leaver = app.account(&store, "leaver", json!({ "member": true })).await;
    let deleted = app.account(&store, "deleted", json!({ "member": true })).await;
    sink.wait_until(|calls| calls.len() == 2).await;
    app.post(&format!("/targets/{}/pause", target.id), json!({})).await.expect(200);
    app.kill();
    app.restart().await;
    app.set(&leaver, json!({ "member": false })).await;
    app.delete(&format!("/accounts/{deleted}")).await;
    sink.answer_well();
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    app.until_idle(&target).await;
    let calls = sink.calls();
    let removed = calls.iter().filter(|call| call.path == "/deprovision").count();
    assert_eq!(removed, 2, "{calls:#?}");
}
