//! Redirects, hop by hop.

use provisiond::domain::host_call::{FetchRequest, Redirect};
use provisiond::domain::status::ErrorClass;

use super::server::{Server, answer};
use super::{error_of, fetch, get, header, post, session, with_header};

async fn redirecting(to: impl Into<String>) -> Server {
    let to = to.into();
    Server::start(move |request| match request.path() {
        "/end" => answer("200 OK", "", "end"),
        _ => answer("302 Found", &format!("location: {to}\r\n"), "moved"),
    })
    .await
}

#[tokio::test]
async fn a_redirect_inside_is_refused() {
    const NOT_NAMED: &str = "`egressAllow` of the target does not name it";
    const SPECIAL: &str = "a link-local, metadata, multicast or unspecified address";
    for (to, refusal) in [
        ("http://169.254.169.254/latest/meta-data", SPECIAL),
        ("http://[::ffff:169.254.169.254]/", SPECIAL),
        ("http://10.0.0.1/", NOT_NAMED),
        ("http://evil.example/", NOT_NAMED),
    ] {
        let server = redirecting(to).await;
        let session = session(&[server.entry()]);
        let error = error_of(&session, get(server.url("/start"))).await;
        assert_eq!(error.class, ErrorClass::Permanent, "{error}");
        assert!(error.message.starts_with("a redirect was not followed: `"), "{error}");
        assert!(error.message.contains(refusal), "{error}");
        let exchanges = session.take_exchanges();
        assert_eq!(exchanges.len(), 2, "the hop and the refusal");
        assert_eq!(exchanges[0].response.as_ref().unwrap().status, 302);
        assert_eq!(exchanges[1].error.as_deref(), Some(error.message.as_str()));
        assert_eq!(session.failure(), Some((ErrorClass::Permanent, None)));
    }
}

#[tokio::test]
async fn a_relative_redirect_is_followed_on_the_same_connection() {
    let server = redirecting("/end").await;
    let session = session(&[server.entry()]);
    let response =
        fetch(&session, with_header(get(server.url("/start#x")), "authorization", "Bearer a")).await.unwrap();
    assert_eq!((response.status, response.redirected, &response.body[..]), (200, true, &b"end"[..]));
    assert_eq!(response.url, server.url("/end"));
    assert_eq!(server.received()[1].header("authorization"), Some("Bearer a"));
    assert_eq!(server.connections(), 1);
    assert_eq!(session.failure(), None);
}

#[tokio::test]
async fn credentials_are_dropped_at_another_origin() {
    let other = redirecting("/end").await;
    let server = redirecting(other.url("/end")).await;
    let session = session(&[server.entry(), other.entry()]);
    let request =
        with_header(with_header(get(server.url("/")), "authorization", "Bearer a"), "cookie", "b=c");
    let response = fetch(&session, with_header(request, "x-trace", "1")).await.unwrap();
    assert_eq!(response.status, 200);
    let got = &other.received()[0];
    assert_eq!(
        (got.header("authorization"), got.header("cookie"), got.header("x-trace")),
        (None, None, Some("1"))
    );
    let shown = &session.take_exchanges()[1].request;
    assert_eq!(shown.url, other.url("/end"));
    assert_eq!(shown.headers, [("x-trace".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn a_post_becomes_a_get_when_logic_says_so() {
    let server = redirecting("/end").await;
    let session = session(&[server.entry()]);
    fetch(&session, post(server.url("/"), "text/plain", "body")).await.unwrap();
    let got = &server.received()[1];
    assert_eq!((got.method(), got.body.as_str(), got.header("content-type")), ("GET", "", None));
}

#[tokio::test]
async fn a_write_is_not_sent_on_without_a_word() {
    for status in ["301 Moved Permanently", "302 Found", "303 See Other"] {
        let server = Server::start(move |_| answer(status, "location: /end?token=abc\r\n", "moved")).await;
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let session = session(&[server.entry()]);
            let body = post(server.url("/"), "text/plain", "body");
            let request = FetchRequest { method: method.to_owned(), redirect: Redirect::Unsaid, ..body };
            let before = server.received().len();
            let error = error_of(&session, request).await;
            assert_eq!(error.class, ErrorClass::Permanent, "{error}");
            let start =
                format!("a redirect was not followed: the {method} was answered with {}", &status[..3]);
            assert!(error.message.starts_with(&start), "{error}");
            assert!(error.message.contains("say `redirect: \"follow\"`"), "{error}");
            assert!(!error.message.contains("abc"), "{error}");
            assert_eq!(server.received().len(), before + 1, "nothing was asked after it");
            let exchanges = session.take_exchanges();
            assert_eq!(
                exchanges[0].response.as_ref().map(|response| response.body.as_deref()),
                Some(Some("moved"))
            );
            assert_eq!(exchanges[1].error.as_deref(), Some(error.message.as_str()));
        }
    }
}

#[tokio::test]
async fn what_stays_the_same_request_is_sent_on() {
    let server = Server::start(|request| match request.path() {
        "/end" => answer("200 OK", "", "end"),
        "/see" => answer("303 See Other", "location: /end\r\n", ""),
        _ => answer("307 Temporary Redirect", "location: /end\r\n", ""),
    })
    .await;
    let session = session(&[server.entry()]);
    let unsaid = |request| FetchRequest { redirect: Redirect::Unsaid, ..request };
    fetch(&session, unsaid(post(server.url("/"), "text/plain", "body"))).await.unwrap();
    let got = &server.received()[1];
    assert_eq!((got.method(), got.body.as_str()), ("POST", "body"));
    fetch(&session, unsaid(get(server.url("/see")))).await.unwrap();
    assert_eq!(server.received()[3].path(), "/end");
}

#[tokio::test]
async fn a_location_may_be_in_latin_1() {
    let server = Server::raw(|stream| async move {
        let mut stream = tokio::io::BufReader::new(stream);
        while let Some(request) = super::server::read_request(&mut stream).await {
            let end = answer("200 OK", "", "end").into_bytes();
            let moved = b"HTTP/1.1 302 Found\r\nlocation: /caf\xe9\r\ncontent-length: 0\r\n\r\n".to_vec();
            let text = if request.path() == "/caf%C3%A9" { end } else { moved };
            tokio::io::AsyncWriteExt::write_all(stream.get_mut(), &text).await.unwrap();
        }
    })
    .await;
    let answer = fetch(&session(&[server.entry()]), get(server.url("/"))).await.unwrap();
    assert_eq!((answer.status, answer.url), (200, server.url("/caf%C3%A9")));
}

#[tokio::test]
async fn loops_end() {
    let server = redirecting("/again").await;
    let session = session(&[server.entry()]);
    let error = error_of(&session, get(server.url("/"))).await;
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::Permanent, "more than 10 redirects"));
    assert_eq!(server.received().len(), 11);
}

#[tokio::test]
async fn logic_may_see_or_forbid_redirects() {
    let server = redirecting("/end").await;
    let session = session(&[server.entry()]);
    let manual = FetchRequest { redirect: Redirect::Manual, ..get(server.url("/")) };
    let response = fetch(&session, manual).await.unwrap();
    assert_eq!((response.status, header(&response, "location"), response.redirected), (302, "/end", false));
    let forbid = FetchRequest { redirect: Redirect::Error, ..get(server.url("/")) };
    let error = error_of(&session, forbid).await;
    assert_eq!(error.message, "the answer is a redirect, which the request forbids");
}
