//! Sweeps under control: progress, pause, cancel, restart.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use provisiond::domain::ids::{StoreId, SweepId, TargetId};
use provisiond::domain::status::Trigger;
use provisiond::domain::target::TargetSettings;
use provisiond::plan::GuardPolicy;
use provisiond::storage::sweeps::control::{self, Action};
use provisiond::storage::sweeps::{self, SweepKind};
use provisiond::storage::{stores, targets};
use serde_json::{Value, json};

use super::{RECORD, settings, settings_with};
use crate::support::app::{TestApp, TestTarget, id_of};
use crate::support::db::TestDb;
use crate::support::sink::{Answer, Sink};

/// A store with so many accounts, provisioned at a target with one job at a time.
async fn world(app: &TestApp, sink: &Sink, accounts: usize) -> (TestTarget, Vec<String>) {
    let store = app.store("people").await;
    let one = json!({ "maxParallelJobs": 1 });
    let target = app.target(&store, settings_with("crm", sink, one), RECORD).await;
    let mut ids = Vec::new();
    for number in 0..accounts {
        ids.push(app.account(&store, &format!("user{number}"), json!({})).await);
    }
    let held = json!(accounts);
    app.until("all to be provisioned".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["counts"]["provisioned"] == held { Ok(()) } else { Err(status) }
    })
    .await;
    app.until_idle(&target).await;
    (target, ids)
}

async fn force(app: &TestApp, target: &TestTarget) -> String {
    let begun = app.post(&format!("/targets/{}/force", target.id), json!({})).await.expect(202);
    id_of(&begun["sweep"])
}

/// Pauses a target and waits until its engine knows.
async fn pause(app: &TestApp, target: &TestTarget) {
    app.post(&format!("/targets/{}/pause", target.id), json!({})).await.expect(200);
    app.until("the target to be paused".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        let quiet = status["engine"]["paused"] == true && status["engine"]["leased"] == 0;
        if quiet { Ok(()) } else { Err(status) }
    })
    .await;
}

async fn until_sweep(app: &TestApp, id: &str, state: &str) -> Value {
    app.until(format!("sweep {id} to be {state}"), async || {
        let sweep = app.get(&format!("/sweeps/{id}")).await;
        if sweep["state"] == state { Ok(sweep) } else { Err(sweep) }
    })
    .await
}

async fn until_enqueued(app: &TestApp, id: &str, count: u32) {
    app.until(format!("sweep {id} to enqueue {count}"), async || {
        let sweep = app.get(&format!("/sweeps/{id}")).await;
        if sweep["enqueued"] == count { Ok(()) } else { Err(sweep) }
    })
    .await;
}

/// Waits until a sweep has its work in the queue and some of it is done.
async fn until_moving(app: &TestApp, id: &str) -> Value {
    app.until("the sweep to move".into(), async || {
        let sweep = app.get(&format!("/sweeps/{id}")).await;
        if sweep["done"].as_i64() > Some(0) && !sweep["finishedAt"].is_null() {
            Ok(sweep)
        } else {
            Err(sweep)
        }
    })
    .await
}

#[tokio::test]
async fn a_force_tells_how_far_it_is() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let (target, _) = world(&app, &sink, 40).await;
    sink.answer(Answer::new(200).after(Duration::from_millis(40)));
    let id = force(&app, &target).await;
    let seen = until_moving(&app, &id).await;
    assert_eq!(
        (&seen["state"], &seen["total"], &seen["kind"]),
        (&json!("running"), &json!(40), &json!("force"))
    );
    assert_eq!(seen["done"].as_i64().unwrap() + seen["remaining"].as_i64().unwrap(), 40);
    assert!(
        seen["perSecond"].as_f64().unwrap() > 0.0 && seen["etaSeconds"].as_f64().unwrap() > 0.0,
        "{seen}"
    );
    let status = app.get(&format!("/targets/{}/status", target.id)).await;
    assert_eq!(status["sweep"]["id"], id.as_str());
    let ended = until_sweep(&app, &id, "finished").await;
    assert_eq!(
        (&ended["done"], &ended["remaining"], &ended["etaSeconds"]),
        (&json!(40), &json!(0), &Value::Null)
    );
    let list = app.get(&format!("/targets/{}/sweeps?limit=1", target.id)).await;
    assert_eq!(list["items"][0]["id"], id.as_str());
    let older =
        app.get(&format!("/targets/{}/sweeps?cursor={}", target.id, list["next"].as_str().unwrap())).await;
    assert_eq!(older["items"][0]["kind"], "reconcile");
    app.post(&format!("/sweeps/{id}/cancel"), json!({})).await.expect(409);
    app.post("/sweeps/999/cancel", json!({})).await.expect(404);
}

#[tokio::test]
async fn a_cancelled_force_leaves_changes_alone() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let (target, accounts) = world(&app, &sink, 300).await;
    sink.answer(Answer::new(200).after(Duration::from_millis(40)));
    let before = sink.calls().len();
    let id = force(&app, &target).await;
    until_moving(&app, &id).await;
    // The last one has not begun; a change makes it more than part of the force.
    let last = accounts.last().unwrap();
    pause(&app, &target).await;
    app.set(last, json!({ "title": "Director" })).await;
    let cancelled = app.post(&format!("/sweeps/{id}/cancel"), json!({})).await.expect(200);
    assert_eq!((&cancelled["state"], &cancelled["cancelled"]), (&json!("cancelled"), &json!(true)));
    assert!(cancelled["removed"].as_i64().unwrap() > 200, "{cancelled}");
    sink.answer_well();
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    app.until_idle(&target).await;
    let calls = sink.calls().split_off(before);
    assert!(calls.len() < 100, "{} calls after the cancel", calls.len());
    assert!(calls.iter().any(|call| call.json()["attributes"]["title"] == "Director"));
    let again = app.post(&format!("/sweeps/{id}/cancel"), json!({})).await.expect(200);
    assert_eq!(again["removed"], cancelled["removed"]);
    app.post(&format!("/sweeps/{id}/resume"), json!({})).await.expect(409);
}

#[tokio::test]
async fn a_paused_sweep_waits_and_lets_changes_pass() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let (target, accounts) = world(&app, &sink, 120).await;
    sink.answer(Answer::new(200).after(Duration::from_millis(30)));
    let id = force(&app, &target).await;
    until_moving(&app, &id).await;
    let paused = app.post(&format!("/sweeps/{id}/pause"), json!({})).await.expect(200);
    assert_eq!((&paused["state"], &paused["etaSeconds"]), (&json!("paused"), &Value::Null));
    sink.answer_well();
    app.until_idle(&target).await;
    let before = sink.calls().len();
    app.set(accounts.last().unwrap(), json!({ "title": "Director" })).await;
    app.until_idle(&target).await;
    assert_eq!(sink.calls().len(), before + 1, "only the change runs");
    let still = app.get(&format!("/sweeps/{id}")).await;
    let left = still["remaining"].as_i64().unwrap();
    assert!(left > 0, "{still}");
    app.post(&format!("/sweeps/{id}/resume"), json!({})).await.expect(200);
    until_sweep(&app, &id, "finished").await;
    assert_eq!(sink.calls().len() as i64, before as i64 + 1 + left);
}

#[tokio::test]
async fn a_new_force_takes_the_place_of_a_paused_one() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let (target, _) = world(&app, &sink, 60).await;
    sink.answer(Answer::new(200).after(Duration::from_millis(30)));
    let first = force(&app, &target).await;
    until_moving(&app, &first).await;
    app.post(&format!("/sweeps/{first}/pause"), json!({})).await.expect(200);
    sink.answer_well();
    let second = force(&app, &target).await;
    until_sweep(&app, &first, "cancelled").await;
    let ended = until_sweep(&app, &second, "finished").await;
    assert_eq!(ended["done"], 60);
    assert_eq!(app.until_idle(&target).await["backlog"], 0);
}

#[tokio::test]
async fn a_sweep_goes_on_after_a_crash() {
    let (mut app, sink) = (TestApp::start().await, Sink::start().await);
    let (target, _) = world(&app, &sink, 60).await;
    pause(&app, &target).await;
    let id = force(&app, &target).await;
    until_sweep(&app, &id, "running").await;
    until_enqueued(&app, &id, 60).await;
    app.kill();
    // As if it had died after the first ten accounts, and in the middle of a
    // cancel of another.
    let mut connection = app.db.as_ref().unwrap().connection();
    connection
        .batch_execute(&format!(
            "UPDATE sweeps SET state = 'running', finished_at = NULL, enqueued = 10, \
                cursor = (SELECT subject_id FROM pending ORDER BY subject_id OFFSET 9 LIMIT 1) WHERE id = {id}; \
             DELETE FROM pending WHERE subject_id > (SELECT cursor FROM sweeps WHERE id = {id});"
        ))
        .unwrap();
    app.restart().await;
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    let ended = until_sweep(&app, &id, "finished").await;
    assert_eq!((&ended["done"], &ended["enqueued"]), (&json!(60), &json!(60)));
    app.until_idle(&target).await;
    assert_eq!(sink.calls().len(), 120);
}

#[tokio::test]
async fn a_cancel_that_was_cut_off_is_finished_after_a_restart() {
    let (mut app, sink) = (TestApp::start().await, Sink::start().await);
    let (target, _) = world(&app, &sink, 30).await;
    pause(&app, &target).await;
    let id = force(&app, &target).await;
    until_enqueued(&app, &id, 30).await;
    app.kill();
    let mut connection = app.db.as_ref().unwrap().connection();
    control::order(&mut connection, id.parse().unwrap(), Action::Cancel).unwrap();
    app.restart().await;
    let ended = until_sweep(&app, &id, "cancelled").await;
    assert_eq!(ended["removed"], 30);
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    app.until_idle(&target).await;
    assert_eq!(sink.calls().len(), 30, "only what was there before the force");
}

#[tokio::test]
async fn a_paused_sweep_stays_so_over_a_restart() {
    let (mut app, sink) = (TestApp::start().await, Sink::start().await);
    let (target, _) = world(&app, &sink, 30).await;
    pause(&app, &target).await;
    let id = force(&app, &target).await;
    until_enqueued(&app, &id, 30).await;
    app.post(&format!("/sweeps/{id}/pause"), json!({})).await.expect(200);
    app.kill();
    app.restart().await;
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    app.until_idle(&target).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(
        (sink.calls().len(), until_sweep(&app, &id, "paused").await["remaining"].clone()),
        (30, json!(30))
    );
    app.post(&format!("/sweeps/{id}/resume"), json!({})).await.expect(200);
    until_sweep(&app, &id, "finished").await;
    assert_eq!(sink.calls().len(), 60);
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(connection: &mut PgConnection, condition: &str) -> i64 {
    let query = format!("SELECT count(*) AS count FROM pending WHERE {condition}");
    diesel::sql_query(query).get_result::<Count>(connection).unwrap().count
}

/// A force over `accounts` accounts, all of it in the queue.
fn large_force(connection: &mut PgConnection, accounts: i64) -> (StoreId, TargetId, SweepId) {
    let store = stores::create(connection, "people").unwrap().id;
    let target = targets::create(connection, store, &TargetSettings::named("crm"), 8).unwrap();
    diesel::sql_query(
        "INSERT INTO subjects (store_id, kind, user_name) SELECT $1, 'account', 'u' || n \
         FROM generate_series(1, $2) AS n",
    )
    .bind::<BigInt, _>(store.0)
    .bind::<BigInt, _>(accounts)
    .execute(connection)
    .unwrap();
    let sweep = sweeps::start(connection, &target, SweepKind::Force, Trigger::Force).unwrap();
    let id = SweepId(sweep.id);
    while !sweeps::advance(connection, &target, id, &GuardPolicy::default()).unwrap() {}
    (store, target.id, id)
}

/// Returns in how many transactions.
fn carry_out(connection: &mut PgConnection, id: SweepId, action: Action) -> i64 {
    control::order(connection, id, action).unwrap();
    let mut steps = 1;
    while !control::step(connection, id).unwrap() {
        steps += 1;
    }
    steps
}

#[tokio::test]
async fn a_large_cancel_takes_few_steps_and_touches_only_what_is_its_own() {
    let rows = 100_000;
    let db = TestDb::new().await;
    let mut connection = db.connection();
    let (_, _, id) = large_force(&mut connection, rows);
    connection
        .batch_execute(
            "UPDATE pending SET owner = 'node' WHERE subject_id % 1000 = 1; \
             UPDATE pending SET priority = 1, sweep_id = NULL WHERE subject_id % 1000 = 2; \
             UPDATE pending SET reason = 'deprovision' WHERE subject_id % 1000 = 3; \
             UPDATE pending SET trigger = 'retry' WHERE subject_id % 1000 = 4;",
        )
        .unwrap();
    let kept = count(&mut connection, "subject_id % 1000 BETWEEN 1 AND 4");
    let paused = carry_out(&mut connection, id, Action::Pause);
    assert_eq!(count(&mut connection, "priority = 3"), rows - kept);
    let resumed = carry_out(&mut connection, id, Action::Resume);
    assert_eq!(count(&mut connection, "priority = 2"), rows - kept / 4);
    let cancelled = carry_out(&mut connection, id, Action::Cancel);
    assert_eq!(count(&mut connection, "true"), kept);
    assert_eq!(control::find(&mut connection, id).unwrap().removed, rows - kept);
    // A chunk is 20,000 rows; the last step finds nothing left.
    let most = rows / 20_000 + 1;
    assert!(paused.max(resumed).max(cancelled) <= most, "{paused}, {resumed}, {cancelled} steps");
}

#[tokio::test]
async fn work_that_a_force_takes_over_outlives_its_cancel() {
    let db = TestDb::new().await;
    let mut connection = db.connection();
    let (_, target, first) = large_force(&mut connection, 10);
    let target = targets::find(&mut connection, target).unwrap();
    // Of an edited filter, of a failure, of a change; the others of the first force.
    connection
        .batch_execute(
            "UPDATE pending SET trigger = 'filterChanged', sweep_id = 77 WHERE subject_id % 10 = 1; \
             UPDATE pending SET trigger = 'retry' WHERE subject_id % 10 = 2; \
             UPDATE pending SET trigger = 'updated', sweep_id = NULL, priority = 1 WHERE subject_id % 10 = 3;",
        )
        .unwrap();
    let second = sweeps::start(&mut connection, &target, SweepKind::Force, Trigger::Force).unwrap();
    while !sweeps::advance(&mut connection, &target, SweepId(second.id), &GuardPolicy::default()).unwrap() {}
    carry_out(&mut connection, SweepId(second.id), Action::Cancel);
    assert_eq!(count(&mut connection, "true"), 3);
    assert_eq!(count(&mut connection, "priority = 1"), 1);
    assert!(matches!(
        control::order(&mut connection, first, Action::Pause),
        Err(control::SweepError::State(..))
    ));
}

#[tokio::test]
async fn the_command_line_lists_retries_and_cancels() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    sink.answer(Answer::new(400));
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisionFailed").await;
    let cli = |arguments: &[&str]| app.cli(&[&["target"], arguments].concat());
    let (code, text) = cli(&["dead", "crm"]);
    assert!(code == 0 && text.contains("permanent") && text.contains("the sink answered 400"), "{text}");
    assert_eq!(cli(&["retry", "crm"]).0, 2);
    assert_eq!(cli(&["retry", "crm", "--all", "--filter", "userName pr"]).0, 2);
    sink.answer_well();
    let (code, text) = cli(&["retry", "crm", "--filter", "userName eq \"ada\""]);
    assert_eq!((code, text.trim()), (0, "1 dead letters are to be tried again"));
    app.until_status(&ada, &target, "provisioned").await;
    assert_eq!(cli(&["dead", "crm"]), (0, "no dead letters\n".to_owned()));
    assert_eq!(cli(&["force", "crm"]).0, 0);
    assert_eq!(cli(&["cancel", "crm"]).0, 1);
    pause(&app, &target).await;
    assert_eq!(cli(&["force", "crm", "--no-wait"]).0, 0);
    app.until("the force to be enqueued".into(), async || {
        let list = app.get(&format!("/targets/{}/sweeps", target.id)).await;
        if list["items"][0]["enqueued"] == 1 { Ok(()) } else { Err(list) }
    })
    .await;
    let (code, text) = cli(&["cancel", "crm"]);
    assert!(code == 0 && text.contains("(force): 0 done, 1 taken out of the queue"), "{text}");
}
