//! Deleted accounts that come back while their removals are still to come.

use serde_json::json;

use super::{RECORD, settings_with};
use crate::support::app::TestApp;
use crate::support::sink::Sink;

fn people(count: usize) -> String {
    let line = |n| json!({ "externalId": format!("E{n}"), "userName": format!("u{n}") }).to_string() + "\n";
    (0..count).map(line).collect()
}

/// A cut export, confirmed, and then the full one: nobody is removed who lives, and
/// who was removed meanwhile is there again under the id that the target knows.
#[tokio::test]
async fn who_comes_back_is_not_removed_after_all() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    app.import(&store, "", people(20)).await;
    let held = app.target(&store, settings_with("held", &sink, json!({})), RECORD).await;
    let unguarded = json!({ "guard": { "percent": 100 } });
    let paused = app.target(&store, settings_with("paused", &sink, unguarded.clone()), RECORD).await;
    let open = app.target(&store, settings_with("open", &sink, unguarded), RECORD).await;
    let targets = [&held, &paused, &open];
    let until = async |target: &str, status: &str, count: usize| {
        app.until(format!("{count} {status} at {target}"), async || {
            let answer = app.get(&format!("/targets/{target}/status")).await;
            let done = answer["counts"][status] == count && answer["backlog"] == 0;
            if done { Ok(()) } else { Err(answer) }
        })
        .await;
    };
    for target in targets {
        until(&target.id, "provisioned", 20).await;
    }
    app.post(&format!("/targets/{}/pause", paused.id), json!({})).await.expect(200);
    let ids = async || -> Vec<String> {
        let list = app.get(&format!("/stores/{store}/accounts?limit=500")).await;
        list["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let before = ids().await;

    let cut = app.import(&store, "?deleteMissing=true&confirmDeletions=true", people(5)).await;
    assert_eq!(cut["deleted"], 15);
    until(&open.id, "deprovisioned", 15).await;
    let waits = app.get(&format!("/targets/{}/held", held.id)).await;
    assert_eq!(waits["items"][0]["waiting"], 15);

    let full = app.import(&store, "?deleteMissing=true", people(20)).await;
    assert_eq!((&full["restored"], &full["created"]), (&json!(15), &json!(0)));
    assert_eq!(ids().await, before);
    app.post(&format!("/targets/{}/resume", paused.id), json!({})).await.expect(200);
    for target in targets {
        until(&target.id, "provisioned", 20).await;
    }
    let removals = sink.calls().iter().filter(|call| call.path.starts_with("/deprovision")).count();
    assert_eq!(removals, 15, "only where they had been removed before");
    let lot = app.get(&format!("/targets/{}/held?state=settled", held.id)).await["items"][0].clone();
    assert_eq!((&lot["waiting"], &lot["count"]), (&json!(0), &json!(15)));
    let approved = app.post(&format!("/held/{}/approve", lot["id"].as_str().unwrap()), json!({})).await;
    assert_eq!(approved.status, 409);

    let status = app.get(&format!("/targets/{}/status", held.id)).await;
    assert_eq!(status["counts"]["provisioned"], 20);
    let runs = app.runs(&held, &before[19]).await;
    let last = runs.last().unwrap();
    assert_eq!((&last["reason"], &last["trigger"]), (&json!("provision"), &json!("enteredFilter")));
}

#[tokio::test]
async fn the_command_line_tells_bad_lines_sets_them_aside_and_restores() {
    let app = TestApp::start().await;
    let store = app.store("people").await;
    app.import(&store, "", people(3)).await;
    let file = app.data_dir.with_file_name("feed.jsonl");
    let bad = json!({ "externalId": "E0", "userName": "u0", "nick": 1 });
    std::fs::write(&file, format!("{bad}\n{}", people(2).lines().nth(1).unwrap())).unwrap();
    let import = |more: &[&str]| {
        let file = file.to_str().unwrap();
        app.cli(&[&["import", file, "--store", "people", "--delete-missing"], more].concat())
    };
    let (code, said) = import(&[]);
    assert_eq!(code, 4, "{said}");
    for words in [
        "2 lines: 0 created, 0 updated, 1 unchanged, 0 deleted, 1 failed\n",
        "line 1: `nick` is not a field that is known here",
        "set them aside",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let (code, said) = import(&["--set-aside-key", "E0"]);
    assert_eq!(code, 0, "{said}");
    let told = "2 lines: 0 created, 0 updated, 1 unchanged, 1 deleted, 0 failed, 1 set aside\n";
    assert!(said.contains(told), "{said}");
    let (code, said) = app.cli(&["account", "list", "--store", "people", "--deleted"]);
    assert!(code == 0 && said.lines().count() == 1 && said.contains("u2"), "{said}");
    let id = said.split_whitespace().next().unwrap().to_owned();
    let (code, said) = app.cli(&["account", "restore", &id]);
    assert!(code == 0 && said.starts_with("restored") && said.contains("u2"), "{said}");
    let (code, said) = app.cli(&["account", "list", "--store", "people"]);
    assert!(code == 0 && said.lines().count() == 3, "{said}");
}
