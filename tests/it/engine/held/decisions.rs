//! Approved, rejected, forgotten, or overtaken by events.

use serde_json::{Value, json};

use super::{RECORD, World};
use crate::support::app::TestApp;

const LEGAL: &str = r#"department eq "Legal""#;

async fn strict(environment: &[(&str, &str)]) -> World {
    let guard = json!({ "guard": { "count": 5 } });
    World::with(TestApp::start_with(environment).await, 20, 5, guard, RECORD).await
}

#[tokio::test]
async fn rejected_removals_stay_known_until_something_changes() {
    let world = strict(&[]).await;
    world.filter(LEGAL).await;
    let lot = world.until_held(20).await;
    let rejected = world.decide(&lot, "reject", json!({})).await.expect(200);
    let by = rejected["decidedBy"].as_str().unwrap();
    world.until_held(0).await;
    world.rest().await;
    assert_eq!(world.removals(), 0);
    let standing = world.app.provision(world.id(3), &world.target).await;
    assert_eq!(standing["why"], format!("removal rejected by {by}"));
    assert_eq!((&standing["status"], &standing["heldId"]), (&json!("provisioned"), &lot["id"]));
    assert_eq!(world.status().await["held"], json!({ "lots": 0, "waiting": 0, "rejected": 20 }));

    // A person who asks for one gets it judged anew.
    let sync = format!("/accounts/{}/provisions/{}/sync", world.id(3), world.target.id);
    world.app.post(&sync, json!({})).await.expect(202);
    world.until_removed(1).await;
    // And so does everybody who comes back.
    world.filter("").await;
    world.app.until_status(world.id(3), &world.target, "provisioned").await;
    world.app.until_idle(&world.target).await;
    let standing = world.app.provision(world.id(4), &world.target).await;
    assert_eq!((&standing["why"], &standing["heldId"]), (&json!("up to date"), &Value::Null));
    assert_eq!(world.status().await["held"]["rejected"], 0);
    assert_eq!(world.removals(), 1);
}

#[tokio::test]
async fn a_change_that_does_not_bring_an_account_back_does_not_let_it_slip_out() {
    let world = strict(&[]).await;
    world.filter(LEGAL).await;
    world.until_held(20).await;
    for number in 0..5 {
        world.app.set(world.id(number), json!({ "title": "Director" })).await;
    }
    world.app.set(world.id(7), json!({ "department": "Legal" })).await;
    world.app.until_runs(&world.target, world.id(7), 2).await;
    let lot = world.until_held(19).await;
    assert_eq!((world.removals(), &lot["count"], &lot["waiting"]), (0, &json!(20), &json!(19)));
    world.filter("").await;
    world.until_held(0).await;
    let all = world.app.get(&format!("/targets/{}/held?state=all", world.target.id)).await;
    assert_eq!(all["items"][0]["state"], "settled");
    world.decide(&lot, "approve", json!({})).await.expect(409);
    assert_eq!(world.removals(), 0);
}

#[tokio::test]
async fn a_restart_changes_nothing() {
    let mut world = strict(&[]).await;
    world.filter(LEGAL).await;
    let lot = world.until_held(20).await;
    world.app.kill();
    world.app.restart().await;
    world.app.set(world.id(22), json!({ "title": "Counsel" })).await;
    world.app.until_runs(&world.target, world.id(22), 2).await;
    assert_eq!((world.until_held(20).await, world.removals()), (lot.clone(), 0));
    world.decide(&lot, "approve", json!({})).await.expect(200);
    world.until_removed(20).await;
}

#[tokio::test]
async fn what_nobody_decides_about_expires_as_rejected() {
    let world = strict(&[("PROVISIOND_LIMITS_HELD_EXPIRY", "1s")]).await;
    world.filter(LEGAL).await;
    world
        .app
        .until("the expiry".into(), async || {
            let status = world.status().await;
            if status["held"]["rejected"] == 20 { Ok(()) } else { Err(status) }
        })
        .await;
    let path = format!("/targets/{}/held?state=expired", world.target.id);
    let lot = world.app.get(&path).await["items"][0].clone();
    world.decide(&lot, "approve", json!({})).await.expect(409);
    let standing = world.app.provision(world.id(0), &world.target).await;
    assert_eq!(standing["why"], "removal not approved in time, and so rejected");
    assert_eq!(world.removals(), 0);
    world.app.get(&format!("/targets/{}/held?state=all", world.target.id)).await;
    let bad = format!("/targets/{}/held?state=gone", world.target.id);
    world.app.call(reqwest::Method::GET, &bad, None).await.expect(400);
}

#[tokio::test]
async fn the_window_forgets() {
    let world = strict(&[("PROVISIOND_LIMITS_DELETION_GUARD_WINDOW", "1s")]).await;
    for number in 0..8 {
        if number % 4 == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        }
        world.app.delete(&format!("/accounts/{}", world.id(number))).await.expect(204);
    }
    world.until_removed(8).await;
}

#[tokio::test]
async fn a_failed_removal_is_retried_without_a_new_word() {
    let world = strict(&[]).await;
    let retry = json!({ "retry": { "firstDelaySecs": 1 } });
    world.app.patch(&format!("/targets/{}", world.target.id), retry).await.expect(200);
    world.filter(LEGAL).await;
    let lot = world.until_held(20).await;
    world.sink.answer(crate::support::sink::Answer::new(503).to("/deprovision").times(20));
    world.decide(&lot, "approve", json!({})).await.expect(200);
    world
        .app
        .until("all to be removed".into(), async || {
            let status = world.status().await;
            if status["counts"]["deprovisioned"] == 20 { Ok(()) } else { Err(status) }
        })
        .await;
    assert_eq!(world.removals(), 40);
}

#[tokio::test]
async fn the_command_line_tells_and_decides() {
    let world = strict(&[]).await;
    let run = |arguments: &[&str]| world.app.cli(arguments);
    assert_eq!(run(&["target", "wait", "crm"]).0, 0);
    world.filter(LEGAL).await;
    let lot = world.until_held(20).await;
    assert_eq!(run(&["target", "force", "crm"]).0, 4);
    let lot = {
        drop(lot);
        world.until_held(20).await
    };
    let (code, text) = run(&["target", "held", "crm"]);
    assert!(code == 0 && text.contains("u11") && text.contains("20 removals"), "{text}");
    let id = lot["id"].as_str().unwrap();
    assert_eq!(run(&["held", "approve", id, "--count", "3"]).0, 4);
    assert_eq!(run(&["held", "approve", id, "--count", "20"]), (0, "approved 20 removals\n".into()));
    world.until_removed(20).await;
    assert_eq!(run(&["held", "reject", id]).0, 4);
    assert_eq!(run(&["target", "wait", "crm"]).0, 0);
}
