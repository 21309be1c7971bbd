//! Groups, organizations and types, and what their changes do to accounts.

use serde_json::{Value, json};

use super::support::TestApi;

async fn record(api: &TestApi, id: &str) -> (i64, Value, Value) {
    let account = api.get(&format!("/accounts/{id}")).await.expect(200);
    (account["version"].as_i64().unwrap(), account["groups"].clone(), account["organization"].clone())
}

#[tokio::test]
async fn a_container_of_each_kind_lives() {
    let api = TestApi::start().await.with_store().await;
    for plural in ["groups", "organizations", "types"] {
        let body = json!({"displayName": "Staff", "externalId": "S", "attributes": {"a": 1}});
        let made = api.post(&format!("/stores/people/{plural}"), body.clone()).await;
        let path = made.header("location").strip_prefix("/api/v1").unwrap().to_owned();
        let made = made.expect(201);
        let taken = api.post(&format!("/stores/people/{plural}"), json!({"displayName": "STAFF"})).await;
        assert_eq!(taken.problem(), (409, "conflict".into(), "displayName".into()));
        assert_eq!(api.put(&path, made.clone()).await.expect(200), made);
        let patched = api.patch(&path, json!({"attributes": {"a": null, "b": 2}})).await;
        assert_eq!((patched.header("etag"), &patched.body["attributes"]), ("\"2\"", &json!({"b": 2})));
        let list = api.get(&format!("/stores/people/{plural}?externalId=S")).await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        assert_eq!(api.get(&path.replace(plural, "accounts")).await.status, 404, "of another kind");
        assert_eq!(api.delete(&path).await.status, 204);
        assert_eq!(api.get(&path).await.problem().0, 404);
    }
}

#[tokio::test]
async fn members_follow_their_container() {
    let api = TestApi::start().await.with_store().await;
    let ada = api.account(json!({"userName": "ada", "groups": ["Sales"], "organization": "Acme"})).await;
    let bob = api.account(json!({"userName": "bob"})).await;
    let sales = api.get("/stores/people/groups").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    let (path, members) = (format!("/groups/{sales}"), format!("/groups/{sales}/members"));

    api.patch(&path, json!({"displayName": "Vertrieb"})).await.expect(200);
    assert_eq!(record(&api, &ada).await, (2, json!(["Vertrieb"]), json!("Acme")));
    assert_eq!(record(&api, &bob).await.0, 1);

    let joined = api.post(&members, json!({"accountId": bob})).await;
    assert_eq!((joined.status.as_u16(), joined.header("etag")), (200, "\"3\""));
    assert_eq!(api.post(&members, json!({"accountId": bob})).await.header("etag"), "\"3\"");
    assert_eq!(record(&api, &bob).await, (2, json!(["Vertrieb"]), Value::Null));
    let page = api.get(&format!("{members}?limit=1")).await.expect(200);
    assert_eq!((&page["items"][0]["userName"], page["next"].is_string()), (&json!("ada"), true));
    let unknown = api.post(&members, json!({"accountId": "4242"})).await;
    assert_eq!(unknown.problem(), (422, "validation".into(), "accountId".into()));

    assert_eq!(api.delete(&format!("{members}/{ada}")).await.status, 204);
    assert_eq!(api.delete(&format!("{members}/{ada}")).await.problem().0, 404);
    assert_eq!(record(&api, &ada).await, (3, json!([]), json!("Acme")));

    api.put(&path, json!({"displayName": "Vertrieb", "members": ["ADA"]})).await.expect(200);
    assert_eq!(record(&api, &ada).await.1, json!(["Vertrieb"]));
    assert_eq!(record(&api, &bob).await, (3, json!([]), Value::Null));
    api.put(&path, json!({"displayName": "Vertrieb"})).await.expect(200);
    assert_eq!(record(&api, &ada).await.1, json!(["Vertrieb"]), "a PUT without members keeps them");

    api.delete(&path).await;
    assert_eq!(record(&api, &ada).await, (5, json!([]), json!("Acme")));
}

#[tokio::test]
async fn an_account_has_one_organization() {
    let api = TestApi::start().await.with_store().await;
    let ada = api.account(json!({"userName": "ada", "organization": "Acme"})).await;
    let other = json!({"displayName": "Other", "members": [ada]});
    api.post("/stores/people/organizations", other).await.expect(201);
    assert_eq!(record(&api, &ada).await, (2, json!([]), json!("Other")));
    let acme =
        api.get("/stores/people/organizations").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(api.get(&format!("/organizations/{acme}/members")).await.body["items"], json!([]));
}

#[tokio::test]
async fn a_refused_list_of_members_leaves_the_rest_as_it_was() {
    let api = TestApi::start().await.with_store().await;
    let ada = api.account(json!({"userName": "ada", "groups": ["Sales"]})).await;
    let numbered = api.account(json!({"userName": ada})).await;
    assert_ne!(ada, numbered);
    let sales = api.get("/stores/people/groups").await.body["items"][0]["id"].as_str().unwrap().to_owned();
    let before = api.written();
    let body = json!({"displayName": "Renamed", "members": [ada]});
    let answer = api.patch(&format!("/groups/{sales}"), body).await;
    assert_eq!(answer.problem(), (422, "validation".into(), "members".into()), "an id and a name at once");
    assert_eq!(api.written(), before);
}
