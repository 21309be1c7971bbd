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

#[tokio::test]
async fn publications_at_the_same_time_follow_one_another() {
    let (app, _, path) = world().await;
    app.put(&path, json!({ "code": says("two") })).await.expect(200);
    let publish = format!("{path}/publish");
    for round in 0..4 {
        let canary = json!({ "canary": { "percent": 50 } });
        let bodies = [json!({}), canary.clone(), canary.clone(), json!({}), canary];
        let answers = futures_util::future::join_all(bodies.map(|body| app.post(&publish, body))).await;
        let mut published: Vec<Value> = answers.into_iter().map(|answer| answer.expect(200)).collect();
        published.sort_by_key(|version| version["version"].as_i64());
        let newest_of_all = published.iter().rfind(|version| version["canary"].is_null()).unwrap();
        let shown = app.get(&path).await;
        assert_eq!(shown["publishedVersion"], newest_of_all["version"], "round {round}: {shown}");
        let last = published.last().unwrap();
        let on_trial = last["canary"].is_object();
        assert_eq!(shown["canary"]["state"] == "running", on_trial, "round {round}: {shown}");
        if on_trial {
            assert_eq!(shown["canary"]["version"], last["version"]);
            assert_eq!(shown["canary"]["baseVersion"], newest_of_all["version"]);
        }
    }
}
