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

/// What a call after the failure, or beside it, was answered with does not matter.
#[tokio::test]
async fn a_failure_beside_a_later_success_keeps_its_class() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    for (status, path) in [(429, "/limited"), (401, "/refused"), (503, "/down"), (404, "/missing")] {
        sink.answer(Answer::new(status).header("retry-after", "299.997").only_to(path));
    }
    let store = app.store("people").await;
    // Without a breaker that stops at the first refusal: one account a target.
    let code = "export default async (ctx) => {
        const call = (path) => fetch(ctx.target.config.url + path, { method: 'POST' });
        const [answer] = await Promise.all([call(ctx.account.attributes.path), call('/beside')]);
        await call('/audit');
        if (answer.status !== 404) throw new Error(`it was ${answer.status}`);
        null.x;
    }";
    for (path, class) in
        [("/limited", "rateLimited"), ("/refused", "auth"), ("/down", "transient"), ("/missing", "logic")]
    {
        let target = app.target(&store, settings(&path[1..], &sink), code).await;
        let account = app.account(&store, &path[1..], json!({ "path": path })).await;
        let failed = app.until_status(&account, &target, "provisionFailed").await;
        assert_eq!(failed["errorClass"], class, "{failed}");
        if class == "rateLimited" {
            assert!((299.0..=400.0).contains(&wait_in_seconds(&failed)), "{failed}");
        }
        app.delete(&format!("/accounts/{account}")).await.expect(204);
        app.patch(&format!("/targets/{}", target.id), json!({ "enabled": false })).await.expect(200);
    }
}

#[tokio::test]
async fn a_limit_of_the_remote_slows_the_target_though_the_run_went_well() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(429).header("retry-after", 600).times(1));
    let store = app.store("people").await;
    let code = "export default async (ctx) => {
        const call = () => fetch(ctx.target.config.url, { method: 'PUT', body: ctx.account.userName });
        if (!(await call()).ok && !(await call()).ok) throw new Error('twice');
        return { status: 'provisioned' };
    }";
    let target = app.target(&store, settings("crm", &sink), code).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisioned").await;
    let status = app.get(&format!("/targets/{}/status", target.id)).await;
    let until: DateTime<Utc> = status["breaker"]["heldUntil"].as_str().unwrap().parse().unwrap();
    let held = (until - Utc::now()).as_seconds_f64();
    assert!((500.0..=600.0).contains(&held), "{status}");
    assert_eq!(
        (&status["breaker"]["state"], &status["breaker"]["concurrency"]),
        (&json!("closed"), &json!(2))
    );
}

/// It takes every request and answers none: that is the remote's failure, whether logic
/// waits for the call alone or goes on asking.
#[tokio::test]
async fn a_remote_that_never_answers_is_transient_and_opens_the_breaker() {
    let probe = [("PROVISIOND_ENGINE_BREAKER_PROBE", "1h")];
    let (app, silent) =
        (TestApp::start_with(&probe).await, std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let address = silent.local_addr().unwrap();
    let store = app.store("people").await;
    let code = "export default async (ctx) => {
        const call = () => fetch(ctx.target.config.url, { method: 'PUT' });
        if (ctx.account.attributes.stubborn) for (;;) try { await call() } catch {}
        await call();
    }";
    let settings = json!({
        "name": "silent", "maxParallelJobs": 10, "egressAllow": [address.to_string()],
        "config": { "url": format!("http://{address}/") }, "limits": { "wallMs": 1000 },
    });
    let target = app.target(&store, settings, code).await;
    let mut people = Vec::new();
    for number in 0..30 {
        let stubborn = json!({ "stubborn": number % 2 == 0 });
        people.push(app.account(&store, &format!("person{number}"), stubborn).await);
    }
    let status = app
        .until("the breaker to open".into(), async || {
            let status = app.get(&format!("/targets/{}/status", target.id)).await;
            if status["breaker"]["state"] == "open" { Ok(status) } else { Err(status) }
        })
        .await;
    assert!(status["breaker"]["reason"].as_str().is_some(), "{status}");
    let runs = app.get(&format!("/targets/{}/runs?limit=100", target.id)).await;
    let runs = runs["items"].as_array().unwrap();
    assert!(!runs.is_empty() && runs.iter().all(|run| run["errorClass"] == "transient"), "{runs:?}");
    let messages: Vec<_> = runs.iter().map(|run| run["message"].as_str().unwrap()).collect();
    let waited =
        format!("`{address}` did not answer completely within 0.9 s, which was all that the run had left");
    assert!(messages.iter().any(|message| message.starts_with(&waited)), "{messages:?}");
    assert!(messages.contains(&"the wall limit of 1 s was reached"), "{messages:?}");
    drop(silent);
}

/// A secret that somebody pasted with a line end in it fails nobody for good: when it is
/// mended, work goes on.
#[tokio::test]
async fn a_secret_that_cannot_be_sent_stops_the_target_until_it_is_set_again() {
    let probe = [("PROVISIOND_ENGINE_BREAKER_PROBE", "1h")];
    let (app, sink) = (TestApp::start_with(&probe).await, Sink::start().await);
    let store = app.store("people").await;
    let code = "export default async (ctx) => {
        const headers = { authorization: `Bearer ${ctx.connection.secrets.token}` };
        const saved = await fetch(ctx.target.config.url, { method: 'PUT', headers });
        if (!saved.ok) throw new Error(`saving: ${saved.status}`);
        return { status: 'provisioned' };
    }";
    let secrets = json!({ "token": "first\nsecond" });
    let secrets = json!({ "connection": { "properties": { "url": sink.url }, "secrets": secrets } });
    let target = app.target(&store, settings_with("crm", &sink, secrets), code).await;
    let mut people = Vec::new();
    for number in 0..6 {
        people.push(app.account(&store, &format!("person{number}"), json!({})).await);
    }
    let failed = app
        .until("a refusal".into(), async || {
            let status = app.get(&format!("/targets/{}/status", target.id)).await;
            if status["breaker"]["state"] == "open" { Ok(status) } else { Err(status) }
        })
        .await;
    let reason = failed["breaker"]["reason"].as_str().unwrap();
    assert!(reason.contains("secret 'token' cannot stand in header 'authorization'"), "{reason}");
    assert!(!failed.to_string().contains("second"), "{failed}");
    assert_eq!(sink.calls().len(), 0);
    let mended = json!({ "connection": { "secrets": { "token": "whole\n" } } });
    app.patch(&format!("/targets/{}", target.id), mended).await.expect(200);
    for account in &people {
        app.until_status(account, &target, "provisioned").await;
    }
    assert!(sink.calls().iter().all(|call| call.header("authorization") == Some("Bearer whole")));
}
