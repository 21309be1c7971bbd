//! Answers that say that they are packed.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use provisiond::domain::status::ErrorClass;
use provisiond::egress::EgressLimits;
use tokio::io::{AsyncWriteExt as _, BufReader};

use super::server::{Server, answer, read_request};
use super::{SECRET, error_of, fetch, get, header, session, session_with};

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Answers with these bytes.
async fn bytes(status: &'static str, fields: &'static str, body: Vec<u8>) -> Server {
    let head = format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n", body.len());
    let text = [head.into_bytes(), body].concat();
    Server::raw(move |stream| {
        let text = text.clone();
        async move {
            let mut stream = BufReader::new(stream);
            while read_request(&mut stream).await.is_some() {
                if stream.get_mut().write_all(&text).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn no_packing_is_asked_for() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let request = super::with_header(get(server.url("/")), "accept-encoding", "br");
    fetch(&session(&[server.entry()]), request).await.unwrap();
    assert_eq!(server.received()[0].header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn the_status_decides_whatever_the_label_says() {
    for label in [
        "",
        "identity",
        "Identity",
        "UTF-8",
        "none",
        "nonsense",
        "br",
        "deflate",
        "zstd",
        "gzip",
        "aws-chunked",
    ] {
        for (status, class) in [
            ("200 OK", None),
            ("204 No Content", None),
            ("401 -", Some(ErrorClass::Auth)),
            ("404 -", Some(ErrorClass::Permanent)),
            ("429 -", Some(ErrorClass::RateLimited)),
            ("503 -", Some(ErrorClass::Transient)),
        ] {
            let body = if status.starts_with("204") { "" } else { "as it came" };
            let fields = format!("content-encoding: {label}\r\n");
            let server = Server::start(move |_| answer(status, &fields, body)).await;
            let session = session(&[server.entry()]);
            let response = fetch(&session, get(server.url("/"))).await.unwrap();
            assert_eq!(&response.body[..], body.as_bytes(), "{label} {status}");
            assert_eq!(session.failure().map(|(class, _)| class), class, "{label} {status}");
        }
    }
}

#[tokio::test]
async fn gzip_is_unpacked_though_it_was_not_asked_for() {
    let text = format!(r#"{{"echo":"{}"}}"#, SECRET.replace('"', "\\\""));
    for status in ["200 OK", "422 -"] {
        let server = bytes(status, "content-encoding: GZIP\r\n", packed(text.as_bytes())).await;
        let (session, policy) = session_with(&[server.entry()], EgressLimits::default());
        let response = fetch(&session, get(server.url("/"))).await.unwrap();
        let expected = format!(r#"{{"echo":"{}"}}"#, policy.handles()["token"]);
        assert_eq!(String::from_utf8_lossy(&response.body), expected, "secrets are found in it");
        assert_eq!(header(&response, "content-encoding"), "GZIP");
        let logged = session.take_exchanges().remove(0).response.unwrap().body.unwrap();
        assert_eq!(logged, r#"{"echo":"[secret:token]"}"#);
    }
}

#[tokio::test]
async fn gzip_has_the_limit_of_every_body_and_the_class_of_its_status() {
    let limits = EgressLimits { response_body: 100_000, ..EgressLimits::default() };
    let bomb = packed(&vec![b'x'; 50_000_000]);
    let cut = packed(b"some text that is long enough to be cut")[..20].to_vec();
    for (status, body, class, words) in [
        ("200 OK", &bomb, ErrorClass::Permanent, "is larger than 100000 bytes"),
        ("503 -", &bomb, ErrorClass::Transient, "is larger than 100000 bytes"),
        ("200 OK", &cut, ErrorClass::Transient, "is a damaged one"),
        ("400 -", &cut, ErrorClass::Permanent, "is a damaged one"),
    ] {
        let server = bytes(status, "content-encoding: gzip\r\n", body.clone()).await;
        let (session, _) = session_with(&[server.entry()], limits.clone());
        let error = error_of(&session, get(server.url("/"))).await;
        assert_eq!(error.class, class, "{error}");
        assert!(error.message.ends_with(words), "{error}");
    }
}

#[tokio::test]
async fn a_large_answer_has_the_class_of_its_status() {
    for (status, class, wait) in [
        ("200 OK", ErrorClass::Permanent, None),
        ("503 -", ErrorClass::Transient, Some(Duration::from_secs(8))),
        ("429 -", ErrorClass::RateLimited, Some(Duration::from_secs(8))),
        ("403 -", ErrorClass::Auth, Some(Duration::from_secs(8))),
    ] {
        let limits = EgressLimits { response_body: 1_000, ..EgressLimits::default() };
        let announced = bytes(status, "retry-after: 8\r\n", vec![b'x'; 2_000]).await;
        let chunk = format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2_000));
        let head = format!("HTTP/1.1 {status}\r\nretry-after: 8\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunked = Server::start(move |_| format!("{head}{chunk}")).await;
        for server in [announced, chunked] {
            let (session, _) = session_with(&[server.entry()], limits.clone());
            let error = error_of(&session, get(server.url("/"))).await;
            assert_eq!((error.class, error.retry_after), (class, wait), "{error}");
            assert_eq!(session.failure(), Some((class, wait)));
        }
    }
}
