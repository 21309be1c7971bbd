//! Targets that are ill: quarantine, probes, going slower; and who overtakes whom.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{RECORD, crash, settings, settings_with};
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Call, Sink};

const NEVER: (&str, &str) = ("PROVISIOND_ENGINE_BREAKER_PROBE", "1h");

async fn accounts(app: &TestApp, store: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(app.account(store, &format!("person{number:03}"), json!({})).await);
    }
    ids
}

async fn status(app: &TestApp, target: &TestTarget) -> Value {
    app.get(&format!("/targets/{}/status", target.id)).await
}

async fn until_breaker(app: &TestApp, target: &TestTarget, state: &str) -> Value {
    app.until(format!("the breaker to be {state}"), async || {
        let status = status(app, target).await;
        if status["breaker"]["state"] == state { Ok(status) } else { Err(status) }
    })
    .await
}

/// Waits until so many wait and nothing runs.
async fn until_quiet(app: &TestApp, target: &TestTarget, backlog: usize) {
    app.until(format!("{backlog} accounts to wait and none to run"), async || {
        let status = status(app, target).await;
        let quiet = status["backlog"] == backlog && status["running"] == 0;
        if quiet { Ok(()) } else { Err(status) }
    })
    .await;
}

async fn until_provisioned(app: &TestApp, target: &TestTarget, count: usize) {
    app.until(format!("{count} accounts to be provisioned"), async || {
        let status = status(app, target).await;
        if status["counts"]["provisioned"] == count { Ok(()) } else { Err(status) }
    })
    .await;
}

/// The most calls under way at one moment.
fn most_at_once(calls: &[Call]) -> usize {
    let at = |moment: Instant| {
        calls.iter().filter(|call| call.start <= moment && call.end.is_none_or(|end| end > moment)).count()
    };
    calls.iter().map(|call| at(call.start)).max().unwrap_or(0)
}

#[tokio::test]
async fn refused_credentials_stop_the_target_until_they_are_mended() {
    let (mut app, sink) = (TestApp::start_with(&[NEVER]).await, Sink::start().await);
    sink.answer(Answer::new(401).after(Duration::from_millis(50)));
    let store = app.store("people").await;
    let people = accounts(&app, &store, 25).await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let seen = until_breaker(&app, &target, "open").await;
    let reason = seen["breaker"]["reason"].as_str().unwrap();
    assert!(reason.contains("the credentials were refused with `the sink answered 401"), "{reason}");
    until_quiet(&app, &target, 25).await;
    let called = sink.calls().len();
    assert!((1..=5).contains(&called), "{called}");
    for account in &people {
        let shown = app.provision(account, &target).await;
        assert_eq!(shown["attempts"], 0, "{shown}");
        assert!(shown["why"].as_str().unwrap().starts_with("waits: the target is quarantined (since "));
    }

    app.kill();
    app.restart().await;
    // A target that works shows that the daemon is at work again.
    let beside = Sink::start().await;
    let other = app.target(&store, settings("other", &beside), RECORD).await;
    until_provisioned(&app, &other, 25).await;
    let after = until_breaker(&app, &target, "open").await;
    assert_eq!(after["breaker"]["since"], seen["breaker"]["since"]);
    assert_eq!(sink.calls().len(), called);

    sink.answer_well();
    let secret = json!({ "connection": { "secrets": { "token": "right" } } });
    app.patch(&format!("/targets/{}", target.id), secret).await.expect(200);
    until_provisioned(&app, &target, 25).await;
    assert!(sink.calls().iter().all(|call| call.json()["attempt"] == 1));
    let well = until_breaker(&app, &target, "closed").await;
    assert_eq!(well["backlog"], 0);
}

#[tokio::test]
async fn a_person_who_resumes_gets_a_probe_at_once() {
    let (app, sink) = (TestApp::start_with(&[NEVER]).await, Sink::start().await);
    sink.answer(Answer::new(401));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    accounts(&app, &store, 10).await;
    until_breaker(&app, &target, "open").await;
    until_quiet(&app, &target, 10).await;
    let resume = format!("/targets/{}/resume", target.id);
    let before = sink.calls().len();
    app.post(&resume, json!({})).await.expect(200);
    sink.wait_for(before + 1).await;
    until_breaker(&app, &target, "open").await;
    until_quiet(&app, &target, 10).await;
    assert_eq!(sink.calls().len(), before + 1, "one probe");
    sink.answer_well();
    app.post(&resume, json!({})).await.expect(200);
    until_provisioned(&app, &target, 10).await;
}

#[tokio::test]
async fn a_system_that_is_down_is_slowed_then_quarantined_and_found_again() {
    let probe =
        [("PROVISIOND_ENGINE_BREAKER_PROBE", "300ms"), ("PROVISIOND_ENGINE_BREAKER_PROBE_LONGEST", "1s")];
    let (app, down, well) = (TestApp::start_with(&probe).await, Sink::start().await, Sink::start().await);
    down.answer(Answer::new(503).after(Duration::from_millis(20)));
    let store = app.store("people").await;
    let people = accounts(&app, &store, 80).await;
    let parallel = json!({ "maxParallelJobs": 8 });
    let ill = app.target(&store, settings_with("ill", &down, parallel), RECORD).await;
    let other = app.target(&store, settings("other", &well), RECORD).await;
    let seen = until_breaker(&app, &ill, "open").await;
    let reason = seen["breaker"]["reason"].as_str().unwrap();
    assert!(reason.contains("runs failed, last with `the sink answered 503"), "{reason}");
    assert!(app.log().contains("slowed to one run at a time since"));
    until_provisioned(&app, &other, 80).await;

    let (called, begin) = (down.calls().len(), Instant::now());
    for account in &people[..10] {
        let calls = well.calls().len();
        app.set(account, json!({ "title": "Director" })).await;
        well.wait_for(calls + 1).await;
    }
    let state = status(&app, &ill).await["breaker"]["state"].clone();
    assert!(state == "open" || state == "probing", "the other was served meanwhile: {state}");
    down.wait_for(called + 2).await;
    let probes = down.calls().len() - called;
    assert!((1..=3 + 4 * begin.elapsed().as_secs() as usize).contains(&probes), "{probes} probes");

    down.answer_well();
    until_provisioned(&app, &ill, 80).await;
    let mended = until_breaker(&app, &ill, "closed").await;
    assert_eq!(mended["breaker"]["nextProbeAt"], Value::Null);
    let attempts = down.calls().iter().map(|call| call.json()["attempt"].as_i64().unwrap()).max();
    assert!(attempts <= Some(3), "{attempts:?}");
}

#[tokio::test]
async fn retry_after_holds_everything_and_halves_what_runs_at_a_time() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(60)));
    sink.answer(Answer::new(429).header("retry-after", 2).after(Duration::from_millis(300)).times(8));
    let store = app.store("people").await;
    let people = accounts(&app, &store, 40).await;
    let retry = json!({ "maxParallelJobs": 8, "retry": { "firstDelaySecs": 1 } });
    let target = app.target(&store, settings_with("crm", &sink, retry), RECORD).await;
    sink.wait_for(8).await;
    app.until("the hold to be told".into(), async || {
        let shown = app.provision(&people[39], &target).await;
        let why = shown["why"].as_str().unwrap();
        if why.contains("the system asked for no calls before") { Ok(()) } else { Err(shown) }
    })
    .await;
    until_provisioned(&app, &target, 40).await;
    let calls = sink.calls();
    let last_refused = calls[..8].iter().filter_map(|call| call.end).max().unwrap();
    assert!(
        calls[8].start - last_refused >= Duration::from_millis(1_900),
        "{:?}",
        calls[8].start - last_refused
    );
    assert_eq!(most_at_once(&calls[8..12]), 4);
    assert!(most_at_once(&calls[8..14]) <= 5);
    let status = status(&app, &target).await;
    assert_eq!((&status["breaker"]["concurrency"], &status["breaker"]["reason"]), (&json!(8), &Value::Null));
}

#[tokio::test]
async fn one_bad_account_never_trips_the_breaker() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(400).containing("bad"));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let bad = app.account(&store, "bad", json!({})).await;
    let worse = app.account(&store, "ill", json!({})).await;
    for number in 0..30 {
        if number == 15 {
            sink.answer(Answer::new(503).containing("ill"));
        }
        app.set(&bad, json!({ "n": number })).await;
        app.set(&worse, json!({ "n": number })).await;
        sink.wait_until(|calls| calls.iter().filter(|c| c.json()["attributes"]["n"] == number).count() >= 2)
            .await;
    }
    assert_eq!(status(&app, &target).await["breaker"]["state"], "closed");
    let fine = app.account(&store, "fine", json!({})).await;
    app.until_status(&fine, &target, "provisioned").await;
}

#[tokio::test]
async fn a_sync_and_a_change_overtake_a_running_force() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    crash::import(&app, &store).await;
    let parallel = json!({ "maxParallelJobs": 10 });
    let target = app.target(&store, settings_with("crm", &sink, parallel), RECORD).await;
    until_provisioned(&app, &target, crash::ACCOUNTS).await;
    let list = app.get(&format!("/stores/{store}/accounts?limit=500")).await;
    let ids: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    let (early, late) = (ids[400].as_str().unwrap(), ids[450].as_str().unwrap());
    let name = async |id: &str| app.get(&format!("/accounts/{id}")).await["userName"].clone();
    let names = (name(early).await, name(late).await);

    sink.forget();
    sink.answer(Answer::new(200).after(Duration::from_millis(100)));
    app.post(&format!("/targets/{}/force", target.id), json!({})).await.expect(202);
    sink.wait_for(40).await;
    let asked = Instant::now();
    app.post(&format!("/accounts/{early}/provisions/{}/sync", target.id), json!({})).await.expect(202);
    app.set(late, json!({ "title": "Director" })).await;
    app.account(&store, "fresh", json!({})).await;
    let answered = Instant::now();
    for user in ["fresh", names.0.as_str().unwrap(), names.1.as_str().unwrap()] {
        let done =
            |calls: &[Call]| calls.iter().any(|call| call.start > asked && call.json()["user"] == user);
        let calls = sink.wait_until(done).await;
        let first = calls.iter().find(|call| call.start > asked && call.json()["user"] == user).unwrap();
        let before = calls.iter().filter(|call| call.start > answered && call.start < first.start).count();
        // Of more than a thousand that the force has before them.
        assert!(before <= 50, "{user}: after {before} calls");
    }
    assert!(status(&app, &target).await["backlog"].as_i64().unwrap() > 1_000);
    let observed = &status(&app, &target).await["engine"];
    assert!(observed["leased"].as_i64().unwrap() <= 400, "{observed}");
}
