//! Whatever a client sends, the answer is a 4xx that names the fault, and
//! nothing is written.

use reqwest::Method;
use serde_json::json;

use super::support::TestApi;

const JSON: &str = "application/json";

struct Case {
    method: Method,
    path: &'static str,
    media_type: &'static str,
    body: Vec<u8>,
    status: u16,
    field: &'static str,
}

fn case(
    method: Method,
    path: &'static str,
    body: impl Into<Vec<u8>>,
    status: u16,
    field: &'static str,
) -> Case {
    Case { method, path, media_type: JSON, body: body.into(), status, field }
}

fn nested(depth: usize) -> String {
    format!(r#"{{"userName": "x", "attributes": {{"a": {}1{}}}}}"#, "[".repeat(depth), "]".repeat(depth))
}

/// Bodies that no account may be made of.
fn accounts() -> Vec<Case> {
    let long = format!(r#"{{"userName": "{}"}}"#, "x".repeat(257));
    let wide = format!(r#"{{"userName": "x", "attributes": {{"a": "{}"}}}}"#, "x".repeat(300_000));
    let many: Vec<String> = (0..1_001).map(|number| format!("g{number}")).collect();
    let bodies: Vec<(Vec<u8>, u16, &'static str)> = vec![
        (b"".into(), 400, ""),
        (b"{".into(), 400, ""),
        (b"\xff\xfe".into(), 400, ""),
        (b"{\"userName\": \"\xc3\x28\"}".into(), 400, ""),
        (br#"{"userName": "x"} {}"#.into(), 400, ""),
        (br#"{"userName": "x", "userName": "y"}"#.into(), 400, ""),
        (br#"{"userName": "x", "attributes": {"a": 1, "a": 2}}"#.into(), 400, ""),
        (br#"{"userName": "x", "attributes": {"a": 1e400}}"#.into(), 400, ""),
        (br#"{"userName": "x", "attributes": {"a": NaN}}"#.into(), 400, ""),
        (br#"{"userName": "\ud800"}"#.into(), 400, ""),
        (nested(5_000).into(), 400, ""),
        (
            nested(60).into(),
            422,
            "attributes.a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]",
        ),
        (br#"{"userName": "x", "attributes": {"a": {"b": [1e300]}}}"#.into(), 422, "attributes.a.b[0]"),
        (br#"{"userName": "x", "attributes": {"a": 9007199254740993}}"#.into(), 422, "attributes.a"),
        (br#"{"userName": "x", "attributes": {"a": "\u0000"}}"#.into(), 422, "attributes.a"),
        (br#"{"userName": "x", "attributes": {"a\u0000": 1}}"#.into(), 422, "attributes"),
        (br#"{"userName": "x", "attributes": []}"#.into(), 422, "attributes"),
        (br#"{"userName": "x", "attribute": {}}"#.into(), 422, "attribute"),
        (br#"{"userName": "x", "id": "1"}"#.into(), 422, "id"),
        (br#"{"userName": "x", "status": "gone"}"#.into(), 422, "status"),
        (br#"{"userName": "x", "groups": "Sales"}"#.into(), 422, "groups"),
        (br#"{"userName": "x", "groups": ["Sales", 3]}"#.into(), 422, "groups[1]"),
        (br#"{"userName": "x", "groups": ["\u0000"]}"#.into(), 422, "groups"),
        (br#"{"userName": "x", "groups": [""]}"#.into(), 422, "groups"),
        (br#"{"userName": "x", "deletedAt": null, "version": 1}"#.into(), 422, "version"),
        (json!({"userName": "x", "groups": many}).to_string().into(), 422, "groups"),
        (br#"{"userName": 3}"#.into(), 422, "userName"),
        (br#"{"userName": null}"#.into(), 422, "userName"),
        (br#"{"userName": "x\u0000"}"#.into(), 422, "userName"),
        (br#"{"userName": " x"}"#.into(), 422, "userName"),
        (br#"{}"#.into(), 422, "userName"),
        (br#"[]"#.into(), 422, ""),
        (br#""text""#.into(), 422, ""),
        (br#"null"#.into(), 422, ""),
        (long.into(), 422, "userName"),
        (wide.into(), 422, "attributes"),
    ];
    bodies
        .into_iter()
        .map(|(body, status, field)| case(Method::POST, "/stores/people/accounts", body, status, field))
        .collect()
}

fn others() -> Vec<Case> {
    let (get, post, put, patch) = (Method::GET, Method::POST, Method::PUT, Method::PATCH);
    vec![
        case(post.clone(), "/stores", r#"{"name": "12"}"#, 422, "name"),
        case(post.clone(), "/stores", r#"{"name": "a/b"}"#, 422, "name"),
        case(post.clone(), "/stores", r#"{"name": "a\u0000"}"#, 422, "name"),
        case(post.clone(), "/stores", r#"{"name": "a", "x": 1}"#, 422, "x"),
        case(post.clone(), "/stores", r#"{}"#, 422, "name"),
        case(post.clone(), "/stores/nowhere/accounts", r#"{"userName": "x"}"#, 404, ""),
        case(post.clone(), "/stores/%00/accounts", r#"{"userName": "x"}"#, 404, ""),
        case(post.clone(), "/stores/%ff/accounts", r#"{"userName": "x"}"#, 404, ""),
        case(get.clone(), "/stores/999999999999999999999999", "", 404, ""),
        case(get.clone(), "/accounts/abc", "", 404, ""),
        case(get.clone(), "/accounts/-1", "", 404, ""),
        case(get.clone(), "/accounts/99999999999999999999", "", 404, ""),
        case(get.clone(), "/accounts/4242", "", 404, ""),
        case(get.clone(), "/groups/1/members/x/y", "", 404, ""),
        case(get.clone(), "/stores/people/accounts?limit=0", "", 400, "limit"),
        case(get.clone(), "/stores/people/accounts?limit=501", "", 400, "limit"),
        case(get.clone(), "/stores/people/accounts?limit=x", "", 400, "limit"),
        case(get.clone(), "/stores/people/accounts?cursor=!", "", 400, "cursor"),
        case(get.clone(), "/stores/people/accounts?cursor=YWJj", "", 400, "cursor"),
        case(get.clone(), "/stores/people/accounts?page=2", "", 400, "page"),
        case(get.clone(), "/stores/people/accounts?limit=1&limit=2", "", 400, "limit"),
        case(get.clone(), "/stores/people/accounts?userName=%00", "", 400, ""),
        case(get.clone(), "/stores/people/accounts?filter=level%20gt", "", 400, "filter"),
        case(get.clone(), "/stores/people/accounts?filter=a%20eq%20%22%5Cu0000%22", "", 400, "filter"),
        case(
            get.clone(),
            "/stores/people/accounts?filter=createdAt%20gt%20%220000-01-01%22",
            "",
            400,
            "filter",
        ),
        case(get.clone(), "/stores?filter=x", "", 400, "filter"),
        case(get.clone(), "/stores/people/accounts?deleted=no", "", 400, "deleted"),
        case(get.clone(), "/stores/people/groups?deleted=", "", 400, "deleted"),
        case(get, "/tokens?cursor=", "", 400, "cursor"),
        case(post.clone(), "/subjects/4242/restore", "{}", 404, ""),
        case(post.clone(), "/subjects/x/restore", "{}", 404, ""),
        case(patch.clone(), "/stores/people", r#"{"restoreOnReturn": 1}"#, 422, "restoreOnReturn"),
        case(patch.clone(), "/stores/people", r#"{"name": "x"}"#, 422, "name"),
        case(patch.clone(), "/stores/nowhere", r#"{"restoreOnReturn": true}"#, 404, ""),
        case(put.clone(), "/accounts/1", r#"{"userName": ""}"#, 422, "userName"),
        case(put, "/accounts/1", r#"{"nope": ""}"#, 422, "nope"),
        case(patch.clone(), "/accounts/1", "[]", 422, ""),
        case(patch.clone(), "/accounts/1", r#"{"userName": null}"#, 422, "userName"),
        case(patch.clone(), "/accounts/1", r#"{"attributes": {"x": "\u0000"}}"#, 422, "attributes.x"),
        case(patch.clone(), "/accounts/1", r#"{"id": "2"}"#, 422, "id"),
        case(patch, "/groups/1", r#"{"displayName": "x"}"#, 404, ""),
        case(post.clone(), "/stores/people/groups", r#"{}"#, 422, "displayName"),
        case(
            post.clone(),
            "/stores/people/groups",
            r#"{"displayName": "x", "userName": "y"}"#,
            422,
            "userName",
        ),
        case(
            post.clone(),
            "/stores/people/groups",
            r#"{"displayName": "x", "members": ["who"]}"#,
            422,
            "members",
        ),
        case(
            post.clone(),
            "/stores/people/groups",
            r#"{"displayName": "x", "members": ["a\u0000"]}"#,
            422,
            "members",
        ),
        case(post.clone(), "/tokens", r#"{"name": "x", "role": "king"}"#, 422, "role"),
        case(post.clone(), "/tokens", r#"{"name": "\u0000", "role": "viewer"}"#, 422, "name"),
        case(
            post.clone(),
            "/tokens",
            r#"{"name": "x", "role": "viewer", "expiresAt": "soon"}"#,
            422,
            "expiresAt",
        ),
        case(
            post.clone(),
            "/tokens",
            r#"{"name": "x", "role": "viewer", "expiresAt": "2001-01-01T00:00:00Z"}"#,
            422,
            "expiresAt",
        ),
        case(
            post.clone(),
            "/tokens",
            r#"{"name": "x", "role": "viewer", "expiresAt": "+10000-01-01T00:00:00Z"}"#,
            422,
            "expiresAt",
        ),
        case(post.clone(), "/stores/people/import?deleteMissing=yes", "", 400, "deleteMissing"),
        case(post.clone(), "/stores/people/import", "{}", 415, ""),
        Case { media_type: "text/plain", ..case(post.clone(), "/stores", r#"{"name": "x"}"#, 415, "") },
        Case {
            media_type: "application/json; charset=latin1",
            ..case(post, "/stores", r#"{"name": "x"}"#, 415, "")
        },
    ]
}

#[tokio::test]
async fn every_mistake_is_a_4xx_that_names_it_and_writes_nothing() {
    let api = TestApi::start().await.with_store().await;
    assert_eq!(api.account(json!({"userName": "ada"})).await, "1");
    let before = api.written();
    for case in accounts().into_iter().chain(others()) {
        let shown = format!("{} {} {}", case.method, case.path, show(&case.body));
        let mut request = api.request(case.method, case.path);
        if !case.body.is_empty() || case.path.ends_with("/accounts") {
            request = request.header("content-type", case.media_type).body(case.body);
        }
        let answer = api.send(request).await;
        let (status, _, field) = answer.problem();
        assert_eq!((status, field.as_str()), (case.status, case.field), "{shown}: {}", answer.body);
        assert!(!answer.body["detail"].as_str().unwrap().is_empty());
        assert_eq!(api.written(), before, "{shown}");
    }
}

fn show(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(120).collect()
}
