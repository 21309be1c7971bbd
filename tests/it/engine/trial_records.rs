//! What remains of logic that was tried.

use serde_json::{Value, json};

use super::{RECORD, settings, settings_with};
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Sink};

/// Reads from the system, or from wherever the account says.
const READS: &str = r#"
    export default async (ctx) => {
        const answer = await fetch(ctx.account.attributes.url ?? ctx.target.config.url);
        if (ctx.account.attributes.fails) throw new Error("no");
        return { status: "provisioned", message: String(answer.status) };
    };
"#;

async fn records(app: &TestApp, target: &TestTarget) -> Vec<Value> {
    app.get(&format!("/targets/{}/dry-runs", target.id)).await["items"].as_array().unwrap().clone()
}

async fn record(app: &TestApp, listed: &Value) -> Value {
    app.get(&format!("/dry-runs/{}", listed["id"].as_str().unwrap())).await
}

#[tokio::test]
async fn whatever_is_tried_leaves_a_record() {
    let (mut app, sink, other) = (TestApp::start().await, Sink::start().await, Sink::start().await);
    let store = app.store("people").await;
    let more = json!({ "egressAllow": [sink.address, other.address], "retry": { "maxAttempts": 1 } });
    let target = app.target(&store, settings_with("crm", &sink, more), READS).await;
    let ada = app.account(&store, "ada", json!({ "fails": true })).await;
    app.until_status(&ada, &target, "provisionFailed").await;
    let editor = app.post("/tokens", json!({ "name": "eve", "role": "editor" })).await.expect(201);
    let owner = std::mem::replace(&mut app.token, editor["token"].as_str().unwrap().to_owned());

    let code = READS.replace("\"no\"", "\"not so\"");
    let test = format!("/targets/{}/logic/test", target.id);
    let account = json!({ "userName": "made.up", "attributes": { "url": other.url } });
    app.post(&test, json!({ "account": account, "code": code })).await.expect(200);
    app.post(&test, json!({ "accountId": ada, "logic": "published" })).await.expect(200);
    app.post(&test, json!({ "sample": 5 })).await.expect(200);
    let plan = app.post(&format!("/targets/{}/logic/plans", target.id), json!({})).await.expect(202);
    let run = app.runs(&target, &ada).await.remove(0);
    let run_id = run["id"].as_str().unwrap();
    let replayed = app.until("a turn for the replay".into(), async || {
        let answer = app.post(&format!("/runs/{run_id}/replay"), json!({})).await;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.body) }
    });
    replayed.await;
    let plan_path = format!("/targets/{}/logic/plans/{}", target.id, plan["id"].as_str().unwrap());
    app.until("the plan".into(), async || {
        let plan = app.get(&plan_path).await;
        if plan["state"] == "running" { Err(plan) } else { Ok(()) }
    })
    .await;

    let found = app
        .until("five records that have ended".into(), async || {
            let found = records(&app, &target).await;
            let ended = found.iter().filter(|record| record["state"] == "finished").count();
            if ended == 5 { Ok(found) } else { Err(json!(found)) }
        })
        .await;
    let kinds: Vec<_> = found.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["replay", "plan", "sample", "dryRun", "dryRun"]);
    for record in &found {
        assert_eq!((&record["tokenId"], &record["tokenName"]), (&editor["id"], &json!("eve")));
        assert_eq!(record["codeHash"].as_str().unwrap().len(), 64);
        assert!(record.get("code").is_none() && record.get("exchanges").is_none(), "{record}");
        let line = format!(
            "{} {} of target {} for token {} ",
            record["kind"].as_str().unwrap(),
            record["id"].as_str().unwrap(),
            target.id,
            editor["id"].as_str().unwrap()
        );
        assert!(app.log().contains(&line), "{line}: {}", app.log());
    }
    let [replay, _, sample, published, unsaved] = &found[..] else { unreachable!() };
    assert_eq!(
        (&replay["runId"], &replay["accountId"], &replay["hosts"]),
        (&json!(run_id), &json!(ada), &json!([]))
    );
    // The draft, and what is published beside it.
    assert_eq!((&sample["runs"], &sample["hosts"]), (&json!(2), &json!([sink.address])));
    assert_eq!((&published["logic"], &published["accountId"]), (&json!(1), &json!(ada)));
    assert_eq!((&unsaved["logic"], &unsaved["accountId"]), (&json!("unsaved"), &Value::Null));
    assert_ne!(unsaved["codeHash"], published["codeHash"]);
    assert_eq!(unsaved["hosts"], json!([other.address]));
    let shown = record(&app, unsaved).await;
    assert_eq!(shown["code"], json!(code));
    assert_eq!(shown["exchanges"].as_array().unwrap().len(), 1);
    assert_eq!(shown["exchanges"][0]["request"]["url"], format!("{}/", other.url));
    assert_eq!(record(&app, published).await["code"], Value::Null);

    // A page at a time, and 404s.
    let first = app.get(&format!("/targets/{}/dry-runs?limit=2", target.id)).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    let next = first["next"].as_str().unwrap();
    let second = app.get(&format!("/targets/{}/dry-runs?limit=2&cursor={next}", target.id)).await;
    assert_eq!(second["items"][0], found[2]);
    for path in ["/dry-runs/999999", "/dry-runs/x", "/targets/999999/dry-runs"] {
        app.call(reqwest::Method::GET, path, None).await.expect(404);
    }
    app.token = owner;
}

#[tokio::test]
async fn who_hangs_up_leaves_a_record_of_what_was_sent() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.disabled_target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    sink.answer(Answer::new(200).after(std::time::Duration::from_secs(60)));
    let url = format!("{}/api/v1/targets/{}/logic/test", app.url, target.id);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(&url).bearer_auth(&app.token).json(&json!({ "accountId": ada, "code": READS }));
    let caller = tokio::spawn(async move { request.send().await?.text().await });
    sink.wait_until(|calls| calls.len() == 1).await;
    assert_eq!(records(&app, &target).await[0]["state"], "running");
    caller.abort();
    let left = app
        .until("the record of who hung up".into(), async || {
            let record = records(&app, &target).await.remove(0);
            if record["state"] == "abandoned" { Ok(record) } else { Err(record) }
        })
        .await;
    assert_eq!((&left["hosts"], &left["runs"]), (&json!([sink.address]), &json!(1)));
    let shown = record(&app, &left).await;
    assert!(shown["exchanges"][0]["error"].as_str().unwrap().starts_with("abandoned"), "{shown}");
}
