//! Whatever makes the removals due.

use serde_json::json;

use super::{World, people};
use crate::support::app::TestApp;
use crate::support::sink::Answer;

#[tokio::test]
async fn an_import_that_deletes_is_held_at_targets_although_it_was_confirmed() {
    let world = World::new(120, 20, json!({})).await;
    let query = "?deleteMissing=true&confirmDeletions=true";
    let report = world.app.import(&world.store, query, people(120..140, "Legal")).await;
    assert_eq!(report["deleted"], 120);
    let lot = world.until_held(120).await;
    assert_eq!((&lot["trigger"], &lot["ofPresent"]), (&json!("deleted"), &json!(140)));
    world.rest().await;
    assert_eq!(world.removals(), 0);
    world.decide(&lot, "approve", json!({})).await.expect(200);
    world.until_removed(120).await;
}

#[tokio::test]
async fn an_import_that_moves_everybody_out_of_scope_is_held() {
    let filter = json!({ "filter": r#"department eq "Sales""# });
    let app = TestApp::start().await;
    let world = World::with(app, 70, 0, filter, super::RECORD).await;
    world.app.import(&world.store, "", people(0..70, "")).await;
    let lot = world.until_held(70).await;
    assert_eq!((&lot["trigger"], world.removals()), (&json!("leftFilter"), 0));
    // The next import is right again, and nothing has happened.
    world.app.import(&world.store, "", people(0..70, "Sales")).await;
    world.app.until_status(world.id(5), &world.target, "provisioned").await;
    world.until_held(0).await;
    assert_eq!((world.removals(), world.open().await.len()), (0, 0));
}

#[tokio::test]
async fn a_burst_of_single_deletions_is_held_from_the_limit_on() {
    let world = World::new(100, 0, json!({})).await;
    for number in 0..60 {
        world.app.delete(&format!("/accounts/{}", world.id(number))).await.expect(204);
    }
    world
        .app
        .until("the burst to be over".into(), async || {
            let status = world.status().await;
            let removed = status["counts"]["deprovisioned"].as_u64().unwrap_or(0);
            let held = status["held"]["waiting"].as_u64().unwrap_or(0);
            if removed + held == 60 && held >= 10 { Ok(()) } else { Err(status) }
        })
        .await;
    world.rest().await;
    assert!(world.removals() <= 50, "{}", world.removals());
    let lots = world.open().await;
    assert_eq!(lots.len(), 1, "one burst is one lot: {lots:?}");
    world.decide(&lots[0], "approve", json!({})).await.expect(200);
    world.until_removed(60).await;
}

#[tokio::test]
async fn logic_that_asks_to_deprovision_everybody_is_held() {
    let code = r#"export default async (ctx) => {
        await fetch(ctx.target.config.url + "/" + ctx.reason, { method: "POST" });
        if (ctx.reason === "deprovision") return { status: "deprovisioned" };
        return { status: ctx.trigger === "force" ? "deprovision" : "provisioned" };
    }"#;
    let guard = json!({ "guard": { "count": 5, "percent": 10 } });
    let world = World::with(TestApp::start().await, 40, 0, guard, code).await;
    world.app.post(&format!("/targets/{}/force", world.target.id), json!({})).await.expect(202);
    world
        .app
        .until("the force to be over".into(), async || {
            let status = world.status().await;
            let removed = status["counts"]["deprovisioned"].as_u64().unwrap_or(0);
            let held = status["held"]["waiting"].as_u64().unwrap_or(0);
            if removed + held == 40 { Ok(()) } else { Err(status) }
        })
        .await;
    assert!(world.removals() <= 5, "{}", world.removals());
    for lot in world.open().await {
        world.decide(&lot, "approve", json!({})).await.expect(200);
    }
    world.until_removed(40).await;
}

#[tokio::test]
async fn a_filter_edited_during_a_force_lets_nothing_slip_through() {
    let world = World::new(80, 5, json!({ "guard": { "count": 0 } })).await;
    world.sink.answer(Answer::new(200).after(std::time::Duration::from_millis(30)));
    world.app.post(&format!("/targets/{}/force", world.target.id), json!({})).await.expect(202);
    world.app.until_runs(&world.target, world.id(0), 2).await;
    world.filter(r#"department eq "Legal""#).await;
    world.until_held(80).await;
    assert_eq!(world.removals(), 0);
}
