//! Failures: classes, retries, Retry-After, dead letters.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{RECORD, settings, settings_with};
use crate::support::app::TestApp;
use crate::support::sink::{Answer, Sink};

/// From the end of the last run to the next one.
fn wait_in_seconds(provision: &Value) -> f64 {
    let time = |member: &str| provision[member].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    (time("nextRunAt") - time("lastRunAt")).as_seconds_f64()
}

#[tokio::test]
async fn a_transient_failure_is_tried_again_with_the_same_key() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(503).times(1));
    let store = app.store("people").await;
    let retry = json!({ "retry": { "firstDelaySecs": 1 } });
    let target = app.target(&store, settings_with("crm", &sink, retry), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    let failed = app.until_status(&ada, &target, "provisionFailed").await;
    assert_eq!(failed["errorClass"], "transient");
    assert!(failed["message"].as_str().unwrap().contains("503"), "{failed}");
    app.until_status(&ada, &target, "provisioned").await;
    let calls = sink.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].header("idempotency-key"), calls[1].header("idempotency-key"));
    assert!(calls[1].start - calls[0].start >= Duration::from_millis(750));
    assert_eq!((&calls[1].json()["trigger"], &calls[1].json()["attempt"]), (&json!("retry"), &json!(2)));
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(429).header("retry-after", 300));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    let failed = app.until_status(&ada, &target, "provisionFailed").await;
    assert_eq!(failed["errorClass"], "rateLimited");
    // Counted from when the result is stored, a little after the run.
    assert!((299.0..=400.0).contains(&wait_in_seconds(&failed)), "{failed}");
}

#[tokio::test]
async fn a_permanent_failure_waits_for_a_change() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(400).times(1));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    let failed = app.until_status(&ada, &target, "provisionFailed").await;
    assert_eq!((&failed["errorClass"], &failed["nextRunAt"]), (&json!("permanent"), &Value::Null));
    assert!(failed["why"].as_str().unwrap().contains("until something changes"), "{failed}");
    app.set(&ada, json!({ "title": "Director" })).await;
    app.until_status(&ada, &target, "provisioned").await;
}

#[tokio::test]
async fn the_last_attempt_leaves_a_dead_letter() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(500));
    let store = app.store("people").await;
    let retry = json!({ "retry": { "firstDelaySecs": 1, "maxDelaySecs": 1, "maxAttempts": 2 } });
    let target = app.target(&store, settings_with("crm", &sink, retry), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_runs(&target, &ada, 2).await;
    let dead = app.until("the dead letter".into(), async || {
        let shown = app.provision(&ada, &target).await;
        if shown["nextRunAt"].is_null() && shown["status"] == "provisionFailed" {
            Ok(shown)
        } else {
            Err(shown)
        }
    });
    assert!(dead.await["why"].as_str().unwrap().contains("will not be tried again"));
    sink.answer_well();
    let sync = format!("/accounts/{ada}/provisions/{}/sync", target.id);
    app.post(&sync, json!({})).await.expect(202);
    app.until_status(&ada, &target, "provisioned").await;
}

#[tokio::test]
async fn errors_carry_their_class_and_the_authors_line() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let code = "export default async (ctx) => {\n  const a = ctx.account.attributes;\n  if (a.how === 'fetch') await fetch('http://10.255.255.1:9/');\n  if (a.how === 'class') return { status: 'provisionFailed', errorClass: 'permanent' };\n  throw new Error('by hand');\n}";
    let target = app.target(&store, settings("crm", &sink), code).await;
    let thrown = app.account(&store, "thrown", json!({})).await;
    let shown = app.until_status(&thrown, &target, "provisionFailed").await;
    assert_eq!(shown["errorClass"], "logic");
    assert!(shown["message"].as_str().unwrap().contains("by hand"), "{shown}");
    assert!(shown["message"].as_str().unwrap().contains(":5:"), "{shown}");
    let refused = app.account(&store, "refused", json!({ "how": "fetch" })).await;
    let shown = app.until_status(&refused, &target, "provisionFailed").await;
    assert_eq!(shown["errorClass"], "permanent");
    assert!(shown["message"].as_str().unwrap().contains("egressAllow"), "{shown}");
    let classed = app.account(&store, "classed", json!({ "how": "class" })).await;
    let shown = app.until_status(&classed, &target, "provisionFailed").await;
    assert_eq!((&shown["errorClass"], &shown["nextRunAt"]), (&json!("permanent"), &Value::Null));
}
