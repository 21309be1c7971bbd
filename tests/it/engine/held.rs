//! A change that would remove many accounts waits for a person, and nothing
//! else does.

mod bursts;
mod decisions;
mod retried;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{RECORD, settings_with};
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::Sink;

/// Accounts `u0`, `u1`, … with a department each.
fn people(numbers: Range<usize>, department: &str) -> String {
    numbers
        .map(|n| {
            let record = json!({ "userName": format!("u{n}"), "attributes": { "department": department } });
            format!("{record}\n")
        })
        .collect()
}

/// A store of people at one target that holds them all.
struct World {
    app: TestApp,
    sink: Sink,
    store: String,
    target: TestTarget,
    /// Ids by user name.
    ids: BTreeMap<String, String>,
}

impl World {
    /// `sales` people in Sales and `legal` in Legal, all provisioned.
    async fn new(sales: usize, legal: usize, more: Value) -> Self {
        Self::with(TestApp::start().await, sales, legal, more, RECORD).await
    }

    async fn with(app: TestApp, sales: usize, legal: usize, more: Value, code: &str) -> Self {
        let sink = Sink::start().await;
        let store = app.store("people").await;
        app.import(&store, "", people(0..sales, "Sales") + &people(sales..sales + legal, "Legal")).await;
        let target = app.target(&store, settings_with("crm", &sink, more), code).await;
        let list = app.get(&format!("/stores/{store}/accounts?limit=500")).await;
        let pair = |account: &Value| {
            let text = |name: &str| account[name].as_str().unwrap().to_owned();
            (text("userName"), text("id"))
        };
        let ids = list["items"].as_array().unwrap().iter().map(pair).collect();
        let world = Self { app, sink, store, target, ids };
        world.until_provisioned(sales + legal).await;
        world
    }

    async fn until_provisioned(&self, count: usize) {
        self.app
            .until(format!("{count} to be provisioned"), async || {
                let status = self.status().await;
                if status["counts"]["provisioned"] == count { Ok(()) } else { Err(status) }
            })
            .await;
    }

    fn id(&self, number: usize) -> &str {
        &self.ids[&format!("u{number}")]
    }

    async fn status(&self) -> Value {
        self.app.get(&format!("/targets/{}/status", self.target.id)).await
    }

    async fn filter(&self, filter: &str) {
        let edit = json!({ "filter": filter });
        self.app.patch(&format!("/targets/{}", self.target.id), edit).await.expect(200);
    }

    async fn open(&self) -> Vec<Value> {
        let list = self.app.get(&format!("/targets/{}/held", self.target.id)).await;
        list["items"].as_array().unwrap().clone()
    }

    /// Waits until so many removals are held, and nothing else is due.
    async fn until_held(&self, count: usize) -> Value {
        self.app
            .until(format!("{count} to be held"), async || {
                let status = self.status().await;
                let idle = status["backlog"] == 0;
                if status["held"]["waiting"] == count && idle { Ok(()) } else { Err(status) }
            })
            .await;
        self.open().await.into_iter().next().unwrap_or_default()
    }

    async fn decide(&self, lot: &Value, action: &str, body: Value) -> crate::support::app::Answered {
        self.app.post(&format!("/held/{}/{action}", lot["id"].as_str().unwrap()), body).await
    }

    fn removals(&self) -> usize {
        self.sink.calls().iter().filter(|call| call.path.starts_with("/deprovision")).count()
    }

    async fn until_removed(&self, count: usize) {
        self.app
            .until(format!("{count} removals"), async || {
                let status = self.status().await;
                if status["counts"]["deprovisioned"] == count { Ok(()) } else { Err(status) }
            })
            .await;
        assert_eq!(self.removals(), count);
    }

    /// Time for what must not happen.
    async fn rest(&self) {
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
}

#[tokio::test]
async fn an_edited_filter_is_held_before_the_first_call_and_the_rest_goes_on() {
    let world = World::new(60, 40, json!({})).await;
    world.filter(r#"department eq "Legal""#).await;
    let lot = world.until_held(60).await;
    world.app.set(world.id(70), json!({ "title": "Counsel" })).await;
    world.app.until_runs(&world.target, world.id(70), 2).await;
    world.app.delete(&format!("/accounts/{}", world.id(99))).await.expect(204);
    world.until_removed(1).await;
    assert_eq!(
        (&lot["count"], &lot["ofPresent"], &lot["trigger"], &lot["state"], &lot["waiting"]),
        (&json!(60), &json!(100), &json!("filterChanged"), &json!("open"), &json!(60))
    );
    assert_eq!(lot["sample"].as_array().unwrap().len(), 20);
    assert!(lot["reason"].as_str().unwrap().contains("more than the 50"), "{lot}");
    let standing = world.app.provision(world.id(3), &world.target).await;
    assert_eq!((&standing["status"], &standing["heldId"]), (&json!("pending"), &lot["id"]));
    assert!(standing["why"].as_str().unwrap().starts_with("held: "), "{standing}");

    world.decide(&lot, "approve", json!({ "count": 59 })).await.expect(409);
    world.decide(&lot, "approve", json!({ "count": -1 })).await.expect(422);
    world.decide(&lot, "approve", json!({ "number": 60 })).await.expect(422);
    world.rest().await;
    assert_eq!(world.removals(), 1);
    let approved = world.decide(&lot, "approve", json!({ "count": 60 })).await.expect(200);
    assert_eq!((&approved["state"], &approved["waiting"]), (&json!("approved"), &json!(0)));
    world.until_removed(61).await;
    assert_eq!(world.open().await, Vec::<Value>::new());
    world.decide(&lot, "reject", json!({})).await.expect(409);
}

#[tokio::test]
async fn within_the_limit_nothing_is_held() {
    let world = World::new(40, 60, json!({})).await;
    world.filter(r#"department eq "Legal""#).await;
    world.until_removed(40).await;
    for number in 40..50 {
        world.app.delete(&format!("/accounts/{}", world.id(number))).await.expect(204);
    }
    world.until_removed(50).await;
    // The window is used up now.
    world.app.delete(&format!("/accounts/{}", world.id(50))).await.expect(204);
    world.until_held(1).await;
}

/// The count alone would let a small target be emptied.
#[tokio::test]
async fn of_few_accounts_no_more_than_half_leave_unasked() {
    let world = World::new(39, 1, json!({})).await;
    world.filter(r#"department eq "Legal""#).await;
    let lot = world.until_held(39).await;
    let said = "39 removals, of 40 accounts that the target holds, are more than the 20 that pass unasked";
    assert_eq!(lot["reason"], said);
    assert_eq!(world.removals(), 0);
}

#[tokio::test]
async fn a_hundred_percent_switches_it_off() {
    let world = World::new(70, 5, json!({ "guard": { "percent": 100 } })).await;
    let settings = world.app.get(&format!("/targets/{}", world.target.id)).await;
    assert_eq!(settings["guard"], json!({ "count": null, "percent": 100 }));
    world.filter(r#"department eq "Legal""#).await;
    world.until_removed(70).await;
}

#[tokio::test]
async fn a_guard_that_cannot_be_is_refused() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let settings = settings_with("crm", &sink, json!({ "guard": { "percent": 101 } }));
    let refused = app.post(&format!("/stores/{store}/targets"), settings).await.expect(422);
    assert_eq!(refused["errors"][0]["field"], "guard.percent");
    app.call(Method::GET, "/targets/999/held", None).await.expect(404);
    app.post("/held/999/approve", json!({})).await.expect(404);
    app.post("/held/x/reject", json!({})).await.expect(404);
}

#[tokio::test]
async fn only_the_offending_target_is_held() {
    let world = World::new(20, 5, json!({ "guard": { "count": 10 } })).await;
    let other = Sink::start().await;
    let open = json!({ "guard": { "percent": 100 } });
    let second = world.app.target(&world.store, settings_with("mail", &other, open), RECORD).await;
    world.app.until_status(world.id(0), &second, "provisioned").await;
    world.app.until_idle(&second).await;
    world
        .app
        .import(&world.store, "?deleteMissing=true&confirmDeletions=true", people(20..25, "Legal"))
        .await;
    world.until_held(20).await;
    world.app.until_status(world.id(0), &second, "deprovisioned").await;
    world.app.until_idle(&second).await;
    let removed = other.calls().iter().filter(|call| call.path.starts_with("/deprovision")).count();
    assert_eq!((removed, world.removals()), (20, 0));
}
