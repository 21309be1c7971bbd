//! Connections that go wrong: each is closed when its time is over, one at a
//! time and without a token.

use std::time::Duration;

use provisiond::http::server::ServerLimits;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::support::{LIMITS, TestApi};
use crate::support::app::PATIENCE;

/// Soon, as far as the test is concerned.
const SOON: Duration = Duration::from_millis(300);

async fn connect(api: &TestApi) -> TcpStream {
    TcpStream::connect(api.url.trim_start_matches("http://")).await.unwrap()
}

/// What comes before the server closes the connection, which it does in time.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    // A reset is an end as well.
    _ = read.expect("the connection stays open");
    String::from_utf8_lossy(&heard).into_owned()
}

/// What comes behind a request, without more being sent.
async fn answer_to(api: &TestApi, request: &str) -> String {
    let mut stream = connect(api).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    until_closed(&mut stream).await
}

fn authorized(api: &TestApi, head: &str) -> String {
    let token = api.token(provisiond::security::Role::Owner);
    head.replace("\r\n\r\n", &format!("\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"))
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_the_last_of_its_connection() {
    // Nothing but the answer to an unread body ends these.
    let api = TestApi::start().await.with_store().await;
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", "200"),
        ("POST /healthz HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", "405"),
        ("POST /nowhere HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", "404"),
        ("POST /api/v1/stores HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", "401"),
        ("POST /api/v1/stores HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n", "401"),
        (
            "POST /api/v1/stores HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "401",
        ),
    ] {
        let answer = answer_to(&api, head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
        assert!(answer.contains("connection: close"), "{head}: {answer}");
    }
    for (head, status) in [
        ("POST /api/v1/stores HTTP/1.1\r\ncontent-type: text/x\r\ntransfer-encoding: chunked\r\n\r\n", "415"),
        ("DELETE /api/v1/stores HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", "405"),
        (
            "POST /api/v1/stores HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n",
            "413",
        ),
    ] {
        let answer = answer_to(&api, &authorized(&api, head)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer}");
        assert!(answer.contains("connection: close"), "{head}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_was_read_leaves_its_connection_open() {
    let api = TestApi::start().await;
    let mut stream = connect(&api).await;
    for name in ["one", "two", "three"] {
        let body = json!({ "name": name }).to_string();
        let head = format!(
            "POST /api/v1/stores HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((authorized(&api, &head) + &body).as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn heads_that_do_not_come_end_the_connection() {
    let api = TestApi::with_limits(ServerLimits { head: SOON, ..LIMITS }).await;
    for sent in ["", "GET /healthz", "GET /healthz HTTP/1.1\r\nhost: x\r\n"] {
        assert_eq!(answer_to(&api, sent).await, "", "{sent:?}");
    }
    // Neither the first request of a connection nor slow drops change that.
    let mut stream = connect(&api).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let length = timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    stream.write_all(b"GET /he").await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
    let mut stream = connect(&api).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    let ended = timeout(PATIENCE, async {
        while stream.write_all(b"a: b\r\n").await.is_ok() {
            tokio::time::sleep(SOON / 10).await;
        }
    });
    ended.await.expect("drops of a head keep a connection open");
}

#[tokio::test]
async fn an_idle_connection_ends() {
    let api = TestApi::with_limits(ServerLimits { idle: SOON, ..LIMITS }).await;
    let mut stream = connect(&api).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut stream).await.ends_with("ok\n"));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_408_and_the_end() {
    let api = TestApi::with_limits(ServerLimits { body: SOON, ..LIMITS }).await.with_store().await;
    for head in [
        "POST /api/v1/stores HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 30\r\n\r\n",
        "POST /api/v1/stores/people/import HTTP/1.1\r\ncontent-type: application/x-ndjson\r\n\
         transfer-encoding: chunked\r\n\r\n",
    ] {
        let answer = answer_to(&api, &authorized(&api, head)).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{head}: {answer}");
        assert!(answer.contains("server.bodyTimeout"), "{answer}");
    }
    assert_eq!(api.get("/stores").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

/// An import may take as long as it likes, if something comes now and then.
#[tokio::test]
async fn a_body_that_keeps_coming_is_read_however_long_it_takes() {
    let api = TestApi::with_limits(ServerLimits { body: Duration::from_secs(5), ..LIMITS }).await;
    let api = api.with_store().await;
    let mut stream = connect(&api).await;
    let head = "POST /api/v1/stores/people/import HTTP/1.1\r\ncontent-type: application/x-ndjson\r\n\
        transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    stream.write_all(authorized(&api, head).as_bytes()).await.unwrap();
    for number in 0..30 {
        let line = format!("{{\"userName\": \"u{number}\", \"displayName\": \"{:0200}\"}}\n", 1);
        stream.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"created\":30"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_not_taken_ends_the_connection() {
    let api = TestApi::with_limits(ServerLimits { write: SOON, ..LIMITS }).await.with_store().await;
    // More than the system takes for a client that reads nothing.
    let text = "x".repeat(250_000);
    let line =
        |number| json!({ "userName": format!("u{number}"), "attributes": { "text": text } }).to_string();
    let lines = (0..100).map(line).collect::<Vec<_>>().join("\n");
    let import = api.request(reqwest::Method::POST, "/stores/people/import");
    let import = import.header("content-type", "application/jsonl").body(lines);
    assert_eq!(api.send(import).await.expect(200)["created"], 100);
    let mut stream = connect(&api).await;
    let head = "GET /api/v1/stores/people/accounts?limit=500 HTTP/1.1\r\n\r\n";
    stream.write_all(authorized(&api, head).as_bytes()).await.unwrap();
    // Nothing is read until the server has closed: writing to it fails then.
    let ended = timeout(PATIENCE, async {
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(SOON / 10).await;
        }
    });
    ended.await.expect("an answer that nobody reads is kept");
    let answer = until_closed(&mut stream).await;
    assert!(answer.len() < 25_000_000, "{}", answer.len());
}

/// Connections of those who are known are not closed for strangers.
#[tokio::test]
async fn strangers_make_room_for_each_other() {
    let api = TestApi::with_limits(ServerLimits { connections: 4, ..LIMITS }).await;
    api.get("/stores").await.expect(200);
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(connect(&api).await);
        api.get("/stores").await.expect(200);
    }
    // No deadline is over: these were closed for those that came later.
    for stranger in &mut strangers[..16] {
        assert_eq!(until_closed(stranger).await, "");
    }
}
