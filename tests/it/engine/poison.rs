//! Logic that breaks its limits ends with a run that says so, and the others
//! go on.

use serde_json::{Value, json};

use super::{settings, settings_with};
use crate::support::app::TestApp;
use crate::support::sink::Sink;

const POISON: &str = r#"
    export default async (ctx) => {
        const poison = ctx.account.attributes.poison;
        await fetch(ctx.target.config.url, { method: "POST", body: ctx.account.userName });
        if (poison === "loop") for (;;) {}
        if (poison === "microtasks") for (;;) await null;
        if (poison === "heap") { const hog = []; for (;;) hog.push(new Array(100000).fill(hog.length)); }
        if (poison === "never") await new Promise(() => {});
        if (poison === "builtin") Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1);
        return { status: "provisioned" };
    };
"#;

#[tokio::test]
async fn poison_ends_in_its_limit_while_others_go_on() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let limits = json!({
        "limits": { "cpuMs": 500, "wallMs": 8_000, "heapMib": 64 },
        "retry": { "maxAttempts": 1 }, "maxParallelJobs": 10,
    });
    let target = app.target(&store, settings_with("crm", &sink, limits), POISON).await;
    for (poison, limit) in
        [("loop", "CPU"), ("microtasks", "CPU"), ("heap", "heap"), ("never", "wall"), ("builtin", "CPU")]
    {
        let bad = app.account(&store, poison, json!({ "poison": poison })).await;
        let mut good = Vec::new();
        for number in 0..20 {
            good.push(app.account(&store, &format!("{poison}{number}"), json!({})).await);
        }
        for account in &good {
            app.until_status(account, &target, "provisioned").await;
        }
        let shown = app.until_status(&bad, &target, "provisionFailed").await;
        let message = shown["message"].as_str().unwrap();
        assert!(message.contains(limit), "{poison}: {message}");
    }
}

#[tokio::test]
async fn a_run_that_brings_its_host_down_three_times_is_a_dead_letter() {
    let (mut app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let quick = json!({
        "limits": { "cpuMs": 100 }, "retry": { "firstDelaySecs": 1, "maxDelaySecs": 1 },
    });
    let target = app.target(&store, settings_with("crm", &sink, quick), POISON).await;
    let bad = app.account(&store, "loop", json!({ "poison": "loop" })).await;
    let worse = app.account(&store, "builtin", json!({ "poison": "builtin" })).await;
    app.until_runs(&target, &bad, 1).await;
    // The count outlives the daemon.
    app.kill();
    app.restart().await;
    for account in [&bad, &worse] {
        let dead = app
            .until("it is given up".into(), async || {
                let shown = app.provision(account, &target).await;
                let message = shown["message"].as_str().unwrap_or_default();
                if message.contains("three times") { Ok(shown) } else { Err(shown) }
            })
            .await;
        let message = dead["message"].as_str().unwrap();
        assert!(message.starts_with("it has brought its host down three times; not tried again"), "{dead}");
        assert!(message.ends_with("the CPU limit of 100 ms was reached"), "{dead}");
        assert_eq!(dead["nextRunAt"], Value::Null, "{dead}");
        assert_eq!(app.runs(&target, account).await.len(), 3);
    }
    let groups = app.get(&format!("/targets/{}/deadletters", target.id)).await;
    assert_eq!(groups["items"].as_array().unwrap().len(), 1, "{groups}");
    assert_eq!(
        (&groups["items"][0]["count"], &groups["items"][0]["errorClass"]),
        (&json!(2), &json!("logic"))
    );

    // A person may ask; once more is enough to know.
    app.post(&format!("/accounts/{bad}/provisions/{}/sync", target.id), json!({})).await.expect(202);
    app.until_runs(&target, &bad, 4).await;
    app.until_status(&bad, &target, "provisionFailed").await;
    // A change of the account begins anew.
    app.set(&bad, json!({ "poison": "heap" })).await;
    let runs = app.until_runs(&target, &bad, 7).await;
    assert!(runs[6]["message"].as_str().unwrap().contains("three times"), "{runs:#?}");
    app.set(&bad, json!({ "poison": "none" })).await;
    app.until_status(&bad, &target, "provisioned").await;
}

#[tokio::test]
async fn logic_that_does_not_compile_is_refused_with_its_place() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let made = app.post(&format!("/stores/{store}/targets"), settings("crm", &sink)).await.expect(201);
    let path = format!("/targets/{}/logic", made["id"].as_str().unwrap());
    for (code, line) in [
        ("export default async (ctx) => {\n  return {;\n}", Some(2)),
        ("export default 5", None),
        ("throw new Error('at load')", Some(1)),
        ("for (;;) {}", None),
        ("", None),
    ] {
        let refused = app.put(&path, json!({ "code": code })).await.expect(422);
        assert_eq!(refused["errors"][0]["field"], "code", "{refused}");
        if let Some(line) = line {
            assert_eq!(refused["line"], line, "{refused}");
        }
    }
    app.post(&format!("{path}/publish"), json!({})).await.expect(409);
    let enable = app.patch(path.trim_end_matches("/logic"), json!({ "enabled": true })).await.expect(409);
    assert!(enable["detail"].as_str().unwrap().contains("publish"), "{enable}");
}
