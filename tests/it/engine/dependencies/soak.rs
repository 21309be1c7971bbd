//! Nothing is lost or left waiting, whatever happens at the same time.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use provisiond::storage::gate;
use serde_json::{Value, json};

use super::{pair, target};
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

async fn import(app: &TestApp, store: &str, count: usize) {
    let lines: String = (0..count).map(|number| format!("{{\"userName\":\"user{number}\"}}\n")).collect();
    app.import(store, "", lines).await;
}

async fn until_settled(app: &TestApp, targets: &[&TestTarget]) {
    app.until("nothing to be due or blocked".into(), async || {
        for target in targets {
            let status = app.get(&format!("/targets/{}/status", target.id)).await;
            let swept = status["sweep"].is_null() || !status["sweep"]["finishedAt"].is_null();
            let none = ["backlog", "blocked", "scheduled"].iter().all(|name| status[*name] == 0);
            if !(none && swept) {
                return Err(status);
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_daemon_killed_in_the_middle_leaves_nobody_waiting() {
    const ACCOUNTS: usize = 400;
    let (mut app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(10)));
    let store = app.store("people").await;
    let (ad, crm) = pair(&app, &sink, &store).await;
    import(&app, &store, ACCOUNTS).await;
    for part in 1..=3 {
        sink.wait_until(|calls| calls.len() >= part * ACCOUNTS / 2).await;
        app.kill();
        app.restart().await;
    }
    app.until("all to be provisioned".into(), async || {
        let status = app.get(&format!("/targets/{}/status", crm.id)).await;
        if status["counts"]["provisioned"] == ACCOUNTS { Ok(()) } else { Err(status) }
    })
    .await;
    until_settled(&app, &[&ad, &crm]).await;
    let calls = sink.calls();
    for call in calls.iter().filter(|call| call.path == "/crm/provision") {
        let user = call.json()["user"].clone();
        let first = calls.iter().any(|other| {
            other.path == "/ad1/provision"
                && other.end.is_some_and(|end| end <= call.start)
                && other.json()["user"] == user
        });
        assert!(first, "{user} was at the crm before it was in the directory");
    }
}

/// As if its wake had been lost.
#[tokio::test]
async fn what_was_forgotten_is_looked_at_again() {
    use diesel::RunQueryDsl;
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let (ad, crm) = pair(&app, &sink, &store).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &crm, "provisioned").await;
    let mut connection = app.db.as_ref().unwrap().connection();
    diesel::sql_query(format!(
        "INSERT INTO pending (target_id, subject_id, trigger, due_at, blocked_by, blocked_at) \
         VALUES ({}, {ada}, 'force', 'infinity', ARRAY[{}], now() - interval '6 minutes')",
        crm.id, ad.id
    ))
    .execute(&mut connection)
    .unwrap();
    let id = crm.id.parse().unwrap();
    assert!(!gate::recheck(&mut connection, id, 3_600.0).unwrap());
    assert!(gate::recheck(&mut connection, id, 300.0).unwrap());
    app.until_runs(&crm, &ada, 2).await;
}

#[derive(Debug, Clone)]
enum Act {
    Change(usize, u32),
    Leave(usize, bool),
    Sync(usize, usize),
    Delete(usize),
    Moved(u32),
}

const USERS: usize = 6;

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..USERS, 0_u32..100).prop_map(|(who, value)| Act::Change(who, value)),
        3 => (0..USERS, any::<bool>()).prop_map(|(who, stays)| Act::Leave(who, stays)),
        2 => (0..USERS, 0_usize..4).prop_map(|(who, target)| Act::Sync(who, target)),
        1 => (0..USERS).prop_map(Act::Delete),
        1 => (0_u32..100).prop_map(Act::Moved),
    ]
}

async fn check(app: &TestApp, round: usize, acts: Vec<Act>) {
    let sink = Sink::start().await;
    sink.answer(Answer::new(200).after(Duration::from_millis(4)));
    let store = app.store(&format!("round-{round}")).await;
    let stays = r#"stays ne false"#;
    let mut targets: Vec<TestTarget> = Vec::new();
    for (name, more) in [
        ("one", json!({ "order": 1 })),
        ("two", json!({ "order": 2, "filter": stays })),
        ("three", json!({ "order": 0, "dependsOn": ["two"], "guard": { "percent": 100 } })),
        ("four", json!({ "order": 3, "dependsOn": ["one", "three"], "filter": stays })),
    ] {
        let mut more: Value = more;
        more["guard"] = json!({ "percent": 100 });
        targets.push(target(app, &sink, &store, name, more).await);
    }
    let mut accounts = Vec::new();
    for number in 0..USERS {
        accounts.push(app.account(&store, &format!("user{number}"), json!({})).await);
    }
    for act in acts {
        match act {
            Act::Change(who, value) => {
                app.patch(&format!("/accounts/{}", accounts[who]), json!({ "attributes": { "n": value } }))
                    .await;
            }
            Act::Leave(who, stays) => {
                let body = json!({ "attributes": { "stays": stays } });
                app.patch(&format!("/accounts/{}", accounts[who]), body).await;
            }
            Act::Sync(who, target) => super::sync(app, &accounts[who], &targets[target]).await,
            Act::Delete(who) => drop(app.delete(&format!("/accounts/{}", accounts[who])).await),
            Act::Moved(to) => {
                sink.answer(Answer::new(200).to("/two/").body(json!({ "metadata": { "to": to } })))
            }
        }
    }
    until_settled(app, &targets.iter().collect::<Vec<_>>()).await;
    for account in &accounts {
        let record = app.call(reqwest::Method::GET, &format!("/accounts/{account}"), None).await;
        let there = record.status == 200;
        let stays = there && record.body["attributes"]["stays"] != false;
        let list = app.get(&format!("/accounts/{account}/provisions")).await;
        for item in list["items"].as_array().unwrap() {
            let filtered = ["two", "four"].contains(&item["target"].as_str().unwrap());
            let wanted = if filtered { stays } else { there };
            assert_eq!(item["status"] == "provisioned", wanted, "{item}");
        }
    }
    for target in targets.iter().rev() {
        let name = Some(json!({ "name": target.name }));
        app.call(reqwest::Method::DELETE, &format!("/targets/{}", target.id), name).await.expect(204);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_nobody_waits_for_ever() {
    let app = TestApp::start().await;
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let rounds = std::cell::Cell::new(0);
        let mut runner =
            TestRunner::new(Config { cases: 10, failure_persistence: None, ..Config::default() });
        runner
            .run(&prop::collection::vec(act(), 10..60), |acts| {
                rounds.set(rounds.get() + 1);
                handle.block_on(check(&app, rounds.get(), acts));
                Ok(())
            })
            .unwrap();
    });
}
