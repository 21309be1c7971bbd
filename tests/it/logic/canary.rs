//! A version that some accounts run first.

use serde_json::{Value, json};

use crate::support::app::{TestApp, TestTarget};

fn says(word: &str) -> String {
    format!("export default (ctx) => ({{ status: 'provisioned', message: '{word}' }});")
}

const FAILS: &str = "export default (ctx) => { throw new Error('broken'); }";

/// So many accounts at a target whose logic works.
async fn world(accounts: usize) -> (TestApp, TestTarget) {
    let app = TestApp::start().await;
    app.store("people").await;
    let lines: String = (0..accounts).map(|n| format!("{{\"userName\":\"user{n}\"}}\n")).collect();
    app.import("people", "", lines).await;
    let target =
        app.target("people", json!({ "name": "crm", "retry": { "maxAttempts": 1 } }), &says("old")).await;
    app.until(format!("{accounts} to be provisioned"), async || {
        let said = messages(&app, &target).await;
        if said.get("old") == Some(&accounts) { Ok(()) } else { Err(json!(said)) }
    })
    .await;
    (app, target)
}

/// How many accounts were last told what.
async fn messages(app: &TestApp, target: &TestTarget) -> std::collections::BTreeMap<String, usize> {
    let mut latest = std::collections::BTreeMap::new();
    let page = app.get(&format!("/targets/{}/runs?limit=500", target.id)).await;
    for run in page["items"].as_array().unwrap().iter().rev() {
        let text = run["message"].as_str().unwrap().lines().next().unwrap_or_default().to_owned();
        latest.insert(run["subjectId"].to_string(), text);
    }
    let mut counts = std::collections::BTreeMap::new();
    latest.into_values().for_each(|text| *counts.entry(text).or_default() += 1);
    counts
}

async fn publish(app: &TestApp, target: &TestTarget, code: &str, canary: Value) -> Value {
    let path = format!("/targets/{}/logic", target.id);
    app.put(&path, json!({ "code": code })).await.expect(200);
    app.post(&format!("{path}/publish"), json!({ "canary": canary })).await.expect(200)
}

async fn force(app: &TestApp, target: &TestTarget) {
    app.post(&format!("/targets/{}/force", target.id), json!({})).await.expect(202);
    app.until_idle(target).await;
}

#[tokio::test]
async fn some_accounts_run_it_first_and_then_all() {
    let (app, target) = world(40).await;
    let path = format!("/targets/{}/logic", target.id);
    let begun = publish(&app, &target, &says("new"), json!({ "accounts": 7 })).await;
    assert_eq!((&begun["version"], &begun["canary"]["accounts"]), (&json!(2), &json!(7)));
    let shown = app.get(&path).await;
    assert_eq!((&shown["publishedVersion"], &shown["canary"]["state"]), (&json!(1), &json!("running")));

    // What is published is what a force runs.
    force(&app, &target).await;
    let counts = app.until("all to have run".into(), async || until_figures(&app, &target, 40).await).await;
    assert_eq!(
        (counts["figures"][0]["runs"].clone(), counts["figures"][1]["runs"].clone()),
        (json!(7), json!(33))
    );
    let said = messages(&app, &target).await;
    assert_eq!((said["new"], said["old"]), (7, 33));

    let promote = format!("{path}/canary/promote");
    let body = json!({ "note": "seven were happy", "force": true });
    app.post(&promote, json!({ "note": "a\0b" })).await.expect(422);
    let ended = app.post(&promote, body).await.expect(200);
    assert_eq!(
        (&ended["canary"]["state"], &ended["canary"]["reason"]),
        (&json!("promoted"), &json!("seven were happy"))
    );
    assert!(ended["sweep"]["id"].is_string(), "{ended}");
    let shown = app.get(&path).await;
    assert_eq!(shown["publishedVersion"], 2);
    let history = &shown["versions"][0]["canary"];
    assert_eq!(
        (&history["state"], &history["reason"]),
        (&json!("promoted"), &json!("seven were happy")),
        "the history tells how version 2 came to run: {shown}"
    );
    app.until("all to run the new one".into(), async || {
        let said = messages(&app, &target).await;
        if said.get("new") == Some(&40) { Ok(()) } else { Err(json!(said)) }
    })
    .await;
    app.post(&promote, json!({})).await.expect(409);
    publish(&app, &target, &says("newer"), json!({ "accounts": 7 })).await;
    let ended = app.post(&promote, json!({})).await.expect(200);
    assert_eq!((&ended["accountsToForce"], &ended["canary"]["reason"]), (&json!(40), &json!("")));
}

/// The engine sees a publication by itself within its look around.
async fn settle(app: &TestApp, target: &TestTarget) {
    let wanted = app.get(&format!("/targets/{}/logic", target.id)).await;
    let trial = if wanted["canary"]["state"] == "running" {
        wanted["canary"]["version"].clone()
    } else {
        Value::Null
    };
    app.until("the engine to know".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        let engine = &status["engine"];
        let same = engine["logicVersion"] == wanted["publishedVersion"] && engine["canaryVersion"] == trial;
        if same { Ok(()) } else { Err(status) }
    })
    .await;
}

async fn until_figures(app: &TestApp, target: &TestTarget, runs: i64) -> Result<Value, Value> {
    let status = app.get(&format!("/targets/{}/status", target.id)).await;
    let canary = status["canary"].clone();
    let counted: i64 = (0..2).filter_map(|side| canary["figures"][side]["runs"].as_i64()).sum();
    if counted >= runs { Ok(canary) } else { Err(status) }
}

/// The trial, once a force of all has had it rolled back.
async fn forced_to_its_end(app: &TestApp, target: &TestTarget) -> Value {
    app.post(&format!("/targets/{}/force", target.id), json!({})).await.expect(202);
    app.until("the trial to end".into(), async || {
        let canary = app.get(&format!("/targets/{}/logic", target.id)).await["canary"].clone();
        if canary["state"] == "rolledBack" { Ok(canary) } else { Err(canary) }
    })
    .await
}

#[tokio::test]
async fn too_many_failures_roll_it_back() {
    let (app, target) = world(60).await;
    let path = format!("/targets/{}/logic", target.id);
    publish(&app, &target, FAILS, json!({ "percent": 50, "minRuns": 5, "maxFailurePercent": 20 })).await;
    let ended = forced_to_its_end(&app, &target).await;
    assert_eq!(ended["endedBy"], "provisiond");
    let reason = ended["reason"].as_str().unwrap();
    assert!(reason.ends_with("accounts failed with version 2, and 20 in a hundred may"), "{reason}");
    assert_eq!(app.get(&path).await["publishedVersion"], 1);
    // Nobody runs it from now on.
    settle(&app, &target).await;
    force(&app, &target).await;
    app.until("all to run the old one".into(), async || {
        let said = messages(&app, &target).await;
        if said.get("old") == Some(&60) { Ok(()) } else { Err(json!(said)) }
    })
    .await;
}

/// However few a share of them comes to, somebody tries it, and is heard.
#[tokio::test]
async fn a_share_of_few_is_judged_by_those() {
    let (app, target) = world(21).await;
    let begun = publish(&app, &target, FAILS, json!({ "percent": 10 })).await["canary"].clone();
    assert_eq!(
        (&begun["percent"], &begun["accounts"], &begun["minRuns"]),
        (&json!(10), &json!(3), &json!(3))
    );
    let ended = forced_to_its_end(&app, &target).await;
    assert_eq!(ended["reason"], "3 of 3 accounts failed with version 2, and 10 in a hundred may");
}

#[tokio::test]
async fn another_publication_ends_it() {
    let (app, target) = world(3).await;
    let path = format!("/targets/{}/logic", target.id);
    publish(&app, &target, &says("a"), json!({ "percent": 10 })).await;
    let second =
        publish(&app, &target, &says("b"), json!({ "accounts": 1, "minRuns": 1, "maxFailurePercent": 0 }))
            .await;
    assert_eq!((&second["canary"]["version"], &second["canary"]["baseVersion"]), (&json!(3), &json!(1)));
    app.put(&path, json!({ "code": says("c") })).await.expect(200);
    app.post(&format!("{path}/publish"), json!({})).await.expect(200);
    let shown = app.get(&path).await;
    assert_eq!((&shown["publishedVersion"], &shown["canary"]["state"]), (&json!(4), &json!("rolledBack")));
    assert_eq!(shown["canary"]["reason"], "version 4 was published");
}

#[tokio::test]
async fn what_makes_no_trial_is_refused() {
    let app = TestApp::start().await;
    let path = format!("/targets/{}/logic", app.bare_target().await);
    app.put(&path, json!({ "code": says("x") })).await.expect(200);
    let refused = async |canary: Value| {
        let answer = app.post(&format!("{path}/publish"), json!({ "canary": canary })).await.expect(422);
        answer["errors"][0]["field"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        refused(json!({ "percent": 10 })).await,
        "canary",
        "there is nothing that the others would run"
    );
    assert_eq!(app.get(&path).await["versions"], json!([]), "what was refused left no version");
    let first = app.post(&format!("{path}/publish"), json!({})).await.expect(200);
    assert_eq!(first["version"], 1);
    assert_eq!(refused(json!({})).await, "canary.accounts");
    assert_eq!(refused(json!({ "percent": 100 })).await, "canary.percent");
    assert_eq!(refused(json!({ "accounts": 0 })).await, "canary.accounts");
    assert_eq!(refused(json!({ "accounts": 3, "percent": 3 })).await, "canary.accounts");
    assert_eq!(refused(json!({ "percent": 3, "minRuns": 0 })).await, "canary.minRuns");
    assert_eq!(refused(json!({ "percent": 3, "maxFailurePercent": 101 })).await, "canary.maxFailurePercent");
}

#[tokio::test]
async fn going_back_leads_to_what_all_ran_before() {
    let (app, target) = world(3).await;
    let path = format!("/targets/{}/logic", target.id);
    let rollback = format!("{path}/rollback");
    publish(&app, &target, &says("tried"), json!({ "percent": 10 })).await;
    let refused = app.post(&rollback, json!({})).await.expect(409);
    assert!(refused["detail"].as_str().unwrap().starts_with("version 2 is on trial"), "{refused}");
    app.post(&format!("{path}/canary/rollback"), json!({})).await.expect(200);
    app.post(&rollback, json!({})).await.expect(409);

    app.put(&path, json!({ "code": says("third") })).await.expect(200);
    app.post(&format!("{path}/publish"), json!({})).await.expect(200);
    let back = app.post(&rollback, json!({})).await.expect(200);
    assert_eq!((&back["version"], &back["restores"]), (&json!(4), &json!(1)), "2 was only tried");

    // One that was promoted was live.
    publish(&app, &target, &says("promoted"), json!({ "percent": 10 })).await;
    app.post(&format!("{path}/canary/promote"), json!({})).await.expect(200);
    app.put(&path, json!({ "code": says("sixth") })).await.expect(200);
    app.post(&format!("{path}/publish"), json!({})).await.expect(200);
    assert_eq!(app.post(&rollback, json!({})).await.expect(200)["restores"], 5);

    // A version that is named is published, and ends the trial.
    publish(&app, &target, &says("eighth"), json!({ "percent": 10 })).await;
    assert_eq!(app.post(&rollback, json!({ "version": 1 })).await.expect(200)["restores"], 1);
    assert_eq!(app.get(&path).await["canary"]["state"], "rolledBack");
}

#[tokio::test]
async fn a_trial_has_accounts_and_a_target() {
    let app = TestApp::start().await;
    app.store("people").await;
    let target = app.disabled_target("people", json!({ "name": "crm" }), &says("one")).await;
    let path = format!("/targets/{}/logic", target.id);
    app.put(&path, json!({ "code": says("two") })).await.expect(200);
    let canary = json!({ "canary": { "accounts": 20 } });
    let refused = app.post(&format!("{path}/publish"), canary.clone()).await.expect(409);
    assert!(refused["detail"].as_str().unwrap().starts_with("no account is in scope"), "{refused}");
    for name in ["ada", "bob", "eve"] {
        app.account("people", name, json!({})).await;
    }
    let begun = app.post(&format!("{path}/publish"), canary).await.expect(200);
    assert_eq!((&begun["version"], &begun["canary"]["accounts"]), (&json!(2), &json!(3)));
    assert_eq!(begun["canary"]["minRuns"], 3, "all of the few");

    app.post(&format!("{path}/canary/promote"), json!({ "force": true })).await.expect(409);
    app.delete(&format!("/targets/{}?name=crm", target.id)).await.expect(204);
    for end in ["promote", "rollback"] {
        app.post(&format!("{path}/canary/{end}"), json!({})).await.expect(404);
        app.post(&format!("/targets/77/logic/canary/{end}"), json!({})).await.expect(404);
    }
}
