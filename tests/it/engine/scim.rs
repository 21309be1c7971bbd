//! The sample logic against a real SCIM server.

use serde_json::{Value, json};

use crate::support::app::{TestApp, TestTarget};
use crate::support::scim::ScimServer;

const LOGIC: &str = include_str!("../../../samples/scim-logic.js");

pub async fn scim_target(app: &TestApp, store: &str, server: &ScimServer) -> TestTarget {
    let settings = json!({
        "name": "scim",
        "filter": r#"status eq "active" and department ne "External""#,
        "egressAllow": [server.address],
        "connection": { "properties": { "baseUrl": server.url }, "secrets": { "token": server.token } },
    });
    app.target(store, settings, LOGIC).await
}

async fn user(server: &ScimServer, user_name: &str) -> Option<Value> {
    server.users().await.into_iter().find(|user| user["userName"] == user_name)
}

#[tokio::test]
async fn accounts_in_scope_are_in_the_scim_server() {
    let (app, server) = (TestApp::start().await, ScimServer::start().await);
    let store = app.store("people").await;
    let target = scim_target(&app, &store, &server).await;
    let attributes = json!({
        "givenName": "悠斗", "familyName": "鈴木", "department": "Sales", "emails": ["yuto@example.org"],
    });
    let yuto = app.account(&store, "yuto", attributes).await;
    let guest = app.account(&store, "guest", json!({ "department": "External" })).await;
    let shown = app.until_status(&yuto, &target, "provisioned").await;
    app.until_status(&guest, &target, "provisionNotNeeded").await;
    let remote = user(&server, "yuto").await.unwrap();
    assert_eq!((&remote["id"], &remote["name"]["familyName"]), (&shown["remoteId"], &json!("鈴木")));
    assert!(user(&server, "guest").await.is_none());

    app.set(&yuto, json!({ "title": "Director" })).await;
    app.until_runs(&target, &yuto, 2).await;
    let updated = user(&server, "yuto").await.unwrap();
    assert_eq!((&updated["id"], &updated["title"]), (&remote["id"], &json!("Director")));

    app.set(&yuto, json!({ "department": "External" })).await;
    app.until_status(&yuto, &target, "deprovisioned").await;
    assert!(user(&server, "yuto").await.is_none());
    app.set(&yuto, json!({ "department": "Legal" })).await;
    app.until_status(&yuto, &target, "provisioned").await;
    app.delete(&format!("/accounts/{yuto}")).await.expect(204);
    app.until_status(&yuto, &target, "deprovisioned").await;
    assert!(server.users().await.is_empty());
}

#[tokio::test]
async fn a_user_that_was_there_before_is_adopted() {
    let (app, server) = (TestApp::start().await, ScimServer::start().await);
    let made: Value = reqwest::Client::new()
        .post(format!("{}/Users", server.url))
        .bearer_auth(&server.token)
        .header("content-type", "application/scim+json")
        .body(
            json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada" })
                .to_string(),
        )
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let store = app.store("people").await;
    let target = scim_target(&app, &store, &server).await;
    let ada = app.account(&store, "ada", json!({ "title": "Director" })).await;
    let shown = app.until_status(&ada, &target, "provisioned").await;
    assert_eq!(shown["remoteId"], made["id"]);
    assert_eq!(server.users().await.len(), 1);
}
