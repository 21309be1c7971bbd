//! Bodies that come in parts.

use std::sync::Arc;

use futures_util::StreamExt as _;
use provisiond::domain::host_call::{Fetched, HostCalls as _};
use provisiond::domain::status::ErrorClass;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::sync::Notify;

use super::server::{Server, answer, read_request};
use super::{SECRET, fetch, get, session, session_with};

/// Answers with the first part, and with the next at each notification.
async fn step_by_step(parts: &'static [&'static str], next: Arc<Notify>) -> Server {
    Server::raw(move |stream| {
        let next = next.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_request(&mut stream).await;
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.get_mut().write_all(head.as_bytes()).await.unwrap();
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    next.notified().await;
                }
                let chunk = format!("{:x}\r\n{part}\r\n", part.len());
                let _ = stream.get_mut().write_all(chunk.as_bytes()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_head_comes_before_the_end_of_the_body() {
    let next = Arc::new(Notify::new());
    let server = step_by_step(&["one ", "two.", ""], next.clone()).await;
    let session = session(&[server.entry()]);
    let Fetched { response, rest } = session.fetch(get(server.url("/"))).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"one "[..]));
    let mut rest = rest.expect("more is to come");
    next.notify_one();
    assert_eq!(rest.next().await.unwrap().unwrap(), "two.");
    next.notify_one();
    assert!(rest.next().await.is_none());
    let exchanges = session.take_exchanges();
    assert_eq!(exchanges[0].response.as_ref().unwrap().body.as_deref(), Some("one two."));
    assert_eq!(exchanges[0].error, None);
}

#[tokio::test]
async fn a_body_that_nobody_reads_on_is_on_record_as_far_as_it_came() {
    let server = step_by_step(&["one ", "two"], Arc::default()).await;
    let session = session(&[server.entry()]);
    drop(session.fetch(get(server.url("/"))).await.unwrap());
    let exchanges = session.take_exchanges();
    assert_eq!(exchanges[0].response.as_ref().unwrap().body.as_deref(), Some("one … <4 bytes read of more>"));
    assert_eq!((exchanges[0].error.as_deref(), session.last_failure()), (None, None));
}

#[tokio::test]
async fn a_body_that_breaks_off_fails_where_it_does() {
    let server = step_by_step(&["one"], Arc::default()).await;
    let session = session(&[server.entry()]);
    let error = match session.fetch(get(server.url("/"))).await {
        Ok(fetched) => fetched.whole().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.class, ErrorClass::Transient, "{error}");
    assert_eq!(session.last_failure(), Some((ErrorClass::Transient, None)));
}

#[tokio::test]
async fn a_secret_is_found_across_parts() {
    let (start, end) = SECRET.split_at(5);
    let parts: &'static [&'static str] = Box::leak(Box::new([start, end, " and on", ""]));
    let next = Arc::new(Notify::new());
    let server = step_by_step(parts, next.clone()).await;
    let (session, policy) = session_with(&[server.entry()], Default::default());
    let Fetched { response, rest } = session.fetch(get(server.url("/"))).await.unwrap();
    assert_eq!(&response.body[..], b"", "it may be the beginning of a secret");
    let mut rest = rest.unwrap();
    next.notify_one();
    assert_eq!(rest.next().await.unwrap().unwrap(), policy.handles()["token"]);
    next.notify_one();
    assert_eq!(rest.next().await.unwrap().unwrap(), " and on");
    drop(rest);
    let exchanges = session.take_exchanges();
    let shown = exchanges[0].response.as_ref().unwrap().body.as_deref();
    assert_eq!(shown, Some("[secret:token] and on… <40 bytes read of more>"));
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let body = "0123456789abcdef".repeat(300_000);
    let server = Server::start(move |_| answer("200 OK", "", &body)).await;
    let session = session(&[server.entry()]);
    let Fetched { response, rest } = session.fetch(get(server.url("/"))).await.unwrap();
    assert!(rest.is_some() && response.body.len() < 4_800_000);
    let whole = fetch(&session, get(server.url("/"))).await.unwrap();
    assert_eq!(whole.body.len(), 4_800_000);
    assert!(whole.body.chunks(16).all(|part| part == b"0123456789abcdef"));
}
