//! Bodies that come in parts.

use std::sync::Arc;

use futures_util::StreamExt as _;
use provisiond::domain::host_call::{Fetched, HostCalls as _};
use provisiond::domain::status::ErrorClass;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::sync::Notify;

use super::server::{Server, answer, read_request};
use super::{SECRET, fetch, get, session, session_with};

/// Longer than what is held back of a body that has not ended.
const LINE: &str = "one line after another, each of them as long as this one, until there are enough: \
    one line after another, each of them as long as this one, until there are enough.";

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
    let server = step_by_step(&[LINE, LINE, ""], next.clone()).await;
    let session = session(&[server.entry()]);
    let Fetched { response, rest } = session.fetch(get(server.url("/"))).await.unwrap();
    let at_once = response.body.len();
    assert!(response.status == 200 && (1..LINE.len()).contains(&at_once), "{at_once}");
    let mut rest = rest.expect("more is to come");
    next.notify_one();
    assert_eq!(rest.next().await.unwrap().unwrap().len(), LINE.len(), "as much as came since");
    next.notify_one();
    assert_eq!(rest.next().await.unwrap().unwrap(), LINE[at_once..], "what was held back");
    assert!(rest.next().await.is_none());
    let exchanges = session.take_exchanges();
    assert_eq!(exchanges[0].response.as_ref().unwrap().body, Some(LINE.repeat(2)));
    assert_eq!(exchanges[0].error, None);
}

#[tokio::test]
async fn a_body_that_nobody_reads_on_is_on_record_as_far_as_it_came() {
    let server = step_by_step(&[LINE, "two"], Arc::default()).await;
    let session = session(&[server.entry()]);
    let read = session.fetch(get(server.url("/"))).await.unwrap().response.body.len();
    let exchanges = session.take_exchanges();
    let shown = format!("{}… <{read} bytes read of more>", &LINE[..read]);
    assert_eq!(exchanges[0].response.as_ref().unwrap().body, Some(shown));
    assert_eq!((exchanges[0].error.as_deref(), session.failure()), (None, None));
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
    assert_eq!(session.failure(), Some((ErrorClass::Transient, None)));
}

#[tokio::test]
async fn a_secret_is_found_across_parts() {
    let (start, end) = SECRET.split_at(5);
    let parts: &'static [&'static str] = Box::leak(Box::new([start, end, LINE, ""]));
    let next = Arc::new(Notify::new());
    let server = step_by_step(parts, next.clone()).await;
    let (session, policy) = session_with(&[server.entry()], Default::default());
    let Fetched { response, rest } = session.fetch(get(server.url("/"))).await.unwrap();
    assert_eq!(&response.body[..], b"", "too little to tell");
    let mut rest = rest.unwrap();
    next.notify_one();
    next.notify_one();
    let come = rest.next().await.unwrap().unwrap();
    let after = std::str::from_utf8(&come).unwrap().strip_prefix(&policy.handles()["token"]).unwrap();
    assert!(!after.is_empty() && LINE.starts_with(after), "{after}");
    drop(rest);
    let exchanges = session.take_exchanges();
    let shown = exchanges[0].response.as_ref().unwrap().body.clone().unwrap();
    assert!(shown.starts_with(&format!("[secret:token]{after}… <")), "{shown}");
}

/// Who has a guess echoed does not see by what is held back whether it is right.
#[tokio::test]
async fn the_beginning_of_a_secret_comes_as_anything_else() {
    let come = async |guess: &str| {
        let first: &'static str = Box::leak(format!("{LINE}{guess}").into_boxed_str());
        let parts: &'static [&'static str] = Box::leak(Box::new([first, "!"]));
        let server = step_by_step(parts, Arc::default()).await;
        let session = session(&[server.entry()]);
        session.fetch(get(server.url("/"))).await.unwrap().response.body.len()
    };
    let right = &SECRET[..SECRET.len() - 1];
    assert_eq!(come(right).await, come(&"#".repeat(right.len())).await);
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
