//! Servers that do not end, do not begin or do not stop.

use std::sync::Arc;
use std::time::Duration;

use provisiond::domain::status::ErrorClass;
use provisiond::egress::EgressLimits;
use tokio::io::{AsyncWriteExt as _, BufReader};

use super::server::{Server, answer, read_request};
use super::{error_of, fetch, get, post, quick, session, session_with};

/// Writes `start`, then `more` again and again with a pause, until the client goes.
async fn dripping(start: &'static str, more: impl Into<Vec<u8>>, pause: Duration) -> Server {
    let more: Arc<[u8]> = more.into().into();
    Server::raw(move |stream| {
        let more = more.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_request(&mut stream).await;
            let mut stream = stream.into_inner();
            stream.write_all(start.as_bytes()).await.unwrap();
            while stream.write_all(&more).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let limits = EgressLimits { response_body: 1 << 20, ..EgressLimits::default() };
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk: &[u8] = b"8\r\nabcdefgh\r\n";
    for (start, more) in [(chunked, chunk.repeat(5000)), ("HTTP/1.1 200 OK\r\n\r\n", chunk.repeat(5000))] {
        let server = dripping(start, more, Duration::ZERO).await;
        let (session, _) = session_with(&[server.entry()], limits.clone());
        let error = error_of(&session, get(server.url("/"))).await;
        assert_eq!(error.class, ErrorClass::Permanent);
        assert!(error.message.ends_with("is larger than 1048576 bytes"), "{error}");
    }
}

#[tokio::test]
async fn an_announced_body_that_is_too_long_is_not_read() {
    let server =
        dripping("HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n", b"", Duration::from_secs(9)).await;
    let error = error_of(&session(&[server.entry()]), get(server.url("/"))).await;
    assert!(error.message.ends_with("is larger than 10485760 bytes"), "{error}");
}

#[tokio::test]
async fn a_drip_ends_at_the_timeout() {
    let starts = ["HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", "HTTP/1.1 200 OK\r\nx: "];
    for start in starts {
        let server = dripping(start, b"x", Duration::from_millis(20)).await;
        let (session, _) = session_with(&[server.entry()], quick());
        let error = error_of(&session, get(server.url("/"))).await;
        assert_eq!(error.class, ErrorClass::Transient);
        assert!(error.message.ends_with("did not answer completely within 0.4 s"), "{error}");
        assert_eq!(session.failure(), Some((ErrorClass::Transient, None)));
    }
}

#[tokio::test]
async fn resets_and_half_answers_are_transient() {
    let closes = Server::raw(|stream| async move { drop(stream) }).await;
    let halves = Server::raw(|stream| async move {
        let mut stream = BufReader::new(stream);
        read_request(&mut stream).await;
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
    })
    .await;
    let babbles = Server::raw(|mut stream| async move {
        let _ = stream.write_all(b"220 smtp ready\r\n").await;
    })
    .await;
    for server in [closes, halves, babbles] {
        let session = session(&[server.entry()]);
        let error = error_of(&session, get(server.url("/"))).await;
        assert_eq!(error.class, ErrorClass::Transient, "{error}");
        assert!(error.message.starts_with("the connection to `127.0.0.1:"), "{error}");
    }
}

#[tokio::test]
async fn refused_connections_and_bad_tls_are_transient() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = error_of(&session(&[closed.to_string()]), get(format!("http://{closed}/"))).await;
    assert_eq!(error.class, ErrorClass::Transient);
    assert!(
        error.message.starts_with(&format!("cannot connect to `{closed}`: Connection refused")),
        "{error}"
    );

    let plain = Server::raw(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let error = error_of(&session(&[plain.entry()]), get(plain.url("/").replace("http", "https"))).await;
    assert_eq!(error.class, ErrorClass::Transient);
    assert!(error.message.starts_with("cannot connect to `127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn huge_headers_are_refused_by_the_class_of_their_status() {
    let one = format!("x: {}\r\n", "a".repeat(70_000));
    let many: String = (0..101).map(|number| format!("x-{number}: a\r\n")).collect();
    let endless = format!("x: {}\r\n", "a".repeat(2_000_000));
    let too_long = "the answer has more than 65536 bytes of header fields";
    for (status, fields, words, class) in [
        ("200 OK", &one, too_long, ErrorClass::Permanent),
        ("503 Busy", &one, too_long, ErrorClass::Transient),
        ("200 OK", &many, "the answer has more than 100 header fields", ErrorClass::Permanent),
        ("429 Busy", &many, "the answer has more than 100 header fields", ErrorClass::RateLimited),
        // Not even its status is known.
        ("200 OK", &endless, "message head is too large", ErrorClass::Transient),
    ] {
        let fields = format!("retry-after: 7\r\n{fields}");
        let server = Server::start(move |_| answer(status, &fields, "")).await;
        let session = session(&[server.entry()]);
        let error = error_of(&session, get(server.url("/"))).await;
        assert!(error.message.ends_with(words), "{error}");
        assert_eq!(error.class, class, "{status} {words}");
        let wait = (class == ErrorClass::RateLimited).then_some(Duration::from_secs(7));
        assert!(wait.is_none_or(|wait| session.failure() == Some((class, Some(wait)))));
    }
}

#[tokio::test]
async fn requests_have_limits_too() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let (session, _) =
        session_with(&[server.entry()], EgressLimits { request_body: 3, ..EgressLimits::default() });
    let error = error_of(&session, post(server.url("/"), "text/plain", "four")).await;
    assert_eq!(error.message, "the request body is larger than 3 bytes");
    let mut request = get(server.url("/"));
    request.headers = (0..101).map(|number| (format!("x-{number}"), String::new())).collect();
    assert_eq!(error_of(&session, request).await.message, "the request has more than 100 header fields");
    let request = get(server.url(&format!("/?{}", "x".repeat(65_536))));
    assert_eq!(error_of(&session, request).await.message, "the address is longer than 65536 bytes");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_is_refused_can_be_logged() {
    let session = session(&["127.0.0.1".to_owned()]);
    let mut request = super::with_header(get("http://127.0.0.1/\0"), "x\0", &"\0".repeat(1 << 20));
    request.method = "GE\0T".to_owned();
    let error = error_of(&session, request).await;
    let log = serde_json::to_string(&session.take_exchanges()).unwrap();
    assert!(!error.message.contains('\0') && !log.contains("\\u0000"), "{error}");
    assert!(log.len() < 20_000, "{} bytes", log.len());
}

#[tokio::test]
async fn retry_after_is_read_in_every_form() {
    let in_an_hour = chrono::Utc::now() + chrono::Duration::hours(1);
    let date = |form| in_an_hour.format(form).to_string();
    for (value, from, to) in [
        ("120".to_owned(), 120, 120),
        ("299.997".to_owned(), 300, 300),
        ("-5".to_owned(), 0, 0),
        ("soon".to_owned(), 60, 60),
        ("1e12".to_owned(), 604_800, 604_800),
        ("7\r\nretry-after: 9".to_owned(), 9, 9),
        (date("%a, %d %b %Y %H:%M:%S GMT"), 3_500, 3_600),
        (date("%A, %d-%b-%y %H:%M:%S GMT"), 3_500, 3_600),
        (date("%a %b %e %H:%M:%S %Y"), 3_500, 3_600),
    ] {
        let server =
            Server::start(move |_| answer("429 Too Many Requests", &format!("retry-after: {value}\r\n"), ""))
                .await;
        let session = session(&[server.entry()]);
        assert_eq!(fetch(&session, get(server.url("/"))).await.unwrap().status, 429);
        let (class, wait) = session.failure().unwrap();
        assert_eq!(class, ErrorClass::RateLimited);
        assert!((from..=to).contains(&wait.unwrap().as_secs()), "{wait:?}");
        let exchange = &session.take_exchanges()[0];
        assert_eq!(exchange.error_class, Some(ErrorClass::RateLimited));
        assert_eq!(exchange.retry_after, wait.map(|wait| wait.as_secs()));
    }
}

#[tokio::test]
async fn a_dropped_call_is_on_record() {
    let server = dripping("HTTP/1.1 200 OK\r\n", b"", Duration::from_secs(9)).await;
    let session = session(&[server.entry()]);
    let call = fetch(&session, get(server.url("/")));
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    let exchanges = session.take_exchanges();
    assert_eq!(exchanges[0].error.as_deref(), Some("abandoned: the run ended before there was an answer"));
    assert_eq!(session.failure(), Some((ErrorClass::Transient, None)));
}
