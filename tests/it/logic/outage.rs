//! What a draft keeps while the registry cannot be reached.

use serde_json::{Value, json};

use super::registry::{FakeRegistry, Release};
use crate::support::app::TestApp;
use crate::support::sink::Answer;

const PLAIN: &str = "export default () => ({ status: 'provisioned' });";

fn releases(newest: u32) -> Vec<Release> {
    (0..=newest).map(|n| Release::new("a", &format!("1.{n}.0"), "module.exports = 1")).collect()
}

/// An instance with a registry, and the path of a target's logic.
async fn start() -> (FakeRegistry, TestApp, String) {
    let registry = FakeRegistry::start(&releases(0)).await;
    let app = TestApp::start_with(&[("PROVISIOND_PACKAGES_REGISTRY", &registry.sink.url)]).await;
    app.store("people").await;
    let target = app.disabled_target("people", json!({ "name": "crm" }), PLAIN).await;
    (registry, app, format!("/targets/{}/logic", target.id))
}

#[tokio::test]
async fn a_language_that_was_not_found_out_yet_is_found_out_later() {
    let (registry, app, path) = start().await;
    let code = "import a from 'a'; export default (ctx: unknown): unknown => a;";
    registry.sink.answer(Answer::new(502));
    let body = json!({ "code": code, "packageDependencies": { "a": "^1.0.0" } });
    let saved = app.put(&path, body.clone()).await.expect(200);
    assert_eq!((&saved["draft"]["state"], &saved["draft"]["language"]), (&json!("draft"), &Value::Null));
    assert_eq!(app.get(&path).await["draft"]["language"], Value::Null);

    registry.publish(&releases(0));
    let validated = app.post(&format!("{path}/validate"), json!({})).await.expect(200);
    assert_eq!(validated["draft"]["language"], "typescript", "{validated}");

    // Publishing finds it out as well.
    registry.sink.answer(Answer::new(502));
    let other = json!({ "code": code, "packageDependencies": { "a": ">=1" } });
    let beside = app.start_beside().await;
    beside.put(&path, other).await.expect(200);
    registry.publish(&releases(0));
    let version = beside.post(&format!("{path}/publish"), json!({})).await.expect(200);
    assert_eq!(version["language"], "typescript");
}

#[tokio::test]
async fn a_language_that_was_said_is_kept() {
    let (registry, app, path) = start().await;
    registry.sink.answer(Answer::new(502));
    let code = "import a from 'a'; export default () => a;";
    let body = json!({ "code": code, "language": "typescript", "packageDependencies": { "a": "1" } });
    let saved = app.put(&path, body).await.expect(200);
    assert_eq!(
        (&saved["draft"]["state"], &saved["draft"]["language"]),
        (&json!("draft"), &json!("typescript"))
    );
}

#[tokio::test]
async fn an_outage_changes_no_versions() {
    let (registry, app, path) = start().await;
    let body = |word: &str| {
        let code = format!("import a from 'a'; export default () => [a, '{word}'];");
        json!({ "code": code, "packageDependencies": { "a": "^1.0.0" } })
    };
    let version = |answer: &Value| answer["draft"]["artefact"]["packages"][0]["version"].clone();
    let first = app.put(&path, body("one")).await.expect(200);
    assert_eq!(version(&first), "1.0.0");

    // Twice: what is kept without an artefact is kept again.
    registry.sink.answer(Answer::new(502));
    for word in ["two", "three"] {
        let saved = app.put(&path, body(word)).await.expect(200);
        assert_eq!(saved["draft"]["state"], "draft", "{saved}");
    }
    // Asked to choose anew it cannot, and has not.
    let beside = app.start_beside().await;
    let asked = beside.post(&format!("{path}/validate"), json!({ "update": true })).await.expect(200);
    assert_eq!(asked["draft"]["state"], "draft", "{asked}");

    registry.publish(&releases(1));
    let validated = beside.post(&format!("{path}/validate"), json!({})).await.expect(200);
    assert_eq!(version(&validated), "1.0.0", "{validated}");
    let updated = app.start_beside().await;
    let updated = updated.post(&format!("{path}/validate"), json!({ "update": true })).await.expect(200);
    assert_eq!(version(&updated), "1.1.0");
}
