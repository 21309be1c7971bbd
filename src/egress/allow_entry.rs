//! One entry of an allow list.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Host;

use super::address::{canonical, is_never_named, is_public};

/// A place, and the port it is limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    place: Place,
    /// Any port when absent.
    pub(super) port: Option<u16>,
    /// Also opens addresses that are not public.
    pub(super) inside: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A host name, whatever it resolves to.
    Name(String),
    /// Every name that ends with this, which begins with a dot.
    Below(String),
    /// An address or a network, and every name that resolves into it.
    Network(IpNet),
}

impl Entry {
    /// Reads one; the message says how to write it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; write a host, an address or a network".to_owned());
        }
        if text.contains("://") {
            return Err(format!("`{text}` is a URL; write its host alone, such as \"scim.example.org\""));
        }
        if let Ok(network) = parse_network(text) {
            return Ok(Self::new(Place::Network(network), None));
        }
        let (place, port) = split_port(text)?;
        if let Some(inner) = place.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(|| format!("`{text}` has an unclosed `[`"))?;
            return Ok(Self::new(Place::Network(parse_network(inner)?), port));
        }
        if place.contains(['/', ':']) {
            return Ok(Self::new(Place::Network(parse_network(place)?), port));
        }
        Ok(Self::new(parse_name(place)?, port))
    }

    fn new(place: Place, port: Option<u16>) -> Self {
        Self { place, port, inside: true }
    }

    /// Whether it is plain that it names what is not public. What a name
    /// resolves to is seen when it is resolved.
    pub(super) fn is_plainly_inside(&self) -> bool {
        match &self.place {
            Place::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Place::Below(suffix) => suffix.ends_with(".localhost"),
            Place::Network(network) => !is_public(network.network()) || !is_public(network.broadcast()),
        }
    }

    /// Whether all of it are addresses that no host name has any business with.
    /// A network that holds others beside them does not mean them.
    pub(super) fn means_special(&self) -> bool {
        self.network().is_some_and(|network| {
            let least = if network.addr().is_ipv4() { 8 } else { 10 };
            network.prefix_len() >= least
                && is_never_named(network.network())
                && is_never_named(network.broadcast())
        })
    }

    /// Whether it counts for this port.
    pub(super) fn for_port(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }

    /// Whether it allows the host by its name.
    pub(super) fn names(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match &self.place {
            Place::Name(name) => name == host,
            Place::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Place::Network(_) => false,
        }
    }

    /// Whether something of `other` may lie in it.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let ports = self.port.is_none() || other.port.is_none() || self.port == other.port;
        let places = match (&self.place, &other.place) {
            (Place::Network(own), Place::Network(other)) => own.contains(other) || other.contains(own),
            // A name may resolve into any network.
            (Place::Network(_), _) | (_, Place::Network(_)) => true,
            (Place::Name(own), Place::Name(other)) => own == other,
            (Place::Below(suffix), Place::Name(name)) | (Place::Name(name), Place::Below(suffix)) => {
                name.ends_with(suffix.as_str())
            }
            (Place::Below(own), Place::Below(other)) => {
                own.ends_with(other.as_str()) || other.ends_with(own.as_str())
            }
        };
        ports && places
    }

    /// Whether it allows the address by a network.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        self.network().is_some_and(|network| network.contains(&canonical(address)))
    }

    /// The network it allows, if it is one.
    pub(super) fn network(&self) -> Option<&IpNet> {
        match &self.place {
            Place::Network(network) => Some(network),
            Place::Name(_) | Place::Below(_) => None,
        }
    }
}

/// Splits `:port` off, leaving bare IPv6 alone.
fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let Some((place, port)) = text.rsplit_once(':') else { return Ok((text, None)) };
    if text.ends_with(']') {
        return Ok((text, None));
    }
    if place.contains(':') && !place.starts_with('[') {
        return Err(format!("`{text}` is ambiguous; write IPv6 with a port as \"[fd00::/8]:636\""));
    }
    match port.parse() {
        Ok(port) if port != 0 => Ok((place, Some(port))),
        _ => Err(format!("`{port}` is not a port; write a number from 1 to 65535")),
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(canonical(address)),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            format!("`{text}` is not an address or a network; write \"10.0.0.0/8\" or \"fd00::/8\"")
        })?,
    };
    if network.trunc() != network {
        return Err(format!("`{text}` is an address inside a network; write \"{}\"", network.trunc()));
    }
    Ok(network)
}

fn parse_name(text: &str) -> Result<Place, String> {
    let (below, name) = match text.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let bad = || format!("`{text}` is not a host name; write \"scim.example.org\" or \"*.example.org\"");
    if name.contains('*') || name.is_empty() {
        return Err(bad());
    }
    match Host::parse(name).map_err(|_| bad())? {
        Host::Domain(domain) if below => Ok(Place::Below(format!(".{}", domain.trim_end_matches('.')))),
        Host::Domain(domain) => Ok(Place::Name(domain.trim_end_matches('.').to_owned())),
        Host::Ipv4(address) if !below => Ok(Place::Network(IpAddr::V4(address).into())),
        Host::Ipv4(_) | Host::Ipv6(_) => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_entries_say_how_to_write_them() {
        for (text, message) in [
            ("", "is empty; write a host, an address or a network"),
            (
                "https://a.example",
                "`https://a.example` is a URL; write its host alone, such as \"scim.example.org\"",
            ),
            ("10.1.2.3/8", "`10.1.2.3/8` is an address inside a network; write \"10.0.0.0/8\""),
            ("10/8", "`10/8` is not an address or a network; write \"10.0.0.0/8\" or \"fd00::/8\""),
            ("a:b", "`b` is not a port; write a number from 1 to 65535"),
            ("a:0", "`0` is not a port; write a number from 1 to 65535"),
            ("a:65536", "`65536` is not a port; write a number from 1 to 65535"),
            ("fd00::/8:636", "`fd00::/8:636` is ambiguous; write IPv6 with a port as \"[fd00::/8]:636\""),
            ("[fd00::1", "`[fd00::1` has an unclosed `[`"),
            ("*", "`*` is not a host name; write \"scim.example.org\" or \"*.example.org\""),
            ("a.*.b", "`a.*.b` is not a host name; write \"scim.example.org\" or \"*.example.org\""),
            ("a b", "`a b` is not a host name; write \"scim.example.org\" or \"*.example.org\""),
        ] {
            let error = Entry::parse(text).unwrap_err();
            assert_eq!(error, message);
        }
    }
}
