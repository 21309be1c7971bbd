//! What holds for every path: methods, media types, caps, an absent database.

use futures_util::stream;
use provisiond::security::Role;
use reqwest::{Body, Method};
use serde_json::{Value, json};

use super::support::TestApi;
use crate::support::db::TestDb;

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = TestApi::start().await;
    for path in ["/", "/nope", "/api/v2"] {
        let answer = api.send(api.anonymous(Method::GET, path)).await;
        assert_eq!(answer.problem().0, 404, "{path}");
    }
    assert_eq!(api.get("/nope").await.problem().0, 404);
    assert_eq!(api.send(api.anonymous(Method::GET, "/api/v1/nope")).await.problem().0, 401);
    let wrong = api.delete("/stores").await;
    assert_eq!(wrong.problem().0, 405);
    assert_eq!(wrong.header("allow"), "GET, POST, HEAD");
    assert_eq!(api.send(api.anonymous(Method::POST, "/healthz")).await.problem().0, 405);
    let head = api.send(api.request(Method::HEAD, "/stores")).await;
    assert_eq!((head.status.as_u16(), head.body), (200, Value::String(String::new())));
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_announced_or_not() {
    let api = TestApi::start().await;
    let long = format!(r#"{{"name": "{}"}}"#, "x".repeat(1024 * 1024));
    let announced = api.request(Method::POST, "/stores").header("content-type", "application/json");
    assert_eq!(api.send(announced.body(long.clone())).await.problem().0, 413);
    let pieces: Vec<_> =
        long.as_bytes().chunks(10_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let chunked = api.request(Method::POST, "/stores").header("content-type", "application/json");
    let answer = chunked.body(Body::wrap_stream(stream::iter(pieces))).send().await;
    if let Ok(answer) = answer {
        assert_eq!(answer.status(), 413);
    }
    assert_eq!(api.get("/stores").await.expect(200)["items"], json!([]));
}

/// For its caller alone, and never taken for something else; problems too.
#[tokio::test]
async fn answers_are_kept_by_nobody_and_are_what_they_say() {
    let api = TestApi::start().await;
    let anonymous = api.send(api.anonymous(Method::GET, "/api/v1/stores")).await;
    for answer in
        [api.get("/stores").await, api.get("/nope").await, api.get("/stores/999999").await, anonymous]
    {
        let headers = (answer.header("cache-control"), answer.header("x-content-type-options"));
        assert_eq!(headers, ("no-store", "nosniff"), "{}", answer.status);
    }
}

#[tokio::test]
async fn media_types_are_checked() {
    let api = TestApi::start().await;
    for (media_type, coding, status) in [
        ("application/json", "", 201),
        ("APPLICATION/JSON; charset=UTF-8", "identity", 201),
        ("application/merge-patch+json", "", 201),
        ("application/json", "gzip", 415),
        ("application/x-www-form-urlencoded", "", 415),
    ] {
        let name = format!("{media_type}, {coding}.").replace('/', " ");
        let mut request = api.request(Method::POST, "/stores").header("content-type", media_type);
        if !coding.is_empty() {
            request = request.header("content-encoding", coding);
        }
        let answer = api.send(request.body(json!({"name": name}).to_string())).await;
        assert_eq!(answer.status, status, "{media_type} {coding}: {}", answer.body);
    }
    let unlabelled = api.send(api.request(Method::POST, "/stores").body("{}")).await;
    assert_eq!(unlabelled.problem().0, 415);
    assert!(unlabelled.header("accept").contains("application/json"));
}

#[tokio::test]
async fn without_its_database_the_api_asks_to_come_back() {
    let elsewhere = |url: &str| {
        let mut url = url::Url::parse(url).unwrap();
        url.set_path("no_such_database");
        url.into()
    };
    let api = TestApi::over(TestDb::new().await, elsewhere).await;
    let answer = api.get("/stores").await;
    assert_eq!(answer.problem(), (503, "unavailable".into(), String::new()));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(api.send(api.anonymous(Method::GET, "/readyz")).await.problem().0, 503);
    assert_eq!(api.send(api.anonymous(Method::GET, "/healthz")).await.status, 200);
}

#[tokio::test]
async fn each_endpoint_asks_for_the_role_of_the_route_table() {
    let api = TestApi::start().await;
    for endpoint in provisiond::api::endpoints() {
        let path = format!("/api/v1{}", endpoint.path.replace("{store}", "x").replace(['{', '}'], ""));
        let request = |token: Option<&str>| {
            let request = api.anonymous(endpoint.method.as_str().parse().unwrap(), &path);
            token.map_or(request.try_clone().unwrap(), |token| request.bearer_auth(token))
        };
        let shown = format!("{} {path}", endpoint.method);
        let anonymous = api.send(request(None)).await;
        assert_eq!(anonymous.problem().0, 401, "{shown}");
        assert!(anonymous.header("www-authenticate").starts_with("Bearer"));
        assert_eq!(api.send(request(Some("prov_wrong"))).await.problem().0, 401, "{shown}");
        for role in Role::ALL {
            let status = api.send(request(Some(api.token(*role)))).await.status.as_u16();
            assert_ne!(status, 401, "{shown}");
            assert_eq!(status == 403, !role.allows(endpoint.needs), "{shown} as {role}: {status}");
        }
    }
    let refused = api.anonymous(Method::POST, "/api/v1/stores").bearer_auth(api.token(Role::Editor));
    let refused = api.send(refused).await;
    assert!(refused.body["detail"].as_str().unwrap().contains("`owner` is needed"));
}
