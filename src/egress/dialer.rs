//! The guarded dialer: a name is resolved once, each address is checked, and a
//! connection goes to a checked address or nowhere. What is checked is what is
//! connected to, so a name that changes its answer in between gains nothing.
//!
//! HTTP clients do not ask a resolver about address literals; `Outgoing` checks
//! those before each request and at each redirect.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::allow::{AllowList, Refused};
use super::policy::EgressLimits;

/// Idle connections are kept this long; most servers keep them for a minute.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// A target runs at most 100 jobs at one time.
const POOL_IDLE_PER_HOST: usize = 100;

/// So many times the limits of a head are read, to tell its status.
const HEADS: usize = 10;

/// The future of a [`Lookup`].
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// How names become addresses.
pub trait Lookup: Send + Sync {
    /// Every address of `name`, in order of preference.
    fn lookup(&self, name: &str) -> Looking;
}

/// The system's resolver (getaddrinfo, on the blocking pool).
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: &str) -> Looking {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|socket| socket.ip()).collect())
        })
    }
}

/// Resolves for one allow list and one class of ports.
struct GuardedResolver {
    lookup: Arc<dyn Lookup>,
    allow: Arc<AllowList>,
    port_class: u16,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.lookup.lookup(name.as_str());
        let (allow, port) = (self.allow.clone(), self.port_class);
        Box::pin(async move {
            let found = looking.await?;
            Ok(Box::new(checked(&allow, name.as_str(), port, found)?.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be connected to; the first refusal when there is none.
fn checked(
    allow: &AllowList,
    host: &str,
    port: u16,
    found: Vec<IpAddr>,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let mut refused: Option<Refused> = None;
    let mut sockets = Vec::with_capacity(found.len());
    for address in found {
        match allow.check_address(host, address, port) {
            Ok(()) => sockets.push(SocketAddr::new(address, 0)),
            Err(error) => {
                refused.get_or_insert(error);
            }
        }
    }
    match refused {
        Some(refused) if sockets.is_empty() => Err(refused.into()),
        _ if sockets.is_empty() => Err("the name has no address".into()),
        _ => Ok(sockets),
    }
}

/// The HTTP clients of one policy: one for each class of ports, made when first
/// needed, each with its pool of connections.
#[derive(Default)]
pub(super) struct Clients(Mutex<HashMap<u16, Client>>);

impl Clients {
    /// The client for requests to `port`.
    pub(super) fn get(
        &self,
        lookup: &Arc<dyn Lookup>,
        allow: &Arc<AllowList>,
        port: u16,
        limits: &EgressLimits,
    ) -> reqwest::Result<Client> {
        let port_class = allow.port_class(port);
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&port_class) {
            return Ok(client.clone());
        }
        let resolver = GuardedResolver { lookup: lookup.clone(), allow: allow.clone(), port_class };
        let client = build(resolver, limits)?;
        clients.insert(port_class, client.clone());
        Ok(client)
    }
}

/// A client without a will of its own: no proxies, no redirects, no cookies,
/// no referer and no decompression of its own. Protocol-level retries that are known to
/// be safe (a connection closed before the request was sent) stay on.
fn build(resolver: GuardedResolver, limits: &EgressLimits) -> reqwest::Result<Client> {
    Client::builder()
        .dns_resolver(Arc::new(resolver))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(limits.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(POOL_IDLE_PER_HOST)
        // Beyond them nothing is known of an answer, not even its status.
        .http1_max_headers(limits.header_count * HEADS)
        .http2_max_header_list_size(u32::try_from(limits.header_bytes * HEADS).unwrap_or(u32::MAX))
        .user_agent(concat!("provisiond/", env!("CARGO_PKG_VERSION")))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(addresses: &[&str]) -> Result<usize, String> {
        let found = addresses.iter().map(|address| address.parse().unwrap()).collect();
        checked(&AllowList::default(), "a.example", 0, found)
            .map(|sockets| sockets.len())
            .map_err(|e| e.to_string())
    }

    #[test]
    fn only_checked_addresses_are_connected_to() {
        assert_eq!(check(&["8.8.8.8", "10.0.0.1", "2606:4700::1111"]), Ok(2));
        assert!(check(&["10.0.0.1", "127.0.0.1"]).unwrap_err().contains("10.0.0.1 is not a public address"));
        assert_eq!(check(&[]), Err("the name has no address".to_owned()));
    }
}
