//! Connections are reused, across runs too.

use std::sync::Arc;

use provisiond::egress::{Egress, EgressLimits, TargetPolicy};

use super::server::{Server, answer};
use super::{allow, fetch, get, post, with_header};

#[tokio::test]
async fn runs_of_one_policy_share_connections() {
    let server = Server::start(|request| answer("200 OK", "", &request.body)).await;
    let policy = Arc::new(TargetPolicy::new(allow(&[server.entry()]), Vec::new()));
    let egress = Egress::new();
    for number in 0..20 {
        let session = egress.session(policy.clone());
        let body = number.to_string();
        let response = fetch(&session, post(server.url("/"), "text/plain", body.clone())).await.unwrap();
        assert_eq!(response.body, body);
    }
    assert_eq!((server.connections(), server.received().len()), (1, 20));
}

#[tokio::test]
async fn a_new_policy_has_connections_of_its_own() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    for _ in 0..2 {
        let policy = Arc::new(TargetPolicy::new(allow(&[server.entry()]), Vec::new()));
        fetch(&Egress::new().session(policy), get(server.url("/"))).await.unwrap();
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_run_has_a_limited_number_of_calls_in_flight() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let limits = EgressLimits { concurrent: 2, ..EgressLimits::default() };
    let policy = Arc::new(TargetPolicy::with_limits(allow(&[server.entry()]), Vec::new(), limits));
    let session = Egress::new().session(policy);
    let calls = (0..20).map(|_| fetch(&session, get(server.url("/"))));
    for response in futures_util::future::join_all(calls).await {
        assert_eq!(response.unwrap().status, 200);
    }
    assert!(server.connections() <= 2, "{}", server.connections());
}

#[tokio::test]
async fn requests_say_who_they_are_from() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let policy = Arc::new(TargetPolicy::new(allow(&[server.entry()]), Vec::new()));
    let session = Egress::new().session(policy);
    fetch(&session, get(server.url("/"))).await.unwrap();
    fetch(&session, with_header(get(server.url("/")), "user-agent", "mine")).await.unwrap();
    fetch(&session, with_header(get(server.url("/")), "host", "other.example")).await.unwrap();
    let got = server.received();
    assert_eq!(got[0].header("user-agent"), Some(concat!("provisiond/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(got[1].header("user-agent"), Some("mine"));
    assert_eq!(got[2].header("host"), Some(server.entry().as_str()));
}

#[tokio::test]
async fn an_empty_post_has_a_length() {
    let server = Server::start(|_| answer("200 OK", "", "")).await;
    let policy = Arc::new(TargetPolicy::new(allow(&[server.entry()]), Vec::new()));
    let request =
        provisiond::domain::host_call::FetchRequest { method: "POST".into(), ..get(server.url("/")) };
    fetch(&Egress::new().session(policy), request).await.unwrap();
    assert_eq!(server.received()[0].header("content-length"), Some("0"));
}
