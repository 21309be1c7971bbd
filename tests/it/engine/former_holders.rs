//! A name, or a remote id, that goes from one account to another: the removal of
//! the one that had it never hits the one that has it now. The sink keeps what it
//! holds by name, so that whoever calls last wins.

mod remote_ids;
mod renames;

use std::time::Duration;

use serde_json::{Value, json};

use super::settings_with;
use crate::support::app::{TestApp, TestTarget};
use crate::support::sink::{Answer, Call, Sink};

/// Logic for a system that knows accounts by the name alone.
const KEYED: &str = r#"
    const call = async (ctx, method, name, body) => {
        const response = await fetch(`${ctx.target.config.url}/users/${name}`, { method, body });
        if (!response.ok && response.status !== 404) throw new Error(`${method} answered ${response.status}`);
    };
    export default async function (ctx) {
        const { account, previous } = ctx;
        const name = ctx.account.attributes.key ?? account.userName;
        if (ctx.reason === "deprovision") {
            await call(ctx, "DELETE", previous.remoteId ?? name);
            return { status: "deprovisioned" };
        }
        if (previous.remoteId && previous.remoteId !== name) await call(ctx, "DELETE", previous.remoteId);
        await call(ctx, "PUT", name, JSON.stringify({ id: account.id, user: account.userName }));
        return { status: "provisioned", remoteId: ctx.target.config.silent ? undefined : name };
    }
"#;

struct World {
    app: TestApp,
    sink: Sink,
    store: String,
    target: TestTarget,
}

impl World {
    async fn new(more: Value) -> Self {
        let (app, sink) = (TestApp::start().await, Sink::start().await);
        let store = app.store("people").await;
        let target = app.target(&store, settings_with("crm", &sink, more), KEYED).await;
        Self { app, sink, store, target }
    }

    /// A provisioned account.
    async fn account(&self, name: &str) -> String {
        let id = self.app.account(&self.store, name, json!({})).await;
        self.app.until_status(&id, &self.target, "provisioned").await;
        id
    }

    /// Deletes it, and gives its name to a new account.
    async fn again(&self, old: &str, name: &str) -> String {
        self.app.delete(&format!("/accounts/{old}")).await.expect(204);
        self.app.account(&self.store, name, json!({})).await
    }

    /// Waits until an account waits for another one, and says so.
    async fn until_waiting(&self, account: &str, other: &str, why: &str) -> Value {
        self.app
            .until(format!("{account} to wait for {other}: {why}"), async || {
                let provision = self.app.provision(account, &self.target).await;
                let waits = provision["blockedBy"] == json!([format!("account {other}")])
                    && provision["blockedByAccounts"] == json!([other])
                    && provision["why"].as_str().unwrap().contains(why);
                if waits { Ok(provision) } else { Err(provision) }
            })
            .await
    }

    async fn sync(&self, account: &str) {
        let path = format!("/accounts/{account}/provisions/{}/sync", self.target.id);
        self.app.post(&path, json!({})).await.expect(202);
    }

    async fn until_provisioned(&self, account: &str) {
        self.app.until_status(account, &self.target, "provisioned").await;
    }

    async fn set_paused(&self, paused: bool) {
        let verb = if paused { "pause" } else { "resume" };
        self.app.post(&format!("/targets/{}/{verb}", self.target.id), json!({})).await.expect(200);
        self.app
            .until(verb.into(), async || {
                let status = self.app.get(&format!("/targets/{}/status", self.target.id)).await;
                if status["engine"]["paused"] == paused { Ok(()) } else { Err(status) }
            })
            .await;
    }

    fn calls(&self, method: &str) -> Vec<Call> {
        self.sink.calls().into_iter().filter(|call| call.method == method).collect()
    }

    /// What the target holds: accounts by name.
    #[track_caller]
    fn assert_content(&self, expected: &[(&str, &str)]) {
        let held: Vec<(String, String)> = self
            .sink
            .content()
            .into_iter()
            .map(|(path, body)| (path.replace("/users/", ""), body["id"].as_str().unwrap().to_owned()))
            .collect();
        let held: Vec<(&str, &str)> = held.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect();
        assert_eq!(held, expected);
    }
}

fn slow_retry() -> Value {
    json!({ "retry": { "firstDelaySecs": 3600 } })
}

#[tokio::test]
async fn a_slow_removal_is_waited_for() {
    for silent in [false, true] {
        let world = World::new(json!({})).await;
        let config = json!({ "config": { "url": world.sink.url, "silent": silent } });
        world.app.patch(&format!("/targets/{}", world.target.id), config).await.expect(200);
        world.sink.answer(Answer::new(200).method("DELETE").after(Duration::from_millis(700)));
        let old = world.account("jo.doe").await;
        let new = world.again(&old, "Jo.Doe").await;
        world.until_provisioned(&new).await;
        world.app.until_status(&old, &world.target, "deprovisioned").await;
        let (removals, puts) = (world.calls("DELETE"), world.calls("PUT"));
        assert_eq!((removals.len(), puts.len()), (1, 2));
        assert!(removals[0].end.unwrap() <= puts[1].start);
        world.assert_content(&[("Jo.Doe", &new)]);
    }
}

#[tokio::test]
async fn a_removal_that_is_retried_is_waited_for() {
    let world = World::new(slow_retry()).await;
    let old = world.account("jo.doe").await;
    world.sink.answer(Answer::new(503).method("DELETE").times(1));
    let new = world.again(&old, "jo.doe").await;
    let why = "the user name here: it has failed and will be tried again: DELETE answered 503";
    let waiting = world.until_waiting(&new, &old, why).await;
    assert_eq!((&waiting["status"], &waiting["nextRunAt"]), (&json!("pending"), &Value::Null));
    let status = world.app.get(&format!("/targets/{}/status", world.target.id)).await;
    assert_eq!((&status["blocked"], &status["backlog"]), (&json!(1), &json!(0)));
    // Nothing goes round it: neither a change, nor a person, nor a force.
    world.app.set(&new, json!({ "title": "Director" })).await;
    world.sync(&new).await;
    world.app.post(&format!("/targets/{}/force", world.target.id), json!({})).await.expect(202);
    world.app.until_runs(&world.target, &old, 3).await;
    world.until_provisioned(&new).await;
    assert!(world.calls("DELETE")[1].end.unwrap() <= world.calls("PUT")[1].start);
    world.assert_content(&[("jo.doe", &new)]);
}

#[tokio::test]
async fn a_person_does_not_get_past_a_former_holder() {
    let world = World::new(slow_retry()).await;
    let old = world.account("jo.doe").await;
    world.sink.answer(Answer::new(503).method("DELETE").times(1));
    let new = world.again(&old, "jo.doe").await;
    for _ in 0..3 {
        world.until_waiting(&new, &old, "will be tried again").await;
        world.sync(&new).await;
    }
    world.until_waiting(&new, &old, "will be tried again").await;
    assert_eq!(world.calls("PUT").len(), 1);
    world.sync(&old).await;
    world.until_provisioned(&new).await;
    world.assert_content(&[("jo.doe", &new)]);
}

#[tokio::test]
async fn a_removal_that_is_held_is_waited_for_until_a_person_decides() {
    let guard = json!({ "guard": { "count": 0, "percent": 0 } });
    for approved in [true, false] {
        let world = World::new(guard.clone()).await;
        let old = world.account("jo.doe").await;
        let new = world.again(&old, "jo.doe").await;
        let waiting = world.until_waiting(&new, &old, "it is held as ").await;
        let lots = world.app.get(&format!("/targets/{}/held", world.target.id)).await;
        let lot = lots["items"][0]["id"].as_str().unwrap();
        assert!(waiting["why"].as_str().unwrap().contains(&format!("held as {lot}, which someone")));
        assert_eq!(world.calls("PUT").len(), 1);
        let decision = if approved { "approve" } else { "reject" };
        world.app.post(&format!("/held/{lot}/{decision}"), json!({ "count": 1 })).await.expect(200);
        world.until_provisioned(&new).await;
        world.app.until_status(&old, &world.target, "deprovisioned").await;
        let gone = world.app.provision(&old, &world.target).await;
        if approved {
            assert!(world.calls("DELETE")[0].end.unwrap() <= world.calls("PUT")[1].start);
        } else {
            // The new one has adopted what was to stay.
            let why = format!(
                "not removed: the remote id `jo.doe` belongs to `jo.doe` (account {new}) here by now"
            );
            assert_eq!((&gone["message"], &gone["remoteId"]), (&json!(why), &Value::Null));
            assert_eq!(world.calls("DELETE").len(), 0);
        }
        world.assert_content(&[("jo.doe", &new)]);
    }
}

/// Logic that answers no remote id goes by the name, and so does what is settled.
#[tokio::test]
async fn a_removal_by_name_does_not_hit_who_has_the_name_now() {
    let world = World::new(json!({ "guard": { "count": 0, "percent": 0 } })).await;
    let config = json!({ "config": { "url": world.sink.url, "silent": true } });
    world.app.patch(&format!("/targets/{}", world.target.id), config).await.expect(200);
    let old = world.account("jo.doe").await;
    let new = world.again(&old, "jo.doe").await;
    world.until_waiting(&new, &old, "it is held as ").await;
    let lots = world.app.get(&format!("/targets/{}/held", world.target.id)).await;
    let lot = lots["items"][0]["id"].as_str().unwrap();
    world.app.post(&format!("/held/{lot}/reject"), json!({ "count": 1 })).await.expect(200);
    world.until_provisioned(&new).await;
    // A person asks for the removal all the same.
    world.sync(&old).await;
    world.app.until_status(&old, &world.target, "deprovisioned").await;
    let gone = world.app.provision(&old, &world.target).await;
    let why = format!("not removed: the name `jo.doe` belongs to `jo.doe` (account {new}) here by now");
    assert_eq!(gone["message"], why);
    assert_eq!(world.calls("DELETE").len(), 0);
    world.assert_content(&[("jo.doe", &new)]);
}

#[tokio::test]
async fn a_dead_removal_is_waited_for_until_it_is_retried() {
    let world = World::new(json!({ "retry": { "maxAttempts": 1 } })).await;
    let old = world.account("jo.doe").await;
    world.sink.answer(Answer::new(503).method("DELETE").times(1));
    let new = world.again(&old, "jo.doe").await;
    let why =
        format!("has failed for good (mend it, then retry the dead letter or sync account {old}): DELETE");
    world.until_waiting(&new, &old, &why).await;
    let retry = format!("/targets/{}/deadletters/retry", world.target.id);
    world.app.post(&retry, json!({ "all": true })).await.expect(202);
    world.until_provisioned(&new).await;
    world.assert_content(&[("jo.doe", &new)]);
}

#[tokio::test]
async fn the_name_and_the_external_id_count_before_a_rename_as_well() {
    let world = World::new(slow_retry()).await;
    let old = world.account("jo.doe").await;
    world.app.patch(&format!("/accounts/{old}"), json!({ "externalId": "E1" })).await.expect(200);
    world.app.until_runs(&world.target, &old, 2).await;
    world.set_paused(true).await;
    // Renamed and deleted before the target has heard of the new name.
    let rename = json!({ "userName": "jo.smith", "externalId": "E2" });
    world.app.patch(&format!("/accounts/{old}"), rename).await.expect(200);
    world.app.delete(&format!("/accounts/{old}")).await.expect(204);
    world.sink.answer(Answer::new(503).method("DELETE").times(1));
    let by_name = world.app.account(&world.store, "jo.doe", json!({})).await;
    let body = json!({ "userName": "max", "externalId": "E1" });
    let accounts = format!("/stores/{}/accounts", world.store);
    let by_id = world.app.post(&accounts, body).await.expect(201)["id"].as_str().unwrap().to_owned();
    world.set_paused(false).await;
    world.until_waiting(&by_name, &old, "may still hold the user name here").await;
    world.until_waiting(&by_id, &old, "may still hold the external id here").await;
    world.sync(&old).await;
    world.until_provisioned(&by_name).await;
    world.until_provisioned(&by_id).await;
    world.assert_content(&[("jo.doe", &by_name), ("max", &by_id)]);
}

#[tokio::test]
async fn one_job_at_a_time_is_enough_for_many_that_wait() {
    let world = World::new(json!({ "maxParallelJobs": 1, "guard": { "percent": 100 } })).await;
    let lines = |version: i64| -> String {
        let line = |n| json!({ "userName": format!("u{n}"), "attributes": { "version": version } });
        (0..20).map(|n| format!("{}\n", line(n))).collect()
    };
    world.app.import(&world.store, "", lines(1)).await;
    world.sink.wait_for(20).await;
    world.set_paused(true).await;
    let accounts = format!("/stores/{}/accounts?limit=100", world.store);
    let old = world.app.get(&accounts).await["items"].as_array().unwrap().clone();
    for account in &old {
        world.app.delete(&format!("/accounts/{}", account["id"].as_str().unwrap())).await.expect(204);
    }
    world.app.import(&world.store, "", lines(2)).await;
    world.set_paused(false).await;
    let new = world.app.get(&accounts).await["items"].as_array().unwrap().clone();
    for account in &new {
        world.until_provisioned(account["id"].as_str().unwrap()).await;
    }
    let mut expected: Vec<(&str, &str)> =
        new.iter().map(|a| (a["userName"].as_str().unwrap(), a["id"].as_str().unwrap())).collect();
    expected.sort_unstable();
    world.assert_content(&expected);
    assert_eq!((world.calls("DELETE").len(), world.calls("PUT").len()), (20, 40));
}

#[tokio::test]
async fn a_manual_target_asks_for_the_removal_first() {
    let world = World::new(json!({ "mode": "manual" })).await;
    let old = world.app.account(&world.store, "jo.doe", json!({})).await;
    world.sync(&old).await;
    world.until_provisioned(&old).await;
    let new = world.again(&old, "jo.doe").await;
    world.sync(&new).await;
    world.until_waiting(&new, &old, &format!("nobody has asked for it; sync account {old} here")).await;
    world.sync(&old).await;
    world.until_provisioned(&new).await;
    world.assert_content(&[("jo.doe", &new)]);
}
