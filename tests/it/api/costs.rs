//! What a viewer may cost: others are served meanwhile, and nothing goes on that
//! nobody waits for.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use provisiond::api::ApiLimits;
use provisiond::security::Role;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::support::TestApi;
use crate::support::app::{PATIENCE, TestApp};
use crate::support::db::TestDb;

/// Whoever reads subjects from now on waits for ten minutes, unless somebody ends it.
const SLOW: &str = "ALTER TABLE subjects RENAME TO subjects_of_before; \
    CREATE VIEW subjects AS SELECT * FROM subjects_of_before WHERE pg_sleep(600)::text IS NOT NULL";

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(db: &TestDb, query: &str) -> i64 {
    let found: Count = diesel::sql_query(query).get_result(&mut db.connection()).unwrap();
    found.count
}

/// Queries that sleep.
fn sleeping(db: &TestDb) -> i64 {
    let sleeping = "SELECT count(*) AS count FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event = 'PgSleep'";
    count(db, sleeping)
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A store with an account, and a target in it; from now on reading accounts takes
/// ten minutes.
async fn slow_api(longest_read: Duration) -> (TestApi, String) {
    let limits = ApiLimits { longest_read, ..ApiLimits::default() };
    let api = TestApi::with_caps(limits).await.with_store().await;
    api.account(json!({ "userName": "ada" })).await;
    let target = "INSERT INTO targets (store_id, name) SELECT id, 'crm' FROM stores RETURNING id AS count";
    let target = count(&api.db, target).to_string();
    api.db.connection().batch_execute(SLOW).unwrap();
    (api, target)
}

fn preview(api: &TestApi, role: Role, target: &str) -> RequestBuilder {
    let path = format!("/api/v1/targets/{target}/filter/preview");
    api.anonymous(Method::POST, &path).bearer_auth(api.token(role)).json(&json!({ "filter": "title pr" }))
}

#[tokio::test]
async fn abandoned_previews_end_in_the_database_and_others_are_served_meanwhile() {
    let (api, target) = slow_api(Duration::from_secs(600)).await;
    let send = |role| tokio::spawn(preview(&api, role, &target).send());
    let previews: Vec<_> = (0..12).map(|_| send(Role::Viewer)).collect();
    until("a preview to run", || sleeping(&api.db) == 1).await;
    // What the database does for one caller does not keep others from anything.
    api.get("/stores").await.expect(200);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(api.send(api.anonymous(Method::GET, path)).await.status, 200);
    }
    let other = send(Role::Operator);
    until("another caller's preview to run", || sleeping(&api.db) == 2).await;
    api.get("/stores").await.expect(200);
    // Each of them hangs up, those that wait for a turn as well.
    previews.iter().chain([&other]).for_each(|preview| preview.abort());
    until("nothing to run any more", || sleeping(&api.db) == 0).await;
    api.db
        .connection()
        .batch_execute("DROP VIEW subjects; ALTER TABLE subjects_of_before RENAME TO subjects")
        .unwrap();
    let answer = api.send(preview(&api, Role::Viewer, &target)).await;
    assert_eq!(answer.expect(200)["total"], 0);
}

#[tokio::test]
async fn lists_that_nobody_waits_for_end_too() {
    let (api, _) = slow_api(Duration::from_secs(600)).await;
    let list = tokio::spawn(api.request(Method::GET, "/stores/people/accounts").send());
    until("the list to run", || sleeping(&api.db) == 1).await;
    list.abort();
    until("the list to end", || sleeping(&api.db) == 0).await;
}

#[tokio::test]
async fn what_takes_too_long_is_refused_with_what_to_do() {
    let (api, target) = slow_api(Duration::from_millis(100)).await;
    let answer = api.send(preview(&api, Role::Viewer, &target)).await;
    assert_eq!(answer.problem(), (422, "too-dear".into(), String::new()));
    assert!(answer.body["detail"].as_str().unwrap().contains("simpler filter"), "{}", answer.body);
    assert_eq!(api.get("/stores/people/accounts").await.problem().0, 422);
    assert_eq!(sleeping(&api.db), 0);
}

#[tokio::test]
async fn a_caller_that_asks_too_much_at_once_is_sent_away() {
    let (api, target) = slow_api(Duration::from_secs(600)).await;
    let send = || tokio::spawn(preview(&api, Role::Viewer, &target).send());
    let mut previews: Vec<_> = (0..70).map(|_| send()).collect();
    let (first, _, rest) = futures_util::future::select_all(previews.drain(..)).await;
    let answer = first.unwrap().unwrap();
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    rest.iter().for_each(|preview| preview.abort());
}

/// As many comparisons as there may be; half of the accounts match.
fn long_filter() -> String {
    let never = (0..255).map(|number| format!("title eq \"t{number}\" or ")).collect::<String>();
    never + "department eq \"even\""
}

#[tokio::test]
async fn a_long_filter_is_judged_on_a_part_with_a_margin() {
    // However slow the machine is.
    let limits = ApiLimits { longest_read: Duration::from_secs(600), ..ApiLimits::default() };
    let api = TestApi::with_caps(limits).await.with_store().await;
    let target = "INSERT INTO targets (store_id, name) SELECT id, 'crm' FROM stores RETURNING id AS count";
    let path = format!("/targets/{}/filter/preview", count(&api.db, target));
    let accounts = "INSERT INTO subjects (store_id, kind, user_name, display_name, status, attributes) \
        SELECT s.id, 'account', 'u' || n, '', 'active', \
            jsonb_build_object('department', CASE n % 2 WHEN 0 THEN 'even' ELSE 'odd' END) \
        FROM stores s, generate_series(1, 20000) AS n";
    api.db.connection().batch_execute(accounts).unwrap();

    let part = api.post(&path, json!({ "filter": long_filter() })).await.expect(200);
    let (judged, margin) = (part["judged"].as_i64().unwrap(), part["margin"].as_i64().unwrap());
    assert!((1_500..2_500).contains(&judged), "{judged}");
    assert!((1..1_000).contains(&margin), "{margin}");
    assert!((part["total"].as_i64().unwrap() - 10_000).abs() <= margin, "{part}");
    assert!((part["entering"].as_i64().unwrap() - 10_000).abs() <= margin, "{part}");
    assert_eq!((&part["leaving"], part["sample"].as_array().unwrap().len()), (&json!(0), 20));
    for account in part["sample"].as_array().unwrap() {
        assert_eq!(account["attributes"]["department"], "even");
    }
    let all = api.post(&path, json!({ "filter": "department eq \"even\"" })).await.expect(200);
    assert_eq!((&all["total"], &all["judged"], &all["margin"]), (&json!(10_000), &json!(20_000), &json!(0)));
}

/// Accounts of 200 KB each.
fn long_accounts(count: usize) -> String {
    let account = |number| {
        let text = format!("{number}").repeat(200_000 / format!("{number}").len());
        json!({ "userName": format!("u{number}"), "attributes": { "text": text } }).to_string() + "\n"
    };
    (1..=count).map(account).collect()
}

#[tokio::test]
async fn a_page_of_long_items_comes_whole_and_in_order() {
    let api = TestApi::start().await.with_store().await;
    let import =
        api.request(Method::POST, "/stores/people/import").header("content-type", "application/jsonl");
    assert_eq!(api.send(import.body(long_accounts(12))).await.expect(200)["created"], 12);
    let mut path = "/stores/people/accounts?limit=10".to_owned();
    let mut names = Vec::new();
    for (items, more) in [(10, true), (2, false)] {
        let page = api.get(&path).await.expect(200);
        assert_eq!((page["items"].as_array().unwrap().len(), page["next"].is_string()), (items, more));
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["attributes"]["text"].as_str().unwrap().len(), 200_000);
            names.push(item["userName"].as_str().unwrap().to_owned());
        }
        path =
            format!("/stores/people/accounts?limit=10&cursor={}", page["next"].as_str().unwrap_or_default());
    }
    assert_eq!(names, (1..=12).map(|number| format!("u{number}")).collect::<Vec<_>>());
}

/// Memory of the daemon, in KiB.
fn memory(app: &TestApp) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn sixty_pages_that_nobody_reads_are_not_held_in_memory() {
    let app = TestApp::start().await;
    let store = app.store("people").await;
    app.import(&store, "", long_accounts(100)).await;
    let before = memory(&app);
    let head = format!(
        "GET /api/v1/stores/{store}/accounts?limit=500 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        app.token
    );
    let mut unread = Vec::<TcpStream>::new();
    for _ in 0..60 {
        let mut stream = TcpStream::connect(app.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.readable().await.unwrap();
        unread.push(stream);
    }
    // They would be 1.2 GB.
    let grown = memory(&app) - before;
    assert!(grown < 300 * 1024, "{grown} KiB");
    let accounts: Value = app.get(&format!("/stores/{store}/accounts?limit=1")).await;
    assert_eq!(accounts["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_long_bundle_comes_whole() {
    let app = TestApp::start().await;
    app.store("people").await;
    let code = "export default () => ({ status: 'provisioned' });";
    let target = app.disabled_target("people", json!({ "name": "crm" }), code).await;
    // Longer than two parts, and of characters that have two bytes.
    let long = "UPDATE logic_artefacts SET code = repeat('0123456789\u{e9}', 120000)";
    app.db.as_ref().unwrap().connection().batch_execute(long).unwrap();
    let bundle = app.get(&format!("/targets/{}/logic/versions/1/bundle", target.id)).await;
    assert!(bundle.as_str().unwrap() == "0123456789\u{e9}".repeat(120_000));
}
