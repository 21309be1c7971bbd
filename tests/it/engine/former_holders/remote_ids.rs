//! One remote id belongs to one account.

use std::time::Duration;

use serde_json::{Value, json};

use super::World;
use crate::support::sink::Answer;

fn key(key: &str) -> Value {
    json!({ "key": key })
}

#[tokio::test]
async fn a_removal_is_settled_whose_remote_id_another_has_adopted() {
    let world = World::new(json!({ "guard": { "count": 0, "percent": 0 } })).await;
    let old = world.app.account(&world.store, "jo", key("R1")).await;
    world.until_provisioned(&old).await;
    world.app.delete(&format!("/accounts/{old}")).await.expect(204);
    let lot = world
        .app
        .until("a lot".into(), async || {
            let lots = world.app.get(&format!("/targets/{}/held", world.target.id)).await;
            lots["items"][0]["id"].as_str().map(ToOwned::to_owned).ok_or(lots)
        })
        .await;
    // Another name, so it does not wait: it finds the same thing there.
    let new = world.app.account(&world.store, "joanna", key("R1")).await;
    world.until_provisioned(&new).await;
    world.app.until_status(&old, &world.target, "deprovisioned").await;
    let settled = world.app.provision(&old, &world.target).await;
    let why = format!("not removed: the remote id `R1` belongs to `joanna` (account {new}) here by now");
    assert_eq!((&settled["message"], &settled["remoteId"]), (&json!(why), &Value::Null));
    let lot = world.app.get(&format!("/held/{lot}")).await;
    assert_eq!((&lot["state"], &lot["waiting"]), (&json!("settled"), &json!(0)));
    assert_eq!(world.calls("DELETE").len(), 0);
    world.assert_content(&[("R1", &new)]);
}

#[tokio::test]
async fn a_dead_removal_that_is_retried_does_not_hit_who_has_adopted() {
    let world = World::new(json!({ "retry": { "maxAttempts": 1 } })).await;
    let old = world.app.account(&world.store, "jo", key("R1")).await;
    world.until_provisioned(&old).await;
    world.sink.answer(Answer::new(503).method("DELETE").times(1));
    world.app.delete(&format!("/accounts/{old}")).await.expect(204);
    world.app.until_status(&old, &world.target, "provisionFailed").await;
    let new = world.app.account(&world.store, "joanna", key("R1")).await;
    world.until_provisioned(&new).await;
    let retry = format!("/targets/{}/deadletters/retry", world.target.id);
    world.app.post(&retry, json!({ "all": true })).await.expect(202);
    world.app.until_status(&old, &world.target, "deprovisioned").await;
    assert_eq!(world.calls("DELETE").len(), 1);
    world.assert_content(&[("R1", &new)]);
}

#[tokio::test]
async fn nothing_is_built_on_what_is_being_removed() {
    let world = World::new(json!({ "retry": { "firstDelaySecs": 3600 } })).await;
    let old = world.app.account(&world.store, "jo", key("R1")).await;
    world.until_provisioned(&old).await;
    world.sink.answer(Answer::new(200).method("DELETE").after(Duration::from_millis(1_500)));
    world.app.delete(&format!("/accounts/{old}")).await.expect(204);
    world.sink.wait_until(|calls| calls.iter().any(|call| call.method == "DELETE")).await;
    let new = world.app.account(&world.store, "joanna", key("R1")).await;
    world.until_provisioned(&new).await;
    world.app.until_status(&old, &world.target, "deprovisioned").await;
    let removal = world.calls("DELETE")[0].clone();
    assert!(world.calls("PUT").last().unwrap().end.unwrap() >= removal.end.unwrap());
    world.assert_content(&[("R1", &new)]);
}

#[tokio::test]
async fn two_living_accounts_never_share_a_remote_id() {
    let world = World::new(json!({ "retry": { "maxAttempts": 1 } })).await;
    let first = world.app.account(&world.store, "jo", key("R1")).await;
    world.until_provisioned(&first).await;
    let second = world.app.account(&world.store, "max", key("R1")).await;
    world.app.until_status(&second, &world.target, "provisionFailed").await;
    let refused = world.app.provision(&second, &world.target).await;
    assert_eq!((&refused["errorClass"], &refused["remoteId"]), (&json!("logic"), &Value::Null));
    let message =
        format!("logic answered the remote id `R1`, which belongs to `jo` (account {first}) at this target");
    assert!(refused["message"].as_str().unwrap().starts_with(&message), "{refused}");
    let runs = world.app.runs(&world.target, &second).await;
    assert_eq!((&runs[0]["status"], &runs[0]["errorClass"]), (&json!("provisionFailed"), &json!("logic")));
    let letters = world.app.get(&format!("/targets/{}/deadletters", world.target.id)).await;
    assert_eq!(letters["items"][0]["count"], 1);
    assert_eq!(world.app.provision(&first, &world.target).await["status"], "provisioned");
    // Once the first has left, the second may have it.
    world.app.delete(&format!("/accounts/{first}")).await.expect(204);
    world.app.until_status(&first, &world.target, "deprovisioned").await;
    world.sync(&second).await;
    world.until_provisioned(&second).await;
    world.assert_content(&[("R1", &second)]);
}

#[tokio::test]
async fn of_many_that_answer_one_remote_id_at_once_one_has_it() {
    let world = World::new(json!({ "maxParallelJobs": 20, "retry": { "maxAttempts": 1 } })).await;
    world.set_paused(true).await;
    let line = |n| json!({ "userName": format!("u{n}"), "attributes": { "key": "R1" } });
    world.app.import(&world.store, "", (0..20).map(|n| format!("{}\n", line(n))).collect()).await;
    world.set_paused(false).await;
    let status = world
        .app
        .until("rest".into(), async || {
            let status = world.app.get(&format!("/targets/{}/status", world.target.id)).await;
            let counts = &status["counts"];
            let known =
                counts["provisioned"].as_i64().unwrap_or(0) + counts["provisionFailed"].as_i64().unwrap_or(0);
            if known == 20 { Ok(status) } else { Err(status) }
        })
        .await;
    assert_eq!(
        (&status["counts"]["provisioned"], &status["counts"]["provisionFailed"]),
        (&json!(1), &json!(19))
    );
}

/// Who comes back does not get the remote id that another one has by now.
#[tokio::test]
async fn a_remote_id_that_went_to_another_is_forgotten() {
    let world =
        World::new(json!({ "filter": "attributes.left ne true", "retry": { "maxAttempts": 1 } })).await;
    let first = world.app.account(&world.store, "jo", key("R1")).await;
    world.until_provisioned(&first).await;
    world.app.set(&first, json!({ "left": true })).await;
    world.app.until_status(&first, &world.target, "deprovisioned").await;
    assert_eq!(world.app.provision(&first, &world.target).await["remoteId"], "R1");
    let second = world.app.account(&world.store, "max", key("R1")).await;
    world.until_provisioned(&second).await;
    assert_eq!(world.app.provision(&first, &world.target).await["remoteId"], Value::Null);
    world.app.set(&first, json!({ "left": false })).await;
    world.app.until_status(&first, &world.target, "provisionFailed").await;
    let refused = world.app.provision(&first, &world.target).await;
    assert_eq!((&refused["errorClass"], &refused["remoteId"]), (&json!("logic"), &Value::Null));
}
