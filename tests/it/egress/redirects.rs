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
    for to in [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/",
        "http://evil.example/",
    ] {
        let server = redirecting(to).await;
        let session = session(&[server.entry()]);
        let error = error_of(&session, get(server.url("/start"))).await;
        assert_eq!(error.class, ErrorClass::Permanent, "{error}");
        assert!(error.message.starts_with("a redirect was not followed: `"), "{error}");
        assert!(error.message.contains("`egressAllow` of the target does not name it"), "{error}");
        let exchanges = session.take_exchanges();
        assert_eq!(exchanges.len(), 2, "the hop and the refusal");
        assert_eq!(exchanges[0].response.as_ref().unwrap().status, 302);
        assert_eq!(exchanges[1].error.as_deref(), Some(error.message.as_str()));
        assert_eq!(session.last_failure(), Some((ErrorClass::Permanent, None)));
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
    assert_eq!(session.last_failure(), None);
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
async fn a_post_becomes_a_get() {
    let server = redirecting("/end").await;
    let session = session(&[server.entry()]);
    fetch(&session, post(server.url("/"), "text/plain", "body")).await.unwrap();
    let got = &server.received()[1];
    assert_eq!((got.method(), got.body.as_str(), got.header("content-type")), ("GET", "", None));
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
