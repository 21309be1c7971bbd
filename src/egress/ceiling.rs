//! What the operator lets no target go beyond, whatever its `egressAllow` says.

use std::net::IpAddr;

use super::address::{canonical, is_never_named};
use super::allow::Refused;
use super::allow_entry::Entry;

/// An entry of the configuration that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}[{index}]: {message}")]
pub struct CeilingError {
    /// `egress.allow` or `egress.deny`.
    pub key: &'static str,
    /// Which entry, from 0.
    pub index: usize,
    /// What is wrong with it and how to write it.
    pub message: String,
}

/// `egress.allow` and `egress.deny` of the configuration. By default targets may
/// open everything but link-local addresses and those at which clouds keep the
/// credentials of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// Empty, it allows all that is not special.
    allow: Vec<Entry>,
    deny: Vec<Entry>,
}

impl Ceiling {
    /// Reads entries like those of `egressAllow`.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be read.
    pub fn parse(allow: &[String], deny: &[String]) -> Result<Self, CeilingError> {
        Ok(Self { allow: entries("egress.allow", allow)?, deny: entries("egress.deny", deny)? })
    }

    /// Ports that an entry names.
    pub(super) fn names_port(&self, port: u16) -> bool {
        self.allow.iter().chain(&self.deny).any(|entry| entry.port == Some(port))
    }

    /// Whether a name may be resolved.
    pub(super) fn check_name(&self, host: &str, port: u16) -> Result<(), Refused> {
        if self.deny.iter().any(|entry| entry.for_port(port) && entry.names(host)) {
            return Err(denied(host));
        }
        let possible =
            |entry: &Entry| entry.for_port(port) && (entry.names(host) || entry.network().is_some());
        let allowed = self.is_open() || self.allow.iter().any(possible);
        if allowed { Ok(()) } else { Err(Refused::Beyond { host: host.to_owned() }) }
    }

    /// Whether `host`, which is a literal or resolved to `address`, may be
    /// connected to.
    pub(super) fn check_address(&self, host: &str, address: IpAddr, port: u16) -> Result<(), Refused> {
        let address = canonical(address);
        if self.deny.iter().any(|entry| entry.for_port(port) && (entry.names(host) || entry.holds(address))) {
            return Err(denied(host));
        }
        let mut here = self.allow.iter().filter(|entry| entry.for_port(port));
        if is_never_named(address) {
            let meant = here.any(|entry| entry.means_special() && entry.holds(address));
            let refused = || Refused::Special { host: host.to_owned(), address };
            return meant.then_some(()).ok_or_else(refused);
        }
        let allowed = self.is_open() || here.any(|entry| entry.holds(address) || entry.names(host));
        if allowed { Ok(()) } else { Err(Refused::Beyond { host: host.to_owned() }) }
    }

    /// What is wrong with an entry that could never be used below this ceiling.
    pub(super) fn refuses(&self, entry: &Entry) -> Option<&'static str> {
        let overlaps = |own: &Entry| own.overlaps(entry);
        if entry.means_special() {
            let meant = self.allow.iter().any(|own| own.means_special() && overlaps(own));
            let rule = "names link-local or metadata addresses, which only the operator can open: \
                        `egress.allow` in the configuration of the instance has to list them";
            return (!meant).then_some(rule);
        }
        let rule = "is outside of `egress.allow`, which only the operator can change, in the configuration \
                    of the instance";
        (!self.is_open() && !self.allow.iter().any(overlaps)).then_some(rule)
    }

    /// Whether only special addresses are closed. Listing these closes nothing
    /// else.
    fn is_open(&self) -> bool {
        self.allow.iter().all(Entry::means_special)
    }
}

fn denied(host: &str) -> Refused {
    Refused::Denied { host: host.to_owned() }
}

fn entries(key: &'static str, entries: &[String]) -> Result<Vec<Entry>, CeilingError> {
    let read = |(index, text): (usize, &String)| {
        Entry::parse(text.trim()).map_err(|message| CeilingError { key, index, message })
    };
    entries.iter().enumerate().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(entries: &[&str]) -> Vec<String> {
        entries.iter().map(ToString::to_string).collect()
    }

    fn ceiling(allow: &[&str], deny: &[&str]) -> Ceiling {
        Ceiling::parse(&texts(allow), &texts(deny)).unwrap()
    }

    fn opens(ceiling: &Ceiling, host: &str, address: &str, port: u16) -> bool {
        ceiling
            .check_name(host, port)
            .and_then(|()| ceiling.check_address(host, address.parse().unwrap(), port))
            .is_ok()
    }

    const SPECIAL: [&str; 6] =
        ["169.254.169.254", "fe80::1", "fd00:ec2::23", "fd20:ce::254", "168.63.129.16", "0.0.0.0"];

    #[test]
    fn everything_but_special_addresses_is_open_by_default() {
        let ceiling = Ceiling::default();
        for address in ["127.0.0.1", "10.0.0.1", "8.8.8.8", "::1", "fd00::1"] {
            assert!(opens(&ceiling, "a.example", address, 443), "{address}");
        }
        for address in SPECIAL {
            assert!(!opens(&ceiling, "a.example", address, 443), "{address}");
        }
    }

    #[test]
    fn special_addresses_have_to_be_meant() {
        for allow in [&["0.0.0.0/0", "::/0"][..], &["a.example"], &["168.0.0.0/7"]] {
            for address in SPECIAL {
                assert!(!opens(&ceiling(allow, &[]), "a.example", address, 443), "{allow:?} {address}");
            }
        }
        let listed = ceiling(&["169.254.169.254:80"], &[]);
        assert!(opens(&listed, "169.254.169.254", "169.254.169.254", 80));
        assert!(!opens(&listed, "169.254.169.254", "169.254.169.254", 81));
        assert!(!opens(&listed, "169.254.169.253", "169.254.169.253", 80));
        assert!(opens(&listed, "a.example", "10.0.0.1", 443), "the rest stays open");
    }

    #[test]
    fn a_list_closes_what_it_does_not_name() {
        let ceiling = ceiling(&["*.corp.example", "10.0.0.0/8:636"], &["evil.corp.example", "10.9.0.0/16"]);
        assert!(opens(&ceiling, "a.corp.example", "8.8.8.8", 443));
        assert!(opens(&ceiling, "dc.example", "10.1.2.3", 636));
        for (host, address, port) in [
            ("a.example", "8.8.8.8", 443),
            ("dc.example", "10.1.2.3", 443),
            ("evil.corp.example", "8.8.8.8", 443),
            ("a.corp.example", "10.9.0.1", 443),
            ("dc.example", "10.9.0.1", 636),
        ] {
            assert!(!opens(&ceiling, host, address, port), "{host} {address} {port}");
        }
        let deny = self::ceiling(&[], &["127.0.0.0/8", "::1"]);
        assert!(!opens(&deny, "localhost", "::ffff:127.0.0.1", 443));
        assert!(!opens(&deny, "localhost", "::1", 443));
        assert!(opens(&deny, "a.example", "10.0.0.1", 443));
    }

    #[test]
    fn entries_that_can_never_be_used_are_found() {
        let refuses = |ceiling: &Ceiling, entry: &str| ceiling.refuses(&Entry::parse(entry).unwrap());
        let open = Ceiling::default();
        for entry in ["169.254.169.254", "169.254.0.0/16:80", "fd00:ec2::254", "fe80::/10"] {
            assert!(refuses(&open, entry).unwrap().contains("only the operator can open"), "{entry}");
        }
        for entry in ["127.0.0.1", "10.0.0.0/8", "a.example", "0.0.0.0/0"] {
            assert_eq!(refuses(&open, entry), None, "{entry}");
        }
        let listed = ceiling(&["*.corp.example", "10.0.0.0/8:636"], &[]);
        for entry in ["a.corp.example", "*.corp.example", "10.1.2.3", "a.example:636", "0.0.0.0/0"] {
            assert_eq!(refuses(&listed, entry), None, "{entry}");
        }
        assert_eq!(refuses(&listed, "127.0.0.1"), None, "a name of `corp.example` may be it");
        let networks = ceiling(&["10.0.0.0/8:636"], &[]);
        for (listed, entry) in [
            (&listed, "a.example:443"),
            (&networks, "10.1.2.3:80"),
            (&networks, "127.0.0.1"),
            (&networks, "a.example:443"),
        ] {
            assert!(refuses(listed, entry).unwrap().contains("is outside of `egress.allow`"), "{entry}");
        }
    }

    #[test]
    fn a_bad_entry_is_pointed_at() {
        let error = Ceiling::parse(&[], &texts(&["a.example", "*"])).unwrap_err();
        assert!(error.to_string().starts_with("egress.deny[1]: `*` is not a host name"), "{error}");
    }
}
