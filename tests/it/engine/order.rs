//! Order under contention: no two runs of one account overlap, versions never
//! go back, the last version always arrives.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::{RECORD, settings_with};
use crate::support::app::TestApp;
use crate::support::sink::{Answer, Sink};

/// What a hurried administrator does to one of a few accounts.
#[derive(Debug, Clone)]
enum Act {
    Change(usize, u32),
    Sync(usize),
    Force,
    Rest(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0_usize..6, any::<u32>()).prop_map(|(who, value)| Act::Change(who, value)),
        2 => (0_usize..6).prop_map(Act::Sync),
        1 => Just(Act::Force),
        2 => (0_u64..25).prop_map(Act::Rest),
    ]
}

async fn check(app: &TestApp, round: u32, acts: Vec<Act>) {
    let sink = Sink::start().await;
    sink.answer(Answer::new(200).after(Duration::from_millis(8)));
    let store = app.store(&format!("round-{round}")).await;
    let parallel = json!({ "maxParallelJobs": 8 });
    let target = app.target(&store, settings_with(&format!("round-{round}"), &sink, parallel), RECORD).await;
    let mut accounts = Vec::new();
    for number in 0..6 {
        accounts.push(app.account(&store, &format!("user{number}"), json!({ "n": null })).await);
    }
    for act in acts {
        match act {
            Act::Change(who, value) => app.set(&accounts[who], json!({ "n": value })).await,
            Act::Sync(who) => {
                let path = format!("/accounts/{}/provisions/{}/sync", accounts[who], target.id);
                app.post(&path, json!({})).await.expect(202);
            }
            Act::Force => {
                app.post(&format!("/targets/{}/force", target.id), json!({})).await.expect(202);
            }
            Act::Rest(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
    }
    app.until_idle(&target).await;
    for account in &accounts {
        app.until_status(account, &target, "provisioned").await;
    }
    app.until_idle(&target).await;
    let mut versions: HashMap<String, i64> = HashMap::new();
    let calls = sink.calls();
    for (index, call) in calls.iter().enumerate() {
        let body = call.json();
        let (user, version) = (body["id"].as_str().unwrap().to_owned(), body["version"].as_i64().unwrap());
        for other in calls[..index].iter().filter(|other| other.json()["id"] == user.as_str()) {
            assert!(!call.overlaps(other), "two runs of {user} overlap");
        }
        let before = versions.insert(user, version).unwrap_or(0);
        assert!(version >= before, "version {version} after {before}");
    }
    for account in &accounts {
        let record = app.get(&format!("/accounts/{account}")).await;
        assert_eq!(Some(versions[account]), record["version"].as_i64());
    }
    app.call(
        reqwest::Method::DELETE,
        &format!("/targets/{}", target.id),
        Some(json!({ "name": target.name })),
    )
    .await
    .expect(204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_of_an_account_never_overlap_and_the_last_version_arrives() {
    let app = TestApp::start().await;
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let rounds = std::cell::Cell::new(0);
        let mut runner =
            TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
        runner
            .run(&prop::collection::vec(act(), 5..60), |acts| {
                rounds.set(rounds.get() + 1);
                handle.block_on(check(&app, rounds.get(), acts));
                Ok(())
            })
            .unwrap();
    });
}
