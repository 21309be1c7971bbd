//! `kill -9` at any moment loses nothing.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use super::{RECORD, settings_with};
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Call, Sink};

pub(super) const ACCOUNTS: usize = 2_000;

pub(super) async fn import(app: &TestApp, store: &str) {
    let lines: String = (0..ACCOUNTS)
        .map(|number| format!("{{\"userName\":\"user{number}\",\"attributes\":{{\"n\":{number}}}}}\n"))
        .collect();
    let answer = reqwest::Client::new()
        .post(format!("{}/api/v1/stores/{store}/import", app.url))
        .bearer_auth(&app.token)
        .header("content-type", "application/x-ndjson")
        .body(lines)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let report: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(report["created"], ACCOUNTS);
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
        restart_postgres(&app);
    }
    until_all_provisioned(&app, &target).await;
    check(&sink.calls(), 2, 10);
}

/// What `pg_ctl restart -m immediate` does: no chance to say good-bye.
fn restart_postgres(app: &TestApp) {
    let cluster = app.data_dir.join("postgres");
    let options = std::fs::read_to_string(cluster.join("postmaster.opts")).unwrap();
    let program = options.split(' ').next().unwrap().trim_matches('"');
    let folder = program.strip_suffix("/postgres").unwrap();
    let command =
        format!("{folder}/pg_ctl restart -m immediate -w -D '{}' > /dev/null 2>&1", cluster.display());
    let root = nix::unistd::geteuid().is_root();
    let mut shell = std::process::Command::new(if root { "su" } else { "sh" });
    if root {
        shell.args(["postgres", "-s", "/bin/sh"]);
    }
    assert!(shell.args(["-c", &command]).status().unwrap().success(), "{command}");
}
