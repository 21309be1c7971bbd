//! Tokens: shown once, hashed, revocable, with an end.

use chrono::{TimeDelta, Utc};
use diesel::RunQueryDsl;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::TestApi;

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_revoked() {
    let api = TestApi::start().await;
    let body = json!({"name": "console", "role": "viewer", "expiresAt": Utc::now() + TimeDelta::hours(1)});
    let made = api.post("/tokens", body).await;
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.expect(201);
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let list = async || {
        let list = api.get("/tokens?limit=500").await.expect(200);
        list["items"].as_array().unwrap().iter().find(|item| item["id"] == id).unwrap().clone()
    };
    let use_it = async || {
        let request = api.anonymous(Method::GET, "/api/v1/stores").bearer_auth(token);
        api.send(request).await.status.as_u16()
    };
    let unused = list().await;
    assert_eq!((&unused["lastUsedAt"], &unused["token"]), (&Value::Null, &Value::Null));
    assert_eq!(use_it().await, 200);
    let used = list().await["lastUsedAt"].clone();
    assert!(used.is_string());
    assert_eq!(use_it().await, 200);
    assert_eq!(list().await["lastUsedAt"], used, "noted at most once a minute");

    assert_eq!(api.delete(&format!("/tokens/{id}")).await.status, 204);
    assert_eq!(use_it().await, 401);
    assert_eq!(api.delete(&format!("/tokens/{id}")).await.problem().0, 404);
    assert!(list().await["revokedAt"].is_string());
}

#[tokio::test]
async fn an_expired_token_does_not_work() {
    let api = TestApi::start().await;
    let body = json!({"name": "short", "role": "owner", "expiresAt": Utc::now() + TimeDelta::hours(1)});
    let token = api.post("/tokens", body).await.expect(201)["token"].as_str().unwrap().to_owned();
    diesel::sql_query("UPDATE tokens SET expires_at = now() WHERE name = 'short'")
        .execute(&mut api.db.connection())
        .unwrap();
    let request = api.anonymous(Method::GET, "/api/v1/stores").bearer_auth(token);
    assert_eq!(api.send(request).await.problem().0, 401);
}
