//! Logic that breaks its limits ends with a run that says so, and the others
//! go on.

use std::time::Duration;

use serde_json::json;

use super::{settings, settings_with};
use crate::support::app::TestApp;
use crate::support::clock::Clock;
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
        "limits": { "cpuMs": 1_000, "wallMs": 8_000, "heapMib": 64 },
        "retry": { "maxAttempts": 1 }, "maxParallelJobs": 10,
    });
    let target = app.target(&store, settings_with("crm", &sink, limits), POISON).await;
    let (cpu, wall) = (Duration::from_secs(1), Duration::from_secs(8));
    for (poison, limit, time) in [
        ("loop", "CPU", cpu),
        ("microtasks", "CPU", cpu),
        ("heap", "heap", cpu),
        ("never", "wall", wall),
        ("builtin", "CPU", cpu),
    ] {
        let clock = Clock::of_family(app.pid());
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
        let runs = app.runs(&target, &bad).await;
        let took = Duration::from_millis(runs[0]["durationMs"].as_u64().unwrap());
        let (waited, most) = (clock.waited(), time + Duration::from_secs(1));
        assert!(took < most + waited, "{poison} took {took:?}, of these {waited:?} without a CPU");
    }
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
