//! What can be depended on, and what becomes of it.

use reqwest::Method;
use serde_json::json;

use super::{TELL, pair, target};
use crate::support::app::TestApp;
use crate::support::sink::Sink;

#[tokio::test]
async fn dependencies_are_kept_by_id_and_shown_by_name() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let (ad, crm) = pair(&app, &sink, &store).await;
    let path = format!("/targets/{}", crm.id);
    app.patch(&format!("/targets/{}", ad.id), json!({ "name": "directory" })).await.expect(200);
    assert_eq!(app.get(&path).await["dependsOn"], json!(["directory"]));
    let same = app.patch(&path, json!({ "description": "the CRM" })).await.expect(200);
    assert_eq!(same["dependsOn"], json!(["directory"]));
    let by_id = app.patch(&path, json!({ "dependsOn": [ad.id, "DIRECTORY"] })).await.expect(200);
    assert_eq!(by_id["dependsOn"], json!(["directory"]));
    let none = app.patch(&path, json!({ "dependsOn": null })).await.expect(200);
    assert_eq!(none["dependsOn"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason() {
    let (app, sink) = (TestApp::start().await, Sink::start().await);
    let store = app.store("people").await;
    let (ad, crm) = pair(&app, &sink, &store).await;
    let mail = target(&app, &sink, &store, "mail", json!({ "dependsOn": ["crm"] })).await;
    let elsewhere = app.store("elsewhere").await;
    let other = app.disabled_target(&elsewhere, super::super::settings("other", &sink), TELL).await;
    let many: Vec<String> = (0..17).map(|number| format!("t{number}")).collect();
    for (depends_on, rule) in [
        (json!(["mail"]), "would make targets wait for each other for ever: ad1 → mail → crm → ad1"),
        (json!(["crm"]), "would make targets wait for each other for ever: ad1 → crm → ad1"),
        (json!(["ad1"]), "must not name the target itself"),
        (json!(["nobody"]), "names `nobody`, which is no target of this store"),
        (json!([other.id]), "which is no target of this store"),
        (json!(many), "must not have more than 16 entries"),
    ] {
        let path = format!("/targets/{}", ad.id);
        let problem = app.patch(&path, json!({ "dependsOn": depends_on })).await.expect(422);
        assert_eq!(problem["errors"][0]["field"], "dependsOn", "{problem}");
        assert!(problem["errors"][0]["rule"].as_str().unwrap().contains(rule), "{problem}");
    }
    let body = json!({ "name": "late", "dependsOn": ["nobody"] });
    app.post(&format!("/stores/{store}/targets"), body).await.expect(422);
    assert_eq!(app.get(&format!("/stores/{store}/targets")).await["items"].as_array().unwrap().len(), 3);

    let delete = async |target: &crate::support::app::TestTarget| {
        let name = json!({ "name": target.name });
        app.call(Method::DELETE, &format!("/targets/{}", target.id), Some(name)).await
    };
    let problem = delete(&crm).await.expect(409);
    let detail = "`mail` depends on the target: take it out of their `dependsOn` first";
    assert_eq!(problem["detail"], detail);
    delete(&mail).await.expect(204);
    delete(&crm).await.expect(204);
    delete(&ad).await.expect(204);
}
