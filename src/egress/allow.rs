//! Where a target's logic may connect to.

use std::net::IpAddr;
use std::sync::Arc;

use super::address::{canonical, is_never_named, is_public};
use super::allow_entry::Entry;
use super::ceiling::Ceiling;

/// An entry that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("egressAllow[{index}]: {message}")]
pub struct AllowListError {
    /// Which entry, from 0.
    pub index: usize,
    /// What is wrong with it and how to write it.
    pub message: String,
}

/// A target's `egressAllow`. Empty, it allows public addresses; otherwise
/// exactly what it names. Either way, nothing beyond the instance's [`Ceiling`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    entries: Vec<Entry>,
    ceiling: Arc<Ceiling>,
}

/// A host and port that a policy does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// The list is empty and the address is not public.
    #[error("`{host}` is refused: {address} is not a public address; add {} to `egressAllow` of the target to allow it", entry(.host, .address, *.port))]
    NotPublic { host: String, address: IpAddr, port: u16 },
    /// The list does not name it.
    #[error("`{host}` is refused: `egressAllow` of the target does not name it; add {} to allow it", entry_of_host(.host, *.port))]
    NotListed { host: String, port: u16 },
    /// A listed name resolves to link-local, multicast and the like.
    #[error(
        "`{host}` is refused: {address} is a link-local, metadata, multicast or unspecified address, which a name in `egressAllow` does not open; add \"{address}\" if you really mean it"
    )]
    NeverNamed { host: String, address: IpAddr },
    /// Whoever added the entry may open public addresses only.
    #[error(
        "`{host}` is refused: {address} is not a public address, and the entry in `egressAllow` of the target was added by an editor, whose entries open public addresses only; somebody with the role `secretsAdmin` has to save `egressAllow` to allow it"
    )]
    NotVouchedFor { host: String, address: IpAddr },
    /// Above the ceiling, and special.
    #[error(
        "`{host}` is refused: {address} is a link-local, metadata, multicast or unspecified address, which only `egress.allow` in the configuration of the instance opens"
    )]
    Special { host: String, address: IpAddr },
    /// Above the ceiling.
    #[error("`{host}` is refused: it is outside of `egress.allow` in the configuration of the instance")]
    Beyond { host: String },
    /// Above the ceiling, by its own entry.
    #[error("`{host}` is refused: `egress.deny` in the configuration of the instance names it")]
    Denied { host: String },
}

fn entry(host: &str, address: &IpAddr, port: u16) -> String {
    match address {
        // A literal or a name: a name is the better entry, unless it never opens the address.
        _ if !host.contains(&address.to_string()) && !is_never_named(*address) => entry_of_host(host, port),
        address if port == 0 => format!("\"{address}\""),
        IpAddr::V4(v4) => format!("\"{v4}:{port}\""),
        IpAddr::V6(v6) => format!("\"[{v6}]:{port}\""),
    }
}

fn entry_of_host(host: &str, port: u16) -> String {
    if port == 0 { format!("\"{host}\"") } else { format!("\"{host}\" or \"{host}:{port}\"") }
}

impl AllowList {
    /// Reads `host`, `host:port`, `*.domain`, `address`, `network`, each with
    /// or without `:port`; IPv6 in brackets when a port follows.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be read.
    pub fn parse(entries: &[String]) -> Result<Self, AllowListError> {
        let read = |(index, text): (usize, &String)| {
            Entry::parse(text.trim()).map_err(|message| AllowListError { index, message })
        };
        let entries = entries.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Self { entries, ceiling: Arc::default() })
    }

    /// The same, held below a ceiling.
    #[must_use]
    pub fn below(self, ceiling: &Arc<Ceiling>) -> Self {
        Self { ceiling: ceiling.clone(), ..self }
    }

    /// The same, but only entries that `vouched` has as well open addresses that
    /// are not public.
    #[must_use]
    pub fn inside_only_by(mut self, entries: &[String], vouched: &[String]) -> Self {
        for (entry, text) in self.entries.iter_mut().zip(entries) {
            entry.inside = vouched.contains(text);
        }
        self
    }

    /// The first entry of these that an editor may not add, with the reason:
    /// plainly more than public addresses.
    pub fn plainly_inside(entries: &[String]) -> Option<&String> {
        let is_inside =
            |text: &&String| Entry::parse(text.trim()).is_ok_and(|entry| entry.is_plainly_inside());
        entries.iter().find(is_inside)
    }

    /// Entries that could never be used below its ceiling, by number.
    pub fn beyond_ceiling(&self) -> Vec<AllowListError> {
        let beyond = |(index, entry): (usize, &Entry)| {
            let rule = self.ceiling.refuses(entry)?;
            Some(AllowListError { index, message: rule.to_owned() })
        };
        self.entries.iter().enumerate().filter_map(beyond).collect()
    }

    /// `port` when an entry names it, otherwise 0. Ports of one class are
    /// treated alike, so that a decision can be made without knowing the port
    /// itself: a DNS resolver is not told it.
    pub(super) fn port_class(&self, port: u16) -> u16 {
        let is_named = self.entries.iter().any(|entry| entry.port == Some(port));
        if is_named || self.ceiling.names_port(port) { port } else { 0 }
    }

    /// Whether it is worth resolving the name: no name that is not listed is
    /// told to a DNS server, unless the list has a network it might be in.
    pub(super) fn check_name(&self, host: &str, port: u16) -> Result<(), Refused> {
        self.ceiling.check_name(host, port)?;
        let possible =
            |entry: &Entry| entry.for_port(port) && (entry.names(host) || entry.network().is_some());
        if self.entries.is_empty() || self.entries.iter().any(possible) {
            Ok(())
        } else {
            Err(Refused::NotListed { host: host.to_owned(), port })
        }
    }

    /// Whether `host`, which is a literal or resolved to `address`, may be
    /// connected to at a port of this class.
    pub(super) fn check_address(&self, host: &str, address: IpAddr, port: u16) -> Result<(), Refused> {
        let address = canonical(address);
        self.ceiling.check_address(host, address, port)?;
        if self.entries.is_empty() {
            let refused = || Refused::NotPublic { host: host.to_owned(), address, port };
            return is_public(address).then_some(()).ok_or_else(refused);
        }
        let here = || self.entries.iter().filter(|entry| entry.for_port(port));
        let opens = |entry: &&Entry| entry.inside || is_public(address);
        let (holds, names) = (|entry: &&Entry| entry.holds(address), |entry: &&Entry| entry.names(host));
        if here().filter(opens).any(|entry| holds(&entry)) {
            Ok(())
        } else if !here().any(|entry| names(&entry) || holds(&entry)) {
            Err(Refused::NotListed { host: host.to_owned(), port })
        } else if is_never_named(address) {
            Err(Refused::NeverNamed { host: host.to_owned(), address })
        } else if here().filter(opens).any(|entry| names(&entry)) {
            Ok(())
        } else {
            Err(Refused::NotVouchedFor { host: host.to_owned(), address })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[&str]) -> AllowList {
        AllowList::parse(&entries.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    fn allows(list: &AllowList, host: &str, address: &str, port: u16) -> bool {
        let port = list.port_class(port);
        list.check_name(host, port)
            .and_then(|()| list.check_address(host, address.parse().unwrap(), port))
            .is_ok()
    }

    #[test]
    fn empty_means_public() {
        let list = list(&[]);
        assert!(allows(&list, "example.org", "93.184.216.34", 443));
        assert!(!allows(&list, "example.org", "10.0.0.1", 443));
        assert!(!allows(&list, "localhost", "::1", 443));
    }

    #[test]
    fn a_name_is_allowed_whatever_it_resolves_to() {
        let list = list(&["AD.Example.org.", "localhost:8080", "*.corp.example", "bücher.example"]);
        assert!(allows(&list, "ad.example.org", "10.0.0.1", 443));
        assert!(allows(&list, "ad.example.org.", "8.8.8.8", 1));
        assert!(allows(&list, "localhost", "127.0.0.1", 8080));
        assert!(!allows(&list, "localhost", "127.0.0.1", 8081));
        assert!(allows(&list, "a.corp.example", "10.0.0.1", 443));
        assert!(allows(&list, "xn--bcher-kva.example", "8.8.8.8", 443));
        for other in ["corp.example", "evilcorp.example", "example.org", "xad.example.org"] {
            assert!(!allows(&list, other, "8.8.8.8", 443), "{other}");
        }
        assert!(!allows(&list, "ad.example.org", "169.254.169.254", 80), "metadata is never meant by a name");
    }

    #[test]
    fn a_network_allows_what_resolves_into_it() {
        let list =
            list(&["10.0.0.0/8:636", "192.168.1.1", "[fd00::/8]:636", "fd12::/16", "127.0.0.1:9000", "::1"]);
        assert!(allows(&list, "dc.example", "10.1.2.3", 636));
        assert!(!allows(&list, "dc.example", "10.1.2.3", 389));
        assert!(allows(&list, "dc.example", "::ffff:10.1.2.3", 636));
        assert!(!allows(&list, "dc.example", "8.8.8.8", 636));
        assert!(allows(&list, "192.168.1.1", "192.168.1.1", 5));
        assert!(allows(&list, "dc.example", "fd99::1", 636));
        assert!(!allows(&list, "dc.example", "fd99::1", 637));
        assert!(allows(&list, "dc.example", "fd12::1", 637));
        assert!(allows(&list, "127.0.0.1", "127.0.0.1", 9000));
        assert!(allows(&list, "[::1]", "::1", 1));
        assert!(!allows(&list, "dc.example", "64:ff9b::a01:203", 636), "NAT64 has to be named itself");
    }

    #[test]
    fn names_are_not_resolved_in_vain() {
        assert!(list(&["a.example"]).check_name("b.example", 0).is_err());
        assert!(list(&["a.example", "10.0.0.0/8"]).check_name("b.example", 0).is_ok());
        assert!(list(&["10.0.0.0/8:636"]).check_name("b.example", 0).is_err());
    }

    #[test]
    fn what_an_editor_added_opens_public_addresses_only() {
        let texts: Vec<String> =
            ["a.example", "b.example", "0.0.0.0/1"].map(str::to_owned).into_iter().collect();
        let list = AllowList::parse(&texts).unwrap().inside_only_by(&texts, &texts[..1]);
        assert!(allows(&list, "a.example", "10.0.0.1", 443));
        assert!(allows(&list, "b.example", "200.8.8.8", 443));
        assert!(allows(&list, "c.example", "8.8.8.8", 443));
        for (host, address) in
            [("b.example", "127.0.0.1"), ("b.example", "fd00::1"), ("c.example", "10.0.0.1")]
        {
            let refused = list.check_address(host, address.parse().unwrap(), 443).unwrap_err();
            assert!(
                matches!(refused, Refused::NotVouchedFor { .. } | Refused::NotListed { .. }),
                "{refused}"
            );
        }
        for (entries, plain) in [
            (&["a.example", "8.8.8.8", "localhost:80"][..], Some("localhost:80")),
            (&["127.0.0.1"], Some("127.0.0.1")),
            (&["10.0.0.0/8:636"], Some("10.0.0.0/8:636")),
            (&["0.0.0.0/0"], Some("0.0.0.0/0")),
            (&["[::1]:80"], Some("[::1]:80")),
            (&["*.localhost"], Some("*.localhost")),
            (&["8.8.8.0/24", "*.example.org"], None),
        ] {
            let texts: Vec<String> = entries.iter().map(ToString::to_string).collect();
            assert_eq!(AllowList::plainly_inside(&texts).map(String::as_str), plain, "{entries:?}");
        }
    }

    #[test]
    fn no_list_goes_beyond_the_ceiling() {
        let ceiling = Arc::new(Ceiling::parse(&[], &["10.9.0.0/16:25".to_owned()]).unwrap());
        let list = list(&["10.0.0.0/8", "169.254.0.0/16"]).below(&ceiling);
        assert!(allows(&list, "10.9.0.1", "10.9.0.1", 443));
        assert!(!allows(&list, "10.9.0.1", "10.9.0.1", 25));
        assert!(!allows(&list, "169.254.169.254", "169.254.169.254", 80));
        let beyond = list.beyond_ceiling();
        assert_eq!(beyond.len(), 1);
        assert_eq!(beyond[0].index, 1);
    }

    #[test]
    fn a_bad_entry_is_pointed_at() {
        let error = AllowList::parse(&["ok.example".to_owned(), "*".to_owned()]).unwrap_err();
        assert_eq!(error.index, 1);
        assert!(error.to_string().starts_with("egressAllow[1]: `*` is not a host name"), "{error}");
    }

    #[test]
    fn refusals_say_what_to_add() {
        let refused = |list: &AllowList, host: &str, address: &str, port| {
            list.check_address(host, address.parse().unwrap(), port).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&list(&[]), "10.0.0.1", "10.0.0.1", 8080),
            "`10.0.0.1` is refused: 10.0.0.1 is not a public address; add \"10.0.0.1:8080\" to `egressAllow` of the target to allow it"
        );
        assert_eq!(
            refused(&list(&[]), "dc.example", "10.0.0.1", 0),
            "`dc.example` is refused: 10.0.0.1 is not a public address; add \"dc.example\" to `egressAllow` of the target to allow it"
        );
        assert_eq!(
            refused(&list(&["a.example"]), "b.example", "8.8.8.8", 443),
            "`b.example` is refused: `egressAllow` of the target does not name it; add \"b.example\" or \"b.example:443\" to allow it"
        );
    }
}
