//! `kill -9` at any moment loses nothing.

use std::collections::HashMap;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use serde_json::json;

use super::{RECORD, settings_with};
use crate::support::app::{TestApp, TestTarget};
use crate::support::postgres;
use crate::support::sink::{Answer, Call, Sink};

pub(super) const ACCOUNTS: usize = 2_000;

pub(super) async fn import(app: &TestApp, store: &str) {
    let lines: String = (0..ACCOUNTS)
        .map(|number| format!("{{\"userName\":\"user{number}\",\"attributes\":{{\"n\":{number}}}}}\n"))
        .collect();
    assert_eq!(app.import(store, "", lines).await["created"], ACCOUNTS);
}

/// No account is missing, none overlaps, none is called more often than kills
/// explain.
fn check(calls: &[Call], kills: usize, parallel: usize) {
    let mut by_user: HashMap<String, Vec<&Call>> = HashMap::new();
    for call in calls {
        by_user.entry(call.json()["user"].as_str().unwrap().to_owned()).or_default().push(call);
    }
    assert_eq!(by_user.len(), ACCOUNTS);
    for (user, calls) in &by_user {
        for pair in calls.windows(2) {
            assert!(!pair[0].overlaps(pair[1]), "two calls for {user} overlap");
        }
    }
    let most = kills * 5 * parallel + kills * 16;
    assert!(calls.len() - ACCOUNTS <= most, "{} repeated calls", calls.len() - ACCOUNTS);
}

async fn until_all_provisioned(app: &TestApp, target: &TestTarget) {
    app.until("all accounts to be provisioned".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["counts"]["provisioned"] == ACCOUNTS && status["backlog"] == 0 {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
}

#[tokio::test]
async fn the_daemon_killed_in_the_middle_of_two_thousand_accounts() {
    let (mut app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(10)));
    let store = app.store("people").await;
    import(&app, &store).await;
    let parallel = json!({ "maxParallelJobs": 10 });
    let target = app.target(&store, settings_with("crm", &sink, parallel), RECORD).await;
    for part in 1..=4 {
        sink.wait_until(|calls| calls.len() >= part * ACCOUNTS / 5).await;
        app.kill();
        app.restart().await;
    }
    until_all_provisioned(&app, &target).await;
    check(&sink.calls(), 4, 10);
}

#[tokio::test]
async fn the_javascript_host_killed_in_the_middle() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(5)));
    let store = app.store("people").await;
    import(&app, &store).await;
    let parallel = json!({ "maxParallelJobs": 10 });
    let target = app.target(&store, settings_with("crm", &sink, parallel), RECORD).await;
    for part in 1..=5 {
        sink.wait_until(|calls| calls.len() >= part * ACCOUNTS / 6).await;
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        let pid = status["engine"]["hosts"][0]["pid"].as_i64().unwrap();
        let pid = nix::unistd::Pid::from_raw(pid.try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    until_all_provisioned(&app, &target).await;
    check(&sink.calls(), 5, 10);
}

#[tokio::test]
async fn postgresql_restarted_under_load() {
    let (app, sink) = (TestApp::start_embedded().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(10)));
    let store = app.store("people").await;
    import(&app, &store).await;
    let parallel = json!({ "maxParallelJobs": 10 });
    let target = app.target(&store, settings_with("crm", &sink, parallel), RECORD).await;
    for part in 1..=2 {
        sink.wait_until(|calls| calls.len() >= part * ACCOUNTS / 4).await;
        postgres::restart(&app);
    }
    until_all_provisioned(&app, &target).await;
    check(&sink.calls(), 2, 10);
}

/// What a claim leased before its answer was lost: nobody on the node knows of it.
#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_given_back_at_once() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings_with("crm", &sink, json!({})), RECORD).await;
    app.until_idle(&target).await;
    app.post(&format!("/targets/{}/pause", target.id), json!({})).await.expect(200);
    let lost = app.account(&store, "lost", json!({})).await;
    let database = &mut app.db.as_ref().unwrap().connection();
    database
        .batch_execute(
            "UPDATE pending p SET owner = t.owner, fence = nextval('fence_seq'), attempts = 1, \
                due_at = now() + interval '1 day' FROM targets t WHERE t.id = p.target_id; \
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE 'a claim that fails, as the test wants it'; END $$; \
             CREATE TRIGGER fail BEFORE UPDATE ON pending FOR EACH ROW \
                WHEN (OLD.owner IS NULL) EXECUTE FUNCTION fail()",
        )
        .unwrap();
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    app.account(&store, "next", json!({})).await;
    app.until("a claim to fail".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["engine"]["lastError"].is_string() { Ok(()) } else { Err(status) }
    })
    .await;
    database.batch_execute("DROP TRIGGER fail ON pending").unwrap();
    app.until_status(&lost, &target, "provisioned").await;
}

/// A transaction that took long, or a clock that was set back: its work is due
/// before what was claimed since, where claims no longer look each time.
#[tokio::test]
async fn work_that_comes_in_late_is_found() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings_with("crm", &sink, json!({})), RECORD).await;
    let late = app.account(&store, "late", json!({})).await;
    app.until_status(&late, &target, "provisioned").await;
    let statement = format!(
        "INSERT INTO pending (target_id, subject_id, trigger, due_at) \
         VALUES ({}, {late}, 'manual', now() - interval '1 hour')",
        target.id
    );
    app.db.as_ref().unwrap().connection().batch_execute(&statement).unwrap();
    // Others come in meanwhile.
    app.until("the late work to run".into(), async || {
        app.account(&store, &format!("user{:x}", rand::random::<u64>()), json!({})).await;
        let runs = app.runs(&target, &late).await;
        if runs.len() == 2 { Ok(()) } else { Err(json!(runs)) }
    })
    .await;
}
