//! Every trigger makes exactly the run that it should.

use reqwest::Method;
use serde_json::{Value, json};

use super::{RECORD, settings, settings_with};
use crate::support::app::TestApp;
use crate::support::sink::Sink;

fn told(runs: &[Value]) -> Vec<String> {
    runs.iter()
        .map(|run| format!("{} {}", run["trigger"].as_str().unwrap(), run["reason"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_life_of_an_account() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let filter = json!({ "filter": r#"department eq "Sales""# });
    let target = app.target(&store, settings_with("crm", &sink, filter), RECORD).await;

    let ada = app.account(&store, "ada", json!({ "department": "Sales" })).await;
    app.until_status(&ada, &target, "provisioned").await;
    app.set(&ada, json!({ "title": "Director" })).await;
    app.until_runs(&target, &ada, 2).await;
    app.set(&ada, json!({ "department": "Legal" })).await;
    app.until_status(&ada, &target, "deprovisioned").await;
    app.set(&ada, json!({ "title": "Counsel" })).await;
    app.set(&ada, json!({ "department": "Sales" })).await;
    app.until_status(&ada, &target, "provisioned").await;
    let sync = format!("/accounts/{ada}/provisions/{}/sync", target.id);
    app.post(&sync, json!({})).await.expect(202);
    app.until_runs(&target, &ada, 5).await;
    app.post(&format!("/targets/{}/force", target.id), json!({})).await.expect(202);
    app.until_runs(&target, &ada, 6).await;
    app.delete(&format!("/accounts/{ada}")).await.expect(204);
    app.until_status(&ada, &target, "deprovisioned").await;

    assert_eq!(
        told(&app.runs(&target, &ada).await),
        [
            "created provision",
            "updated provision",
            "leftFilter deprovision",
            "enteredFilter provision",
            "manual provision",
            "force provision",
            "deleted deprovision",
        ]
    );
    let calls = sink.calls();
    assert_eq!(calls.len(), 7);
    assert_eq!(calls[1].json()["changes"], json!(["title"]));
    assert_eq!(calls[1].json()["previous"]["remoteId"], format!("r-{ada}"));
}

#[tokio::test]
async fn an_unchanged_account_does_not_run_again() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({ "title": "Director" })).await;
    app.until_status(&ada, &target, "provisioned").await;
    let record = app.get(&format!("/accounts/{ada}")).await;
    let same = app.put(&format!("/accounts/{ada}"), record.clone()).await.expect(200);
    assert_eq!(same["version"], record["version"]);
    app.set(&ada, json!({ "title": "Director" })).await;
    app.until_idle(&target).await;
    assert_eq!(app.runs(&target, &ada).await.len(), 1);
}

#[tokio::test]
async fn memberships_are_part_of_the_record() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let filter = json!({ "filter": r#"groups eq "staff""# });
    let target = app.target(&store, settings_with("crm", &sink, filter), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    assert_eq!(app.provision(&ada, &target).await["status"], "provisionNotNeeded");
    app.patch(&format!("/accounts/{ada}"), json!({ "groups": ["staff"] })).await.expect(200);
    app.until_status(&ada, &target, "provisioned").await;
    app.patch(&format!("/accounts/{ada}"), json!({ "groups": ["staff", "board"] })).await.expect(200);
    let runs = app.until_runs(&target, &ada, 2).await;
    assert_eq!(told(&runs), ["enteredFilter provision", "membershipChanged provision"]);
    assert_eq!(sink.calls()[1].json()["groups"], json!(["board", "staff"]));

    let groups = app.get(&format!("/stores/{store}/groups")).await;
    let staff = groups["items"].as_array().unwrap().iter().find(|group| group["displayName"] == "staff");
    let staff = staff.unwrap()["id"].as_str().unwrap().to_owned();
    app.delete(&format!("/groups/{staff}")).await.expect(204);
    app.until_status(&ada, &target, "deprovisioned").await;
}

#[tokio::test]
async fn an_edited_filter_finds_who_enters_and_who_leaves() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let ada = app.account(&store, "ada", json!({ "site": "Oslo" })).await;
    let bob = app.account(&store, "bob", json!({ "site": "Bonn" })).await;
    let filter = json!({ "filter": r#"site eq "Oslo""# });
    let target = app.target(&store, settings_with("crm", &sink, filter), RECORD).await;
    app.until_status(&ada, &target, "provisioned").await;
    let path = format!("/targets/{}/filter/preview", target.id);
    let preview = app.post(&path, json!({ "filter": r#"site eq "Bonn""# })).await.expect(200);
    assert_eq!(
        (&preview["total"], &preview["entering"], &preview["leaving"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(preview["sample"][0]["userName"], "bob");

    let edit = json!({ "filter": r#"site eq "Bonn""# });
    app.patch(&format!("/targets/{}", target.id), edit).await.expect(200);
    app.until_status(&bob, &target, "provisioned").await;
    app.until_status(&ada, &target, "deprovisioned").await;
    assert_eq!(told(&app.runs(&target, &ada).await), ["enabled provision", "filterChanged deprovision"]);
    assert_eq!(told(&app.runs(&target, &bob).await), ["filterChanged provision"]);
}

#[tokio::test]
async fn a_manual_target_waits_for_a_person() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let manual = json!({ "mode": "manual" });
    let target = app.target(&store, settings_with("crm", &sink, manual), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    let standing = app.provision(&ada, &target).await;
    assert_eq!(standing["status"], "pending");
    assert!(standing["why"].as_str().unwrap().contains("manual mode"), "{standing}");
    assert_eq!(sink.calls().len(), 0);
    let sync = format!("/accounts/{ada}/provisions/{}/sync", target.name);
    app.post(&sync, json!({})).await.expect(202);
    app.until_status(&ada, &target, "provisioned").await;
}

#[tokio::test]
async fn logic_schedules_itself_but_not_below_the_floor() {
    let app = TestApp::start_with(&[("PROVISIOND_ENGINE_RUN_AGAIN_FLOOR", "1s")]).await;
    let sink = Sink::start().await;
    let store = app.store("people").await;
    let code = r#"export default async (ctx) => {
        await fetch(ctx.target.config.url, { method: "POST", body: ctx.trigger });
        const runs = (ctx.previous.metadata?.runs ?? 0) + 1;
        return { status: runs < 3 ? "provisionOngoing" : "provisioned", metadata: { runs },
            ...(runs < 3 ? { runAgainIn: 0 } : {}) };
    }"#;
    let target = app.target(&store, settings("mailbox", &sink), code).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisionOngoing").await;
    let done = app.until_status(&ada, &target, "provisioned").await;
    assert_eq!((&done["metadata"]["runs"], &done["nextRunAt"]), (&json!(3), &Value::Null));
    let calls = sink.calls();
    assert_eq!(told(&app.runs(&target, &ada).await)[1..], ["schedule provision", "schedule provision"]);
    assert!(calls[1].start - calls[0].start >= std::time::Duration::from_millis(950));
}

#[tokio::test]
async fn logic_may_ask_for_a_deprovision() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let code = r#"module.exports = async (ctx) => {
        await fetch(ctx.target.config.url + "/" + ctx.reason, { method: "POST" });
        if (ctx.reason === "deprovision") return { status: "deprovisioned" };
        return ctx.account.attributes.left ? { status: "deprovision" } : { status: "provisioned" };
    }"#;
    let target = app.target(&store, settings("crm", &sink), code).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisioned").await;
    app.set(&ada, json!({ "left": true })).await;
    app.until_status(&ada, &target, "deprovisioned").await;
    app.until_idle(&target).await;
    let told = told(&app.runs(&target, &ada).await);
    assert_eq!(told, ["created provision", "updated provision", "logic deprovision"]);
}

#[tokio::test]
async fn leaving_and_coming_back_before_the_run_still_deprovisions() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let filter = json!({ "filter": r#"department eq "Sales""# });
    let target = app.target(&store, settings_with("crm", &sink, filter), RECORD).await;
    let ada = app.account(&store, "ada", json!({ "department": "Sales" })).await;
    app.until_status(&ada, &target, "provisioned").await;
    app.post(&format!("/targets/{}/pause", target.id), json!({})).await.expect(200);
    app.until("the pause".into(), async || {
        let status = app.get(&format!("/targets/{}/status", target.id)).await;
        if status["engine"]["paused"] == true { Ok(()) } else { Err(status) }
    })
    .await;
    app.set(&ada, json!({ "department": "Legal" })).await;
    app.set(&ada, json!({ "department": "Sales" })).await;
    app.post(&format!("/targets/{}/resume", target.id), json!({})).await.expect(200);
    app.until_runs(&target, &ada, 3).await;
    app.until_status(&ada, &target, "provisioned").await;
    let told: Vec<_> = app.runs(&target, &ada).await.iter().map(|run| run["reason"].clone()).collect();
    assert_eq!(told, ["provision", "deprovision", "provision"]);
}

#[tokio::test]
async fn a_deleted_target_needs_its_name_and_leaves_its_knowledge() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let target = app.target(&store, settings("crm", &sink), RECORD).await;
    let ada = app.account(&store, "ada", json!({})).await;
    app.until_status(&ada, &target, "provisioned").await;
    let path = format!("/targets/{}", target.id);
    app.delete(&path).await.expect(422);
    app.call(Method::DELETE, &path, Some(json!({ "name": "crn" }))).await.expect(422);
    app.call(Method::DELETE, &path, Some(json!({ "name": "crm" }))).await.expect(204);
    app.delete(&path).await.expect(404);
    let mut connection = app.db.as_ref().unwrap().connection();
    let kept =
        provisiond::storage::state::find(&mut connection, target.id.parse().unwrap(), ada.parse().unwrap())
            .unwrap();
    assert_eq!(kept.remote_id, Some(format!("r-{ada}")));
}
