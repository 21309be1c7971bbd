//! Header values, byte for byte.

use std::sync::{Arc, Mutex};

use provisiond::domain::status::ErrorClass;
use provisiond::egress::{Egress, EgressLimits, TargetPolicy};
use provisiond::security::NamedSecret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::server::{Server, answer};
use super::{allow, error_of, fetch, get, header, plain_hosts, session, with_header};

/// Keeps the bytes of what it got, and answers with a header of these bytes.
async fn bytewise(value: &'static [u8]) -> (Server, Arc<Mutex<Vec<u8>>>) {
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = got.clone();
    let server = Server::raw(move |mut stream| {
        let kept = kept.clone();
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            kept.lock().unwrap().clone_from(&head);
            let text = [b"HTTP/1.1 200 OK\r\nx-name: ", value, b"\r\ncontent-length: 0\r\n\r\n"].concat();
            stream.write_all(&text).await.unwrap();
        }
    })
    .await;
    (server, got)
}

#[tokio::test]
async fn a_byte_is_a_character_of_latin_1_both_ways() {
    let (server, got) = bytewise(b"caf\xe9 \xff").await;
    let session = session(&[server.entry()]);
    let response =
        fetch(&session, with_header(get(server.url("/")), "x-name", "J\u{f6}rg \u{ff}")).await.unwrap();
    assert_eq!(header(&response, "x-name"), "caf\u{e9} \u{ff}");
    let got = got.lock().unwrap();
    assert!(
        got.windows(15).any(|bytes| bytes == b"x-name: J\xf6rg \xff\r"),
        "{}",
        String::from_utf8_lossy(&got)
    );
    assert_eq!(session.take_exchanges()[0].request.headers[0].1, "J\u{f6}rg \u{ff}");
}

#[tokio::test]
async fn utf_8_comes_as_its_bytes() {
    let (server, _) = bytewise("é€".as_bytes()).await;
    let response = fetch(&session(&[server.entry()]), get(server.url("/"))).await.unwrap();
    assert_eq!(header(&response, "x-name"), "\u{c3}\u{a9}\u{e2}\u{82}\u{ac}");
}

#[tokio::test]
async fn what_no_byte_stands_for_is_refused() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let error =
        error_of(&session(&[server.entry()]), with_header(get(server.url("/")), "x-name", "5 €")).await;
    assert_eq!(error.class, ErrorClass::Permanent);
    assert_eq!(error.message, "the value of header `x-name` holds a character that may not stand there");
}

/// Secrets are texts: they go out in UTF-8 and are known again when they come back so.
#[tokio::test]
async fn a_secret_beyond_ascii_is_sent_in_utf_8_and_hidden_in_answers() {
    let (server, got) = bytewise("you said clé-privée-€".as_bytes()).await;
    let secrets = vec![NamedSecret::new("key", "clé-privée-€")];
    let policy = TargetPolicy::with_limits(allow(&[server.entry()]), secrets, EgressLimits::default());
    let policy = Arc::new(policy.with_secret_hosts(plain_hosts("key", &[server.entry()])));
    let handle = policy.handles()["key"].clone();
    let session = Egress::new().session(policy);
    let request = with_header(get(server.url("/")), "x-key", &format!("\u{e9} {handle}"));
    let response = fetch(&session, request).await.unwrap();
    assert_eq!(header(&response, "x-name"), format!("you said {handle}"));
    let expected = [b"x-key: \xe9 ", "clé-privée-€".as_bytes()].concat();
    assert!(got.lock().unwrap().windows(expected.len()).any(|bytes| bytes == expected));
}

/// Somebody has to set it again, as after a 401.
#[tokio::test]
async fn a_secret_that_cannot_stand_in_a_header_is_named() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    for (value, why) in [
        ("hunter22\n", "it ends with a line end"),
        ("hunter22\r\n", "it ends with a line end"),
        ("hunter22\nsecond", "it has several lines"),
        ("hunter22\u{1b}", "it holds a control character"),
    ] {
        let secrets = vec![NamedSecret::new("token", value)];
        let policy = TargetPolicy::with_limits(allow(&[server.entry()]), secrets, EgressLimits::default());
        let handle = policy.handles()["token"].clone();
        let session = Egress::new().session(Arc::new(policy));
        let request = with_header(get(server.url("/")), "authorization", &format!("Bearer {handle}"));
        let error = error_of(&session, request).await;
        assert_eq!(error.class, ErrorClass::Auth);
        let expected = format!(
            "secret `token` cannot stand in header `authorization`: {why}; set `connection.secrets.token` again \
             without it"
        );
        assert_eq!(error.message, expected);
        assert_eq!(session.failure(), Some((ErrorClass::Auth, None)));
        assert!(!serde_json::to_string(&session.take_exchanges()).unwrap().contains("hunter22"));
    }
    assert_eq!(server.received().len(), 0);
}
