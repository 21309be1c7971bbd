//! Who did something, as it is kept beside what was done.

use std::net::IpAddr;

use super::ids::TokenId;

/// Names of tokens are given anew: the id tells which of them it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The token's name at that time.
    pub name: String,
    /// The token; none when the daemon did it by itself.
    pub token: Option<TokenId>,
    /// Where the request came from; behind a proxy it is the proxy's.
    pub address: Option<IpAddr>,
}

impl Who {
    /// Nobody but the daemon.
    pub fn daemon() -> Self {
        Self { name: "provisiond".into(), token: None, address: None }
    }

    /// The token's number, for its column.
    pub fn token_number(&self) -> Option<i64> {
        self.token.map(|token| token.0)
    }

    /// The address as text, for its column.
    pub fn address_text(&self) -> Option<String> {
        self.address.map(|address| address.to_canonical().to_string())
    }
}
