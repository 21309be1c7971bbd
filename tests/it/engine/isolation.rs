//! Who shares a host process.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::settings_with;
use crate::support::app::TestApp;
use crate::support::sink::{Answer, Sink};

/// Says which process it ran in, and with how many others at its worst moment.
const COUNTS: &str = r#"
    const host = crypto.randomUUID();
    let now = 0;
    export default async (ctx) => {
        now += 1;
        const before = now;
        const answer = await fetch(ctx.target.config.url, { method: "POST", body: ctx.account.userName });
        const after = now;
        now -= 1;
        if (!answer.ok) throw new Error(`answered ${answer.status}`);
        return { status: "provisioned", metadata: { host, most: Math.max(before, after) } };
    };
"#;

/// What `COUNTS` says of twelve accounts, and how many hosts the target had.
async fn runs_of(isolation: &str) -> (Vec<Value>, usize) {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(200).after(Duration::from_millis(300)));
    let store = app.store("people").await;
    let mut accounts = Vec::new();
    for number in 0..12 {
        accounts.push(app.account(&store, &format!("u{number}"), json!({})).await);
    }
    let settings = settings_with("crm", &sink, json!({ "isolation": isolation, "maxParallelJobs": 4 }));
    let target = app.target(&store, settings, COUNTS).await;
    let mut found = Vec::new();
    for account in &accounts {
        found.push(app.until_status(account, &target, "provisioned").await["metadata"].clone());
    }
    let status = app.get(&format!("/targets/{}/status", target.id)).await;
    (found, status["engine"]["hosts"].as_array().unwrap().len())
}

fn hosts(found: &[Value]) -> BTreeSet<&str> {
    found.iter().map(|metadata| metadata["host"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn runs_of_an_exclusive_target_never_share_a_process_at_a_time() {
    let (found, count) = runs_of("exclusive").await;
    assert!(found.iter().all(|metadata| metadata["most"] == 1), "{found:#?}");
    let hosts = hosts(&found);
    assert!((2..=4).contains(&hosts.len()), "{hosts:?}");
    assert_eq!(count, hosts.len(), "kept for the next runs");
}

#[tokio::test]
async fn runs_of_a_shared_target_share_a_process() {
    let (found, count) = runs_of("shared").await;
    assert!(found.iter().any(|metadata| metadata["most"].as_i64() > Some(1)), "{found:#?}");
    assert_eq!((hosts(&found).len(), count), (1, 1));
}

#[tokio::test]
async fn a_run_that_was_given_up_leaves_nobody_in_its_process() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let logic = r#"
        const host = crypto.randomUUID();
        export default async (ctx) => {
            if (ctx.account.attributes.never) await new Promise(() => {});
            return { status: "provisioned", metadata: { host } };
        };
    "#;
    let settings = json!({
        "isolation": "exclusive", "maxParallelJobs": 1,
        "limits": { "wallMs": 300 }, "retry": { "maxAttempts": 1 },
    });
    let target = app.target(&store, settings_with("crm", &sink, settings), logic).await;
    let host = async |name: &str| {
        let account = app.account(&store, name, json!({})).await;
        app.until_status(&account, &target, "provisioned").await["metadata"]["host"].clone()
    };
    let first = host("ada").await;
    assert_eq!(host("bob").await, first, "kept");
    let bad = app.account(&store, "eve", json!({ "never": true })).await;
    let failed = app.until_status(&bad, &target, "provisionFailed").await;
    assert_eq!(failed["message"], "the wall limit of 300 ms was reached");
    assert_ne!(host("dan").await, first);
}

#[tokio::test]
async fn an_unknown_isolation_is_refused() {
    let app = TestApp::start().await;
    let store = app.store("people").await;
    let body = json!({ "name": "crm", "isolation": "none" });
    let refused = app.post(&format!("/stores/{store}/targets"), body).await.expect(422);
    assert_eq!(refused["errors"][0]["field"], "isolation", "{refused}");
    let made = app.post(&format!("/stores/{store}/targets"), json!({ "name": "crm" })).await.expect(201);
    assert_eq!(made["isolation"], "shared");
}

#[tokio::test]
async fn what_a_run_left_unfinished_is_not_beside_the_next_one() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let logic = r#"
        const host = crypto.randomUUID();
        export default async (ctx) => {
            if (ctx.account.attributes.leaves) {
                const key = await crypto.subtle.importKey("raw", new Uint8Array(8), "PBKDF2", false, ["deriveBits"]);
                const how = { name: "PBKDF2", hash: "SHA-512", salt: new Uint8Array(8), iterations: 3e5 };
                crypto.subtle.deriveBits(how, key, 512);
            }
            return { status: "provisioned", metadata: { host } };
        };
    "#;
    let settings = json!({ "isolation": "exclusive", "maxParallelJobs": 1 });
    let target = app.target(&store, settings_with("crm", &sink, settings), logic).await;
    let host = async |name: &str, attributes: Value| {
        let account = app.account(&store, name, attributes).await;
        app.until_status(&account, &target, "provisioned").await["metadata"]["host"].clone()
    };
    let first = host("ada", json!({})).await;
    assert_eq!(host("eve", json!({ "leaves": true })).await, first);
    assert_ne!(host("bob", json!({})).await, first, "its process is gone");
}
