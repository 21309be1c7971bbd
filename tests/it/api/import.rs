//! Import of JSON lines.

mod feeds;
mod missing;
mod names;
mod returning;
mod set_aside;

use diesel::RunQueryDsl;
use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::{Value, json};

use super::support::{Answer, TestApi};

async fn import(api: &TestApi, query: &str, body: impl Into<Body>) -> Answer {
    let request = api.request(Method::POST, &format!("/stores/people/import{query}"));
    api.send(request.header("content-type", "application/x-ndjson").body(body)).await
}

/// Lines of a file.
fn lines(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// What is said about bad lines, in one text each.
fn reasons(body: &Value) -> Vec<String> {
    let reason = |error: &Value| {
        let text = |name: &str| error[name].as_str().unwrap_or_default();
        format!("{}: {} {}", error["line"], text("field"), text("reason"))
    };
    body["errors"].as_array().unwrap().iter().map(reason).collect()
}

/// The living accounts: external id and user name to id, by name.
async fn accounts(api: &TestApi) -> Vec<(String, String, String)> {
    let list = api.get("/stores/people/accounts?limit=500").await.expect(200);
    let account = |account: &Value| {
        let text = |name: &str| account[name].as_str().unwrap_or("-").to_owned();
        (text("userName"), text("externalId"), text("id"))
    };
    let mut accounts: Vec<_> = list["items"].as_array().unwrap().iter().map(account).collect();
    accounts.sort();
    accounts
}

/// The same without ids, as `name=externalId`.
async fn names(api: &TestApi) -> Vec<String> {
    accounts(api).await.into_iter().map(|(name, external_id, _)| format!("{name}={external_id}")).collect()
}

/// Waits until nothing of what imports noted is left.
async fn until_forgotten(api: &TestApi) {
    let notes = || diesel::sql_query("SELECT FROM import_seen").execute(&mut api.db.connection()).unwrap();
    for _ in 0..200 {
        if notes() == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the notes of an import are still there");
}

fn counts(body: &Value) -> [u64; 6] {
    ["created", "updated", "unchanged", "deleted", "failed", "lines"].map(|name| body[name].as_u64().unwrap())
}

fn people(range: std::ops::Range<usize>) -> String {
    let line = |number| {
        let groups = [format!("Group {}", number % 7), "Everybody".into()];
        json!({
            "userName": format!("user{number}"), "externalId": format!("E{number}"), "groups": groups,
            "organization": format!("Org {}", number % 2), "attributes": {"number": number, "share": 1e2},
        })
    };
    range.map(|number| format!("{}\n", line(number))).collect()
}

#[tokio::test]
async fn lines_are_created_updated_and_left_alone() {
    let api = TestApi::start().await.with_store().await;
    assert_eq!(counts(&import(&api, "", people(0..1_200)).await.expect(200)), [1_200, 0, 0, 0, 0, 1_200]);
    let before = api.written();
    assert_eq!(counts(&import(&api, "", people(0..1_200)).await.expect(200)), [0, 0, 1_200, 0, 0, 1_200]);
    assert_eq!(api.written(), before, "not a version rose");
    let changed = people(0..3).replace("Group 1", "Group 2").replace("\"number\":2", "\"number\":-2");
    let mixed = format!("{changed}{}", people(1_199..1_201));
    assert_eq!(counts(&import(&api, "", mixed).await.expect(200)), [1, 2, 2, 0, 0, 5]);
    let one = api.get("/stores/people/accounts?userName=user1").await.body["items"][0].clone();
    assert_eq!((&one["groups"], &one["version"]), (&json!(["Everybody", "Group 2"]), &json!(2)));
    until_forgotten(&api).await;
}

#[tokio::test]
async fn bad_lines_are_reported_and_do_not_sink_the_others() {
    let api = TestApi::start().await.with_store().await;
    api.account(json!({"userName": "taken", "externalId": "T"})).await;
    let long = format!("{{\"userName\": \"{}\"}}", "x".repeat(1024 * 1024));
    let lines = [
        "\u{feff}{\"userName\": \"a\", \"externalId\": \"1\"}\r",
        "",
        "{",
        "{\"userName\": \"b\", \"nick\": 1}",
        "{\"userName\": \"\\u0000\"}",
        "{\"externalId\": \"2\"}",
        "{\"userName\": \"A\"}",
        "{\"userName\": \"c\", \"externalId\": \"1\"}",
        "{\"userName\": \"TAKEN\", \"externalId\": \"other\"}",
        "{\"userName\": \"d\", \"groups\": [\"4711\"]}",
        "{\"userName\": \"e\", \"attributes\": {\"n\": 1e999}}",
        &long,
        "{\"userName\": \"f\", \"id\": \"3\"}",
        "{\"userName\": \"g\", \"attributes\": {\"n\": 1, \"n\": 2}}",
        "[]",
        "{\"userName\": \"last\"}",
    ];
    let report = import(&api, "", lines.join("\n")).await.expect(200);
    assert_eq!(counts(&report), [3, 0, 0, 0, 12, 15]);
    let errors: Vec<_> = report["errors"].as_array().unwrap().iter().map(Value::to_string).collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[tokio::test]
async fn invalid_utf_8_is_one_bad_line() {
    let api = TestApi::start().await.with_store().await;
    let report =
        import(&api, "", b"{\"userName\": \"\xff\"}\n{\"userName\": \"ok\"}".to_vec()).await.expect(200);
    assert_eq!(counts(&report), [1, 0, 0, 0, 1, 2]);
    assert_eq!(report["errors"][0]["line"], 1);
}

#[tokio::test]
async fn an_account_is_named_once_in_a_file_also_across_batches() {
    let api = TestApi::start().await.with_store().await;
    let file = format!("{}{}", people(0..600), people(3..4));
    let report = import(&api, "", file).await.expect(200);
    assert_eq!(counts(&report), [600, 0, 0, 0, 1, 601]);
    assert_eq!(report["errors"][0]["line"], 601);
}

#[tokio::test]
async fn the_guard_stands_before_deletions() {
    let api = TestApi::start().await.with_store().await;
    import(&api, "", people(0..1_200)).await.expect(200);
    api.post("/stores", json!({"name": "other"})).await.expect(201);
    api.post("/stores/other/accounts", json!({"userName": "bystander"})).await.expect(201);

    let few = import(&api, "?deleteMissing=true", people(60..1_200)).await.expect(200);
    assert_eq!(counts(&few), [0, 0, 1_140, 60, 0, 1_140], "5 % of 1,200");
    let live = api.written()[3];

    let many = import(&api, "?deleteMissing=true", people(200..1_201)).await;
    assert_eq!(many.problem(), (409, "deletion-guard".into(), String::new()));
    assert_eq!((&many.body["missing"], &many.body["allowed"]), (&json!(140), &json!(57)));
    assert_eq!(counts(&many.body["import"]), [1, 0, 1_000, 0, 0, 1_001], "the rows were imported");
    assert_eq!(api.written()[3], live + 1, "and nothing deleted");

    let bad = format!("{}{{\n", people(61..1_201));
    let bad = import(&api, "?deleteMissing=true&confirmDeletions=true", bad).await;
    assert_eq!(bad.problem().1, "deletion-guard");
    assert_eq!(api.written()[3], live + 1);

    let confirmed = import(&api, "?deleteMissing=true&confirmDeletions=true", people(1_000..1_201)).await;
    assert_eq!(counts(&confirmed.expect(200)), [0, 0, 201, 940, 0, 201]);
    let gone = api.get("/stores/people/accounts?userName=user500").await.body["items"].clone();
    assert_eq!(gone, json!([]));
    assert_eq!(api.get("/stores/other/accounts").await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_file_deletes_nobody_unasked() {
    let api = TestApi::start().await.with_store().await;
    import(&api, "", people(0..10)).await.expect(200);
    assert_eq!(import(&api, "?deleteMissing=true", "\n").await.problem().1, "deletion-guard");
    let confirmed = import(&api, "?deleteMissing=true&confirmDeletions=true", "\n").await;
    assert_eq!(counts(&confirmed.expect(200)), [0, 0, 0, 10, 0, 0]);
}

#[tokio::test]
async fn a_connection_that_breaks_deletes_nothing() {
    let api = TestApi::start().await.with_store().await;
    import(&api, "", people(0..30)).await.expect(200);
    let pieces = vec![Ok(people(0..2).into_bytes()), Err(std::io::Error::other("the cable was cut"))];
    let broken = api
        .request(Method::POST, "/stores/people/import?deleteMissing=true")
        .header("content-type", "application/x-ndjson")
        .body(Body::wrap_stream(stream::iter(pieces)));
    broken.send().await.unwrap_err();
    let accounts = api.get("/stores/people/accounts?limit=500").await;
    assert_eq!(accounts.body["items"].as_array().unwrap().len(), 30);
    until_forgotten(&api).await;
}

#[tokio::test]
async fn twenty_thousand_lines_stream_in_small_pieces() {
    let api = TestApi::start().await.with_store().await;
    diesel::sql_query(
        "INSERT INTO targets (store_id, name, enabled, filter) \
         SELECT id, 'hr', true, 'active pr or groups eq \"Everybody\"' FROM stores",
    )
    .execute(&mut api.db.connection())
    .unwrap();
    let file = people(0..20_000).into_bytes();
    let pieces: Vec<_> = file.chunks(7_001).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let begun = std::time::Instant::now();
    let report = import(&api, "", Body::wrap_stream(stream::iter(pieces))).await.expect(200);
    assert_eq!(counts(&report), [20_000, 0, 0, 0, 0, 20_000]);
    println!("{:.0} lines/s created", 20_000.0 / begun.elapsed().as_secs_f64());
    assert_eq!(api.written()[5], 20_000, "all due");
    let begun = std::time::Instant::now();
    assert_eq!(counts(&import(&api, "", file).await.expect(200))[2], 20_000);
    println!("{:.0} lines/s unchanged", 20_000.0 / begun.elapsed().as_secs_f64());
}
