//! Where a plan tries one account after the other.

use std::time::Duration;

use serde_json::json;

use super::settings_with;
use super::trial::dry_run;
use crate::support::app::TestApp;
use crate::support::sink::{Answer, Sink};

/// One account at a time.
const ONE_LANE: &str =
    r#"{ "maxParallelJobs": 1, "limits": { "cpuMs": 3000, "wallMs": 3000, "heapMib": 64 } }"#;

const LOOKS: &str = r#"
    export default async (ctx) => {
        await fetch(ctx.target.config.url);
        return { status: "provisioned" };
    };
"#;

#[tokio::test]
async fn an_account_with_nothing_to_do_takes_no_lane() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let one_lane = serde_json::from_str(ONE_LANE).unwrap();
    let target = app.disabled_target(&store, settings_with("crm", &sink, one_lane), LOOKS).await;
    // More than are read at a time.
    let mut accounts = Vec::new();
    for number in 0..104 {
        accounts.push(app.account(&store, &format!("user{number:03}"), json!({})).await);
    }
    // While the first ones are tried, two of those that come later leave.
    sink.answer(Answer::new(200).after(Duration::from_secs(1)));
    let leave = async {
        sink.wait_until(|calls| calls.len() == 1).await;
        for account in &accounts[100..102] {
            app.delete(&format!("/accounts/{account}")).await;
        }
        sink.answer_well();
    };
    let (tried, ()) = tokio::join!(dry_run(&app, &target, json!({ "sample": 200 })), leave);
    let plan = &tried["plan"];
    assert_eq!(tried["state"], "finished", "{tried}");
    assert_eq!(
        (&plan["creates"], &plan["notNeeded"], &plan["failures"]),
        (&json!(102), &json!(2), &json!(0))
    );
}

/// The first account takes forever; the others want a world of their own.
const WAITS: &str = r#"
    let runs = 0;
    export default async (ctx) => {
        runs += 1;
        if (ctx.account.userName === "user0") await new Promise((done) => setTimeout(done, 60_000));
        if (runs > 1) throw new Error("another run is still under way here");
        return { status: "provisioned" };
    };
"#;

#[tokio::test]
async fn a_host_with_a_run_that_was_given_up_is_left() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let one_lane = serde_json::from_str(ONE_LANE).unwrap();
    let target = app.disabled_target(&store, settings_with("crm", &sink, one_lane), WAITS).await;
    for number in 0..2 {
        app.account(&store, &format!("user{number}"), json!({})).await;
    }
    let tried = dry_run(&app, &target, json!({ "sample": 2 })).await;
    let (failures, message) = (&tried["plan"]["failures"], tried["failures"][0]["message"].to_string());
    assert_eq!((failures, tried["failures"].as_array().unwrap().len()), (&json!(1), 1), "{tried}");
    assert!(message.contains("3 s") || message.contains("3000 ms"), "{message}");
}
