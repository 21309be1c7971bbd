//! Accounts: their life over REST, preconditions, pages.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::TestApi;

#[tokio::test]
async fn an_account_lives() {
    let api = TestApi::start().await.with_store().await;
    let body = json!({
        "userName": "ada", "externalId": "E1", "displayName": "Ada", "status": "pending",
        "attributes": {"department": "Sales", "phone": {"work": "1", "home": "2"}},
        "groups": ["Sales", "sales", "Ops"], "organization": "Acme",
    });
    let made = api.post("/stores/people/accounts", body).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, "\"1\""));
    let (location, made) = (made.header("location").to_owned(), made.body);
    let path = location.strip_prefix("/api/v1").unwrap();
    assert_eq!(made["groups"], json!(["Ops", "Sales"]));
    assert_eq!(api.get(path).await.expect(200), made);

    let same = api.put(path, made.clone()).await;
    assert_eq!((same.header("etag"), &same.body), ("\"1\"", &made), "what was got can be sent back");

    let patch =
        json!({"attributes": {"phone": {"home": null}, "title": "Dr"}, "status": null, "organization": null});
    let patched = api.patch(path, patch).await.expect(200);
    assert_eq!(patched["attributes"], json!({"department": "Sales", "phone": {"work": "1"}, "title": "Dr"}));
    assert_eq!((&patched["status"], &patched["organization"]), (&json!("active"), &Value::Null));
    assert_eq!((&patched["version"], &patched["groups"]), (&json!(2), &json!(["Ops", "Sales"])));

    let bare = api.put(path, json!({"userName": "Ada"})).await.expect(200);
    assert_eq!((&bare["attributes"], &bare["groups"]), (&json!({}), &json!([])));

    assert_eq!(api.delete(path).await.status, 204);
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let gone = api.call(method, path, json!({"userName": "ada"})).await;
        assert_eq!(gone.problem(), (404, "not-found".into(), String::new()));
        assert!(gone.body["detail"].as_str().unwrap().starts_with("the account was deleted at 20"));
    }
    assert_ne!(api.account(json!({"userName": "ada"})).await, made["id"].as_str().unwrap());
}

#[tokio::test]
async fn only_the_expected_version_is_written() {
    let api = TestApi::start().await.with_store().await;
    let id = api.account(json!({"userName": "ada"})).await;
    let path = format!("/accounts/{id}");
    let cases = [
        ("\"2\"", 412),
        ("W/\"1\"", 412),
        ("\"abc\", \"7\"", 412),
        ("", 412),
        ("1", 400),
        ("*, \"1\"", 400),
        ("\"7\", \"1\"", 200),
        ("*", 200),
    ];
    for (tags, status) in cases {
        for method in [Method::PUT, Method::PATCH] {
            let request =
                api.request(method, &path).header("if-match", tags).json(&json!({"userName": "ada"}));
            assert_eq!(api.send(request).await.status, status, "{tags}");
        }
    }
    let stale = api.send(api.request(Method::DELETE, &path).header("if-match", "\"9\"")).await;
    assert_eq!(stale.problem(), (412, "version-mismatch".into(), String::new()));
    assert_eq!(api.send(api.request(Method::DELETE, &path).header("if-match", "\"1\"")).await.status, 204);
}

#[tokio::test]
async fn a_taken_name_is_a_conflict_that_names_the_field() {
    let api = TestApi::start().await.with_store().await;
    api.account(json!({"userName": "ada", "externalId": "E1"})).await;
    let bob = api.account(json!({"userName": "bob"})).await;
    let before = api.written();
    for (body, field) in [
        (json!({"userName": "ADA", "groups": ["New"]}), "userName"),
        (json!({"userName": "eve", "externalId": "E1", "organization": "New"}), "externalId"),
    ] {
        let taken = api.post("/stores/people/accounts", body.clone()).await;
        assert_eq!(taken.problem(), (409, "conflict".into(), field.into()));
        let taken = api.put(&format!("/accounts/{bob}"), body).await;
        assert_eq!(taken.problem(), (409, "conflict".into(), field.into()));
    }
    assert_eq!(api.written(), before, "not even the groups were made");
    api.post("/stores", json!({"name": "Öther"})).await.expect(201);
    api.post("/stores/%C3%96ther/accounts", json!({"userName": "ada", "externalId": "E1"})).await.expect(201);
    assert_eq!(api.post("/stores", json!({"name": "PEOPLE"})).await.problem().2, "name");
}

#[tokio::test]
async fn pages_are_stable_while_accounts_come_and_go() {
    let api = TestApi::start().await.with_store().await;
    let mut ids = Vec::new();
    for number in 0..7 {
        ids.push(api.account(json!({"userName": format!("user{number}")})).await);
    }
    let mut seen = Vec::new();
    let mut path = "/stores/people/accounts?limit=2".to_owned();
    loop {
        let page = api.get(&path).await.expect(200);
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        if seen.len() == 2 {
            api.delete(&format!("/accounts/{}", ids[0])).await;
            api.delete(&format!("/accounts/{}", ids[3])).await;
            api.account(json!({"userName": "late"})).await;
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/stores/people/accounts?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), seen.iter().collect::<BTreeSet<_>>().len(), "none twice");
    let lasting: Vec<_> = [0, 1, 2, 4, 5, 6].map(|at| ids[at].clone()).into();
    assert_eq!(seen[..6], lasting);
    assert_eq!(seen.len(), 7, "and the one that came meanwhile");
}

#[tokio::test]
async fn lists_are_narrowed() {
    let api = TestApi::start().await.with_store().await;
    api.account(json!({"userName": "ada", "externalId": "E1", "attributes": {"level": 3}})).await;
    api.account(json!({"userName": "bob", "groups": ["Sales"], "attributes": {"level": 5}})).await;
    for (query, expected) in [
        ("userName=ADA", vec!["ada"]),
        ("externalId=E1", vec!["ada"]),
        ("externalId=e1", vec![]),
        ("filter=level%20gt%203", vec!["bob"]),
        ("filter=groups%20eq%20%22sales%22%20or%20userName%20sw%20%22a%22", vec!["ada", "bob"]),
        ("filter=&userName=bob", vec!["bob"]),
    ] {
        let list = api.get(&format!("/stores/people/accounts?{query}")).await.expect(200);
        let names: Vec<_> =
            list["items"].as_array().unwrap().iter().map(|item| item["userName"].clone()).collect();
        assert_eq!(names, expected, "{query}");
    }
}
