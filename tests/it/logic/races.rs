//! Drafts and publications that come at the same time, or end half-way.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use super::registry::FakeRegistry;
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::Answer;

fn says(word: &str) -> String {
    format!("export default (ctx) => ({{ status: 'provisioned', message: '{word}' }});")
}

/// A disabled target with logic, version 1.
async fn world() -> (TestApp, TestTarget, String) {
    let app = TestApp::start().await;
    app.store("people").await;
    let target = app.disabled_target("people", json!({ "name": "crm" }), &says("one")).await;
    let path = format!("/targets/{}/logic", target.id);
    (app, target, path)
}

#[tokio::test]
async fn a_newer_draft_outlives_the_validation_of_an_older_one() {
    let registry = FakeRegistry::start(&[]).await;
    let app = TestApp::start_with(&[("PROVISIOND_PACKAGES_REGISTRY", &registry.sink.url)]).await;
    app.store("people").await;
    let target = app.disabled_target("people", json!({ "name": "crm" }), &says("one")).await;
    let path = format!("/targets/{}/logic", target.id);
    let code = "import a from 'a'; export default () => a";
    registry.sink.answer(Answer::new(502));
    app.put(&path, json!({ "code": code, "packageDependencies": { "a": "1.0.0" } })).await.expect(200);

    let asked = registry.sink.calls().len();
    registry.sink.answer(Answer::new(502).after(Duration::from_secs(3)));
    let validate = format!("{path}/validate");
    let (validated, ()) = tokio::join!(app.post(&validate, json!({})), async {
        registry.sink.wait_until(|calls| calls.len() > asked).await;
        let newer = "UPDATE logic_drafts SET code = 'newer', updated_at = now()";
        app.db.as_ref().unwrap().connection().batch_execute(newer).unwrap();
    });
    assert_eq!(validated.expect(409)["detail"], "the draft was changed meanwhile: try again");
    assert_eq!(app.get(&path).await["draft"]["code"], "newer");
}
