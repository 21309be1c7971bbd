//! Removals that died and are tried again, and those of sweeps that are paused
//! or cancelled.

use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use super::{RECORD, World};
use crate::support::app::{TestApp, id_of};
use crate::support::sink::Answer;

const LEGAL: &str = r#"department eq "Legal""#;

/// Twenty people at a target that lets five removals pass.
async fn strict() -> World {
    World::with(TestApp::start().await, 20, 5, json!({ "guard": { "count": 5 } }), RECORD).await
}

impl World {
    async fn until_dead(&self, count: usize) {
        self.app
            .until(format!("{count} dead letters"), async || {
                let status = self.status().await;
                let rests = status["backlog"] == 0 && status["deadLetters"] == count;
                if rests { Ok(()) } else { Err(status) }
            })
            .await;
    }

    async fn retry(&self, body: Value) -> Value {
        let path = format!("/targets/{}/deadletters/retry", self.target.id);
        self.app.post(&path, body).await.expect(202)
    }

    /// Twenty removals that were approved, and refused by the other system.
    async fn with_refused_removals() -> Self {
        let world = strict().await;
        world.sink.answer(Answer::new(400).to("/deprovision"));
        world.filter(LEGAL).await;
        let lot = world.until_held(20).await;
        world.decide(&lot, "approve", json!({})).await.expect(200);
        world.until_dead(20).await;
        world.sink.answer_well();
        world.sink.forget();
        world
    }

    async fn sweep(&self, id: &str) -> Value {
        self.app.get(&format!("/sweeps/{id}")).await
    }

    async fn until_sweep(&self, id: &str, state: &str, held: usize) -> Value {
        self.app
            .until(format!("sweep {id} to be {state}"), async || {
                let sweep = self.sweep(id).await;
                if sweep["state"] == state && sweep["held"] == held { Ok(sweep) } else { Err(sweep) }
            })
            .await
    }
}

#[tokio::test]
async fn removals_that_were_approved_and_died_need_no_second_word() {
    let world = World::with_refused_removals().await;
    assert_eq!(world.retry(json!({ "all": true })).await["count"], 20);
    world.until_removed(20).await;
    assert_eq!(world.open().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_retry_of_many_removals_that_nobody_approved_is_held() {
    let world = World::with_refused_removals().await;
    // As if they had died of something else, and left the scope unseen.
    let mut connection = world.app.db.as_ref().unwrap().connection();
    connection.batch_execute("UPDATE provision_state SET cleared_version = NULL").unwrap();
    let few = json!({ "accounts": [world.id(0), world.id(1), world.id(2)] });
    assert_eq!(world.retry(few).await["count"], 3);
    world.until_removed(3).await;

    let answer = world.retry(json!({ "all": true })).await;
    assert_eq!(answer["count"], 17);
    let lot = world.until_held(17).await;
    assert_eq!((&lot["trigger"], &lot["count"]), (&json!("manual"), &json!(17)));
    let id = id_of(&answer["sweep"]);
    let waits = world.until_sweep(&id, "finished", 17).await;
    assert_eq!((&waits["done"], &waits["remaining"]), (&json!(0), &json!(0)));
    world.rest().await;
    assert_eq!((world.removals(), &world.status().await["deadLetters"]), (3, &json!(0)));
    world.decide(&lot, "approve", json!({})).await.expect(200);
    world.until_removed(20).await;
    assert_eq!(world.until_sweep(&id, "finished", 0).await["done"], 17);
}

#[tokio::test]
async fn an_account_that_changed_since_is_judged_anew() {
    let world = World::with_refused_removals().await;
    let manual = json!({ "mode": "manual" });
    world.app.patch(&format!("/targets/{}", world.target.id), manual).await.expect(200);
    for number in 0..20 {
        world.app.set(world.id(number), json!({ "title": "Director" })).await;
    }
    world.retry(json!({ "all": true })).await;
    world.until_held(20).await;
    assert_eq!(world.removals(), 0);
}

#[tokio::test]
async fn a_held_removal_of_a_paused_sweep_waits_for_both() {
    let world = strict().await;
    world.filter(LEGAL).await;
    let lot = world.until_held(20).await;
    let sweeps = world.app.get(&format!("/targets/{}/sweeps", world.target.id)).await;
    let id = id_of(&sweeps["items"][0]);
    assert_eq!((&sweeps["items"][0]["state"], &sweeps["items"][0]["held"]), (&json!("finished"), &json!(20)));
    world.app.post(&format!("/sweeps/{id}/pause"), json!({})).await.expect(200);
    world.decide(&lot, "approve", json!({})).await.expect(200);
    world.rest().await;
    assert_eq!(world.removals(), 0);
    let paused = world.until_sweep(&id, "paused", 0).await;
    assert_eq!(paused["remaining"], 20);
    world.app.post(&format!("/sweeps/{id}/resume"), json!({})).await.expect(200);
    world.until_removed(20).await;
    world.until_sweep(&id, "finished", 0).await;
}

#[tokio::test]
async fn cancelling_a_sweep_settles_what_it_holds() {
    let world = strict().await;
    world.filter(LEGAL).await;
    let lot = world.until_held(20).await;
    let sweeps = world.app.get(&format!("/targets/{}/sweeps", world.target.id)).await;
    let id = id_of(&sweeps["items"][0]);
    let cancelled = world.app.post(&format!("/sweeps/{id}/cancel"), json!({})).await.expect(200);
    assert_eq!((&cancelled["removed"], &cancelled["held"]), (&json!(20), &json!(0)));
    world.decide(&lot, "approve", json!({})).await.expect(409);
    world.rest().await;
    assert_eq!((world.removals(), &world.status().await["held"]["waiting"]), (0, &json!(0)));
    // What the target holds stays known: a force finds it again.
    world.app.post(&format!("/targets/{}/force", world.target.id), json!({})).await.expect(202);
    world.until_held(20).await;
}
