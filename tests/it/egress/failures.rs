//! What the calls of a run say of it: which failure counts, and how long a call may
//! take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use provisiond::domain::host_call::HostCalls as _;
use provisiond::domain::status::ErrorClass::{Auth, Permanent, RateLimited, Transient};
use provisiond::egress::{EgressLimits, Session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::Notify;

use super::server::{Server, answer, read_request};
use super::{error_of, fetch, get, post, session, session_with};

/// Answers with the status that the path begins with, and with a wait if it goes on.
async fn obliging() -> Server {
    Server::start(|request| {
        let mut parts = request.path().trim_start_matches('/').split('/');
        let status = format!("{} -", parts.next().unwrap());
        let wait = parts.next().map(|wait| format!("retry-after: {wait}\r\n"));
        answer(&status, &wait.unwrap_or_default(), "")
    })
    .await
}

/// Takes requests and never answers them.
async fn silent() -> Server {
    Server::raw(|mut stream| async move {
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
    })
    .await
}

async fn call(session: &Session, server: &Server, path: &str, body: &str) {
    fetch(session, post(server.url(path), "text/plain", body)).await.unwrap();
}

#[tokio::test]
async fn a_later_success_hides_no_failure() {
    let server = obliging().await;
    for (status, class) in [("429", RateLimited), ("401", Auth), ("503", Transient), ("400", Permanent)] {
        let session = session(&[server.entry()]);
        call(&session, &server, &format!("/{status}"), "user").await;
        call(&session, &server, "/200", "audit").await;
        assert_eq!(session.failure().map(|(class, _)| class), Some(class), "{status}");
    }
}

#[tokio::test]
async fn calls_at_one_time_end_in_the_worst_of_them() {
    let server = obliging().await;
    let session = session(&[server.entry()]);
    let paths = ["/200", "/503", "/429/120", "/404", "/200/x"];
    let calls = paths.map(|path| call(&session, &server, path, path));
    futures_util::future::join_all(calls).await;
    assert_eq!(session.failure(), Some((RateLimited, Some(Duration::from_secs(120)))));
    let left = session.slower().unwrap();
    assert!(left > Duration::from_secs(110) && left <= Duration::from_secs(120), "{left:?}");
}

#[tokio::test]
async fn the_pace_is_told_of_though_all_went_well_in_the_end() {
    let busy = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let server = Server::start(move |_| match busy.swap(false, std::sync::atomic::Ordering::SeqCst) {
        true => answer("429 -", "", ""),
        false => answer("200 OK", "", ""),
    })
    .await;
    let session = session(&[server.entry()]);
    call(&session, &server, "/", "the same").await;
    call(&session, &server, "/", "the same").await;
    assert_eq!((session.failure(), session.slower()), (None, Some(Duration::ZERO)));
}

#[tokio::test]
async fn a_run_that_begins_anew_has_met_nothing() {
    let server = obliging().await;
    let session = session(&[server.entry()]);
    call(&session, &server, "/429/5", "").await;
    session.begin(Instant::now() + Duration::from_secs(30));
    assert_eq!((session.failure(), session.slower()), (None, None));
}

/// The first of several that fails ends the run: the others are given up, which says
/// nothing of whom they asked.
#[tokio::test]
async fn calls_that_a_run_leaves_behind_do_not_count() {
    let (server, silent) = (obliging().await, silent().await);
    let session = session(&[server.entry(), silent.entry()]);
    let left = tokio::time::timeout(Duration::from_millis(50), fetch(&session, get(silent.url("/"))));
    let mut left = Box::pin(left);
    assert!(futures_util::poll!(&mut left).is_pending());
    call(&session, &server, "/400", "").await;
    session.end();
    drop(left);
    assert_eq!(session.failure(), Some((Permanent, None)));
}

#[tokio::test]
async fn a_call_never_lasts_longer_than_its_run() {
    let server = silent().await;
    let session = session(&[server.entry()]);
    session.begin(Instant::now() + Duration::from_millis(800));
    let error = error_of(&session, get(server.url("/"))).await;
    assert_eq!(error.class, Transient);
    let words = format!(
        "`{}` did not answer completely within 0.7 s, which was all that the run had left for it",
        server.entry()
    );
    assert_eq!(error.message, words);
    assert_eq!(session.failure(), Some((Transient, None)));
}

#[tokio::test]
async fn a_body_that_stops_ends_before_its_run() {
    let never = Arc::new(Notify::new());
    let server = Server::raw(move |stream| {
        let never = never.clone();
        async move {
            let mut stream = BufReader::new(stream);
            read_request(&mut stream).await;
            let start = b"HTTP/1.1 429 -\r\nretry-after: 9\r\ncontent-length: 9\r\n\r\nabc";
            stream.get_mut().write_all(start).await.unwrap();
            never.notified().await;
        }
    })
    .await;
    let session = session(&[server.entry()]);
    session.begin(Instant::now() + Duration::from_millis(800));
    let error = error_of(&session, get(server.url("/"))).await;
    assert!(error.message.ends_with("which was all that the run had left for it"), "{error}");
    let failure = (error.class, error.retry_after);
    assert_eq!(failure, (RateLimited, Some(Duration::from_secs(9))), "the status decides");
    assert_eq!(session.failure(), Some(failure));
}

#[tokio::test]
async fn a_call_that_gets_no_turn_says_so_before_its_run_is_over() {
    let server = silent().await;
    let (session, _) =
        session_with(&[server.entry()], EgressLimits { concurrent: 1, ..EgressLimits::default() });
    session.begin(Instant::now() + Duration::from_millis(500));
    let (first, second) =
        tokio::join!(error_of(&session, get(server.url("/1"))), error_of(&session, get(server.url("/2"))));
    let words = format!("`{}` was not asked: 1 calls of the run were still in flight", server.entry());
    assert!([&first.message, &second.message].contains(&&words), "{first} {second}");
    assert_eq!((first.class, second.class), (Transient, Transient));
    assert_eq!(session.take_exchanges().len(), 2);
}
