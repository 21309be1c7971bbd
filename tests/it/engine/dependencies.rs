//! Targets that wait for each other: `dependsOn` and `order`.

mod settings;
mod soak;

use serde_json::{Value, json};

use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Call, Sink};

/// Logic that tells the sink who runs and with which dependencies, and takes
/// what it is to leave from the answer.
const TELL: &str = r#"
    export default async function (ctx) {
        const { target, account, reason } = ctx;
        const response = await fetch(`${target.config.url}/${target.name}/${reason}`, {
            method: "POST",
            body: JSON.stringify({
                user: account.userName, trigger: ctx.trigger, version: account.version,
                dependencies: ctx.dependencies,
            }),
        });
        if (!response.ok) throw new Error(`the sink answered ${response.status}`);
        const left = await response.json();
        return {
            status: reason === "provision" ? "provisioned" : "deprovisioned",
            remoteId: left.remoteId ?? `${target.name}-${account.userName}`,
            metadata: left.metadata,
        };
    }
"#;

async fn target(app: &TestApp, sink: &Sink, store: &str, name: &str, more: Value) -> TestTarget {
    app.target(store, super::settings_with(name, sink, more), TELL).await
}

/// `ad` and `crm`, which depends on it.
async fn pair(app: &TestApp, sink: &Sink, store: &str) -> (TestTarget, TestTarget) {
    let ad = target(app, sink, store, "ad1", json!({})).await;
    let crm = target(app, sink, store, "crm", json!({ "dependsOn": ["ad1"] })).await;
    (ad, crm)
}

fn paths(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.path.trim_start_matches('/')).collect()
}

async fn until_blocked(app: &TestApp, account: &str, target: &TestTarget, by: Value) -> Value {
    app.until(format!("{} to wait for {by}", target.name), async || {
        let provision = app.provision(account, target).await;
        if provision["blockedBy"] == by { Ok(provision) } else { Err(provision) }
    })
    .await
}

async fn sync(app: &TestApp, account: &str, target: &TestTarget) {
    app.post(&format!("/accounts/{account}/provisions/{}/sync", target.id), json!({})).await.expect(202);
}

async fn pause(app: &TestApp, target: &TestTarget) {
    app.post(&format!("/targets/{}/pause", target.id), json!({})).await.expect(200);
    app.until("the pause".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["engine"]["paused"] == true { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test]
async fn the_lowest_order_goes_first_and_removals_go_the_other_way_round() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(std::time::Duration::from_millis(60)));
    let store = app.store("people").await;
    let mut targets = Vec::new();
    for (name, order) in [("two", 2), ("three", 3), ("one", 1), ("also-two", 2)] {
        targets.push(target(&app, &sink, &store, name, json!({ "order": order })).await);
    }
    let ada = app.account(&store, "ada", json!({})).await;
    let told = |calls: &[Call], reason: &str| {
        let mut names = paths(calls).into_iter().map(|path| path.replace(&format!("/{reason}"), ""));
        let mut names: Vec<String> = names.by_ref().collect();
        names[1..3].sort_unstable();
        names
    };
    let mut expected = ["one", "also-two", "two", "three"];
    for round in 1..=2 {
        let calls = sink.wait_for(4 * round).await;
        assert_eq!(told(&calls[4 * (round - 1)..], "provision"), expected);
        let names: Vec<_> = calls[4 * (round - 1)..].iter().collect();
        assert!(!names[0].overlaps(names[1]) && !names[2].overlaps(names[3]));
        if round == 1 {
            app.set(&ada, json!({ "title": "Director" })).await;
        }
    }
    app.delete(&format!("/accounts/{ada}")).await.expect(204);
    let calls = sink.wait_for(12).await;
    expected.reverse();
    expected[1..3].sort_unstable();
    assert_eq!(told(&calls[8..], "deprovision"), expected);
    for target in &targets {
        app.until_status(&ada, target, "deprovisioned").await;
    }
}

#[tokio::test]
async fn a_lower_order_that_fails_holds_nobody_up() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(500).to("/one/"));
    let store = app.store("people").await;
    let one = target(&app, &sink, &store, "one", json!({ "order": 1 })).await;
    let two = target(&app, &sink, &store, "two", json!({ "order": 2 })).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &two, "provisioned").await;
    let failed = app.provision(&ada, &one).await;
    assert_eq!(failed["status"], "provisionFailed");
    assert_eq!(paths(&sink.calls()[..2]), ["one/provision", "two/provision"]);
    pause(&app, &one).await;
    let bob = app.account(&store, "bob", json!({})).await;
    app.until_status(&bob, &two, "provisioned").await;
}

#[tokio::test]
async fn logic_is_told_what_the_other_target_left() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let left = json!({ "remoteId": "S-1-5", "metadata": { "mail": "ada@example.org" } });
    sink.answer(Answer::new(200).to("/ad1/").body(&left));
    let store = app.store("people").await;
    let (ad, crm) = pair(&app, &sink, &store).await;
    let off = super::settings_with("off", &sink, json!({ "filter": r#"userName eq "nobody""# }));
    let off = app.target(&store, off, TELL).await;
    app.patch(&format!("/targets/{}", crm.id), json!({ "dependsOn": ["ad1", off.id] })).await.expect(200);
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &crm, "provisioned").await;
    let calls = sink.calls();
    assert_eq!(paths(&calls), ["ad1/provision", "crm/provision"]);
    let expected = json!({
        "ad1": { "status": "provisioned", "remoteId": "S-1-5", "metadata": { "mail": "ada@example.org" } },
        "off": { "status": "provisionNotNeeded", "remoteId": null, "metadata": null },
    });
    assert_eq!(calls[1].json()["dependencies"], expected);
    assert_eq!(calls[0].json()["dependencies"], json!({}));
    assert_eq!(app.provision(&ada, &ad).await["blockedBy"], json!([]));
}

#[tokio::test]
async fn a_blocked_account_says_what_it_waits_for_and_is_released() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(422).to("/ad1/").containing("zoe"));
    let store = app.store("people").await;
    let (ad, crm) = pair(&app, &sink, &store).await;
    let zoe = app.account(&store, "zoe", json!({})).await;
    let bob = app.account(&store, "bob", json!({})).await;
    app.until_status(&bob, &crm, "provisioned").await;
    app.until_status(&zoe, &ad, "provisionFailed").await;
    let blocked = app
        .until("a reason".into(), async || {
            let blocked = app.provision(&zoe, &crm).await;
            let why = blocked["why"].as_str().unwrap();
            if why.starts_with("waits for target `ad1`, which failed: the sink answered 422") {
                Ok(blocked)
            } else {
                Err(blocked)
            }
        })
        .await;
    assert_eq!((&blocked["status"], &blocked["blockedBy"]), (&json!("pending"), &json!(["ad1"])));
    assert_eq!(blocked["nextRunAt"], Value::Null);
    let status = app.get(&format!("/targets/{}/status", crm.id)).await;
    assert_eq!((&status["blocked"], &status["backlog"]), (&json!(1), &json!(0)));
    // A change and a person's word are blocked as well.
    sync(&app, &zoe, &crm).await;
    until_blocked(&app, &zoe, &crm, json!(["ad1"])).await;
    assert_eq!(sink.calls_about("zoe").iter().filter(|call| call.path.starts_with("/crm")).count(), 0);

    sink.answer_well();
    sync(&app, &zoe, &ad).await;
    app.until_status(&zoe, &crm, "provisioned").await;
    assert_eq!(app.get(&format!("/targets/{}/status", crm.id)).await["blocked"], 0);
    assert_eq!(app.runs(&crm, &zoe).await.len(), 1);
}

#[tokio::test]
async fn what_does_not_apply_does_not_block() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let filter = json!({ "filter": r#"site eq "Oslo""# });
    let ad = target(&app, &sink, &store, "ad1", filter).await;
    let crm = target(&app, &sink, &store, "crm", json!({ "dependsOn": ["ad1"] })).await;
    let ada = app.account(&store, "ada", json!({ "site": "Bonn" })).await;
    app.until_status(&ada, &crm, "provisioned").await;
    assert_eq!(paths(&sink.calls()), ["crm/provision"]);

    sink.answer(Answer::new(422).to("/ad1/"));
    let bob = app.account(&store, "bob", json!({ "site": "Oslo" })).await;
    until_blocked(&app, &bob, &crm, json!(["ad1"])).await;
    app.set(&bob, json!({ "site": "Bonn" })).await;
    app.until_status(&bob, &crm, "provisioned").await;

    let eve = app.account(&store, "eve", json!({ "site": "Oslo" })).await;
    until_blocked(&app, &eve, &crm, json!(["ad1"])).await;
    app.patch(&format!("/targets/{}", ad.id), json!({ "enabled": false })).await.expect(200);
    app.until_status(&eve, &crm, "provisioned").await;
}

#[tokio::test]
async fn a_paused_target_blocks_visibly() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let (ad, crm) = pair(&app, &sink, &store).await;
    pause(&app, &ad).await;
    let ada = app.account(&store, "ada", json!({})).await;
    let blocked = until_blocked(&app, &ada, &crm, json!(["ad1"])).await;
    let why = "waits for target `ad1`, which has a change to run first (it is paused)";
    assert_eq!(blocked["why"], why);
    app.post(&format!("/targets/{}/resume", ad.id), json!({})).await.expect(200);
    app.until_status(&ada, &crm, "provisioned").await;
}

#[tokio::test]
async fn a_dependent_is_deprovisioned_first() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let (ad, crm) = pair(&app, &sink, &store).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &crm, "provisioned").await;
    sink.answer(Answer::new(422).to("/crm/deprovision"));
    app.delete(&format!("/accounts/{ada}")).await.expect(204);
    app.until_status(&ada, &crm, "provisionFailed").await;
    let blocked = until_blocked(&app, &ada, &ad, json!(["crm"])).await;
    assert_eq!(blocked["why"], "waits for target `crm`, which depends on this one and still holds it");
    sink.answer_well();
    sync(&app, &ada, &crm).await;
    app.until_status(&ada, &ad, "deprovisioned").await;
    assert_eq!(paths(&sink.calls())[2..], ["crm/deprovision", "crm/deprovision", "ad1/deprovision"]);
}

#[tokio::test]
async fn one_that_stays_elsewhere_is_removed_at_once_and_the_other_is_told() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let ad = target(&app, &sink, &store, "ad1", json!({ "filter": r#"site eq "Oslo""# })).await;
    let crm = target(&app, &sink, &store, "crm", json!({ "dependsOn": ["ad1"] })).await;
    let ada = app.account(&store, "ada", json!({ "site": "Oslo" })).await;
    app.until_status(&ada, &crm, "provisioned").await;
    app.set(&ada, json!({ "site": "Bonn" })).await;
    app.until_status(&ada, &ad, "deprovisioned").await;
    app.until("crm to know".into(), async || {
        app.until_idle(&crm).await;
        let calls = sink.calls();
        let last = calls.iter().rfind(|call| call.path.starts_with("/crm")).unwrap().json();
        if last["dependencies"]["ad1"]["status"] == "deprovisioned" { Ok(()) } else { Err(last) }
    })
    .await;
    assert_eq!(app.provision(&ada, &crm).await["status"], "provisioned");
}

#[tokio::test]
async fn a_new_remote_id_runs_the_dependent_again_and_the_same_one_does_not() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let (ad, crm) = pair(&app, &sink, &store).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &crm, "provisioned").await;
    sync(&app, &ada, &ad).await;
    app.until_runs(&ad, &ada, 2).await;
    app.until_idle(&crm).await;
    assert_eq!(app.runs(&crm, &ada).await.len(), 1);

    sink.answer(Answer::new(200).to("/ad1/").body(json!({ "remoteId": "moved" })));
    sync(&app, &ada, &ad).await;
    let runs = app.until_runs(&crm, &ada, 2).await;
    assert_eq!((&runs[1]["trigger"], &runs[1]["reason"]), (&json!("dependency"), &json!("provision")));
    let calls = sink.calls();
    assert_eq!(calls.last().unwrap().json()["dependencies"]["ad1"]["remoteId"], "moved");
    app.until_idle(&crm).await;
    assert_eq!(app.runs(&crm, &ada).await.len(), 2);
}

#[tokio::test]
async fn removals_that_a_guard_holds_keep_the_others_back() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let guard = json!({ "guard": { "count": 2, "percent": 0 } });
    let ad = target(&app, &sink, &store, "ad1", guard.clone()).await;
    let crm = target(&app, &sink, &store, "crm", guard).await;
    app.patch(&format!("/targets/{}", crm.id), json!({ "dependsOn": ["ad1"] })).await.expect(200);
    let mut accounts = Vec::new();
    for number in 0..5 {
        accounts.push(app.account(&store, &format!("user{number}"), json!({})).await);
    }
    for account in &accounts {
        app.until_status(account, &crm, "provisioned").await;
    }
    pause(&app, &crm).await;
    for account in &accounts {
        app.delete(&format!("/accounts/{account}")).await.expect(204);
    }
    for account in &accounts {
        until_blocked(&app, account, &ad, json!(["crm"])).await;
    }
    app.post(&format!("/targets/{}/resume", crm.id), json!({})).await.expect(200);
    for target in [&crm, &ad] {
        let lot = app
            .until(format!("a lot of {}", target.name), async || {
                let lots = app.get(&format!("/targets/{}/held", target.id)).await;
                let waiting = lots["items"][0]["waiting"].as_u64().unwrap_or(0);
                if waiting == 5 { Ok(lots["items"][0]["id"].clone()) } else { Err(lots) }
            })
            .await;
        assert!(!sink.calls().iter().any(|call| call.path == format!("/{}/deprovision", target.name)));
        app.post(&format!("/held/{}/approve", lot.as_str().unwrap()), json!({})).await.expect(200);
        for account in &accounts {
            app.until_status(account, target, "deprovisioned").await;
        }
    }
}
