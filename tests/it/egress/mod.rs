//! The way out, against servers on loopback that misbehave.

mod failures;
mod guard;
mod headers;
mod labels;
mod limits;
mod pooling;
mod redirects;
mod samples;
mod secrets;
mod server;
mod streams;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use provisiond::domain::host_call::{FetchRequest, FetchResponse, HostCallError, HostCalls, Redirect};
use provisiond::egress::{
    AllowList, Egress, EgressLimits, Looking, Lookup, SecretHosts, Session, TargetPolicy,
};
use provisiond::security::NamedSecret;

/// Answers names from a table; the port does not matter to it.
struct Names(HashMap<String, Vec<IpAddr>>);

impl Lookup for Names {
    fn lookup(&self, name: &str) -> Looking {
        let found = self.0.get(name).cloned();
        Box::pin(async move { found.ok_or_else(|| std::io::Error::other("no such name")) })
    }
}

/// An egress that knows these names alone.
fn egress(names: &[(&str, &[&str])]) -> Egress {
    let parse = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
    let table = names.iter().map(|(name, addresses)| ((*name).to_owned(), parse(addresses))).collect();
    Egress::with_lookup(Arc::new(Names(table)))
}

fn allow(entries: &[String]) -> AllowList {
    AllowList::parse(entries).unwrap()
}

/// A secret may go to these, without TLS too.
fn plain_hosts(secret: &str, entries: &[String]) -> SecretHosts {
    let entries = entries.iter().map(|entry| format!("http://{entry}")).collect();
    SecretHosts::parse(&BTreeMap::from([(secret.to_owned(), entries)])).unwrap()
}

/// Limits that make a test short.
fn quick() -> EgressLimits {
    EgressLimits { request_timeout: Duration::from_millis(400), ..EgressLimits::default() }
}

/// A run that may only talk to `entries`, with secret `token` = `hunter2 &"x"`.
fn session_with(entries: &[String], limits: EgressLimits) -> (Session, Arc<TargetPolicy>) {
    let secrets = vec![NamedSecret::new("token", SECRET)];
    let policy = TargetPolicy::with_limits(allow(entries), secrets, limits);
    let policy = Arc::new(policy.with_secret_hosts(plain_hosts("token", entries)));
    (Egress::new().session(policy.clone()), policy)
}

fn session(entries: &[String]) -> Session {
    session_with(entries, EgressLimits::default()).0
}

const SECRET: &str = "hunter2 &\"x\"";

fn get(url: impl Into<String>) -> FetchRequest {
    FetchRequest {
        method: "GET".to_owned(),
        url: url.into(),
        headers: Vec::new(),
        body: None,
        redirect: Redirect::Follow,
        effect: None,
    }
}

fn post(url: impl Into<String>, content_type: &str, body: impl Into<String>) -> FetchRequest {
    FetchRequest {
        method: "POST".to_owned(),
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body: Some(body.into().into()),
        ..get(url)
    }
}

fn with_header(mut request: FetchRequest, name: &str, value: &str) -> FetchRequest {
    request.headers.push((name.to_owned(), value.to_owned()));
    request
}

fn header<'a>(response: &'a FetchResponse, name: &str) -> &'a str {
    response.headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
}

/// The answer with its whole body.
async fn fetch(session: &Session, request: FetchRequest) -> Result<FetchResponse, HostCallError> {
    session.fetch(request).await?.whole().await
}

async fn error_of(session: &Session, request: FetchRequest) -> HostCallError {
    fetch(session, request).await.unwrap_err()
}
