//! Where each secret may go, beside where the target may go at all: nowhere,
//! unless it is said.

use std::collections::BTreeMap;

use reqwest::Url;

use super::allow_entry::Entry;
use super::handles::Used;
use super::request::authority;

/// An entry that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("connection.secretHosts.{secret}[{index}]: {message}")]
pub struct SecretHostsError {
    /// Of which secret.
    pub secret: String,
    /// Which entry, from 0.
    pub index: usize,
    /// What is wrong with it and how to write it.
    pub message: String,
}

/// A target's `connection.secretHosts`. A secret that it does not name goes
/// nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretHosts {
    rules: BTreeMap<String, Vec<Host>>,
}

/// Where a secret may go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host {
    entry: Entry,
    /// Also without TLS: the entry begins with `http://`.
    plain: bool,
}

/// What an entry begins with that allows plain HTTP.
const PLAIN: &str = "http://";

/// A secret on its way to a place that is not its own. `entry` would allow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotItsHost {
    #[error(
        "secret `{secret}` is not sent to `{place}`: it may go nowhere yet; somebody with the role `secretsAdmin` has to say where it may go: `connection.secretHosts` of the target: {{\"{secret}\": [\"{entry}\"]}}"
    )]
    NoHosts { secret: String, place: String, entry: String },
    #[error(
        "secret `{secret}` is not sent to `{place}`: `connection.secretHosts.{secret}` of the target does not name it; add \"{entry}\" to allow it"
    )]
    NotNamed { secret: String, place: String, entry: String },
    #[error(
        "secret `{secret}` is not sent to `{place}` over plain http: use https, or write \"{entry}\" in `connection.secretHosts.{secret}` of the target"
    )]
    Plain { secret: String, place: String, entry: String },
}

/// The entry of a secret that lets it go where a URL goes: its host, its port,
/// and that it is plain HTTP. `None` for what is no such URL.
pub fn entry_of_url(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.has_host().then(|| entry_of(&url))
}

fn entry_of(url: &Url) -> String {
    format!("{}{}", if url.scheme() == "http" { PLAIN } else { "" }, authority(url))
}

impl SecretHosts {
    /// Reads entries like those of `egressAllow`, of which one that begins with
    /// `http://` does without TLS. An address or a network counts for URLs that
    /// name an address themselves, not for what a name resolves to.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be read.
    pub fn parse(rules: &BTreeMap<String, Vec<String>>) -> Result<Self, SecretHostsError> {
        let read = |(secret, entries): (&String, &Vec<String>)| {
            let entry = |(index, text): (usize, &String)| {
                let error = |message| SecretHostsError { secret: secret.clone(), index, message };
                Host::parse(text.trim()).map_err(error)
            };
            let entries = entries.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
            Ok((secret.clone(), entries))
        };
        Ok(Self { rules: rules.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Of one secret: for tests.
    ///
    /// # Panics
    ///
    /// When an entry cannot be read.
    #[cfg(test)]
    pub(super) fn of(secret: &str, entries: &[&str]) -> Self {
        let entries = entries.iter().map(ToString::to_string).collect();
        Self::parse(&BTreeMap::from([(secret.to_owned(), entries)])).unwrap()
    }

    /// Whether all these secrets may go to the URL's host and port.
    pub(super) fn check(&self, secrets: &Used, url: &Url) -> Result<(), NotItsHost> {
        secrets.iter().try_for_each(|secret| self.check_one(secret, url))
    }

    fn check_one(&self, secret: &str, url: &Url) -> Result<(), NotItsHost> {
        let (place, entry) = (authority(url), entry_of(url));
        let secret = secret.to_owned();
        let Some(hosts) = self.rules.get(&secret) else {
            return Err(NotItsHost::NoHosts { secret, place, entry });
        };
        let mut here = hosts.iter().filter(|host| host.is_at(url)).peekable();
        if here.peek().is_none() {
            return Err(NotItsHost::NotNamed { secret, place, entry });
        }
        let allowed = url.scheme() == "https" || here.any(|host| host.plain);
        if allowed { Ok(()) } else { Err(NotItsHost::Plain { secret, place, entry }) }
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        let plain = text.get(..PLAIN.len()).is_some_and(|start| start.eq_ignore_ascii_case(PLAIN));
        let place = if plain { &text[PLAIN.len()..] } else { text };
        Ok(Self { entry: Entry::parse(place.strip_suffix('/').filter(|_| plain).unwrap_or(place))?, plain })
    }

    fn is_at(&self, url: &Url) -> bool {
        let port = url.port_or_known_default().unwrap_or_default();
        self.entry.for_port(port)
            && match url.host() {
                Some(url::Host::Domain(name)) => self.entry.names(name),
                Some(url::Host::Ipv4(address)) => self.entry.holds(address.into()),
                Some(url::Host::Ipv6(address)) => self.entry.holds(address.into()),
                None => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(entries: &[&str]) -> SecretHosts {
        SecretHosts::of("token", entries)
    }

    fn check(hosts: &SecretHosts, secret: &str, url: &str) -> Result<(), String> {
        let url = Url::parse(url).unwrap();
        hosts.check(&Used::from([secret.to_owned()]), &url).map_err(|refused| refused.to_string())
    }

    #[test]
    fn a_secret_goes_to_its_own_hosts_only() {
        let hosts = rules(&[
            "api.example.org",
            "*.example.org:8443",
            "10.0.0.0/8",
            "[fd00::1]:636",
            "http://plain.example",
            "HTTP://10.0.0.1:8080/",
        ]);
        for url in [
            "https://api.example.org/",
            "https://API.example.org:99/",
            "https://a.example.org:8443/",
            "https://10.1.2.3/",
            "https://[::ffff:10.1.2.3]/",
            "https://[fd00::1]:636/",
            "https://plain.example/",
            "http://plain.example/",
            "http://plain.example:8080/",
            "http://10.0.0.1:8080/",
        ] {
            assert_eq!(check(&hosts, "token", url), Ok(()), "{url}");
        }
        for url in [
            "http://api.example.org/",
            "http://10.0.0.1/",
            "http://10.1.2.3:8080/",
            "https://example.org/",
            "https://a.example.org/",
            "https://evil.example/",
            "http://11.0.0.1/",
            "https://[fd00::1]/",
            "https://api.example.org.evil.example/",
        ] {
            assert!(check(&hosts, "token", url).is_err(), "{url}");
        }
        assert!(check(&hosts, "other", "https://api.example.org/").is_err(), "it has no hosts");
    }

    #[test]
    fn a_refusal_names_secret_host_and_setting() {
        let refused = check(&rules(&[]), "token", "https://evil.example/").unwrap_err();
        assert_eq!(
            refused,
            "secret `token` is not sent to `evil.example:443`: `connection.secretHosts.token` of the target does not name it; add \"evil.example:443\" to allow it"
        );
        let refused = check(&rules(&[]), "other", "http://a.example/").unwrap_err();
        assert_eq!(
            refused,
            "secret `other` is not sent to `a.example:80`: it may go nowhere yet; somebody with the role `secretsAdmin` has to say where it may go: `connection.secretHosts` of the target: {\"other\": [\"http://a.example:80\"]}"
        );
        let refused = check(&rules(&["a.example"]), "token", "http://a.example:81/").unwrap_err();
        assert_eq!(
            refused,
            "secret `token` is not sent to `a.example:81` over plain http: use https, or write \"http://a.example:81\" in `connection.secretHosts.token` of the target"
        );
    }

    #[test]
    fn an_entry_of_a_url_allows_it() {
        for (url, entry) in [
            ("https://API.example.org/v1", Some("api.example.org:443")),
            ("http://127.0.0.1:8880/scim", Some("http://127.0.0.1:8880")),
            ("http://[::1]/", Some("http://[::1]:80")),
            ("https://bücher.example", Some("xn--bcher-kva.example:443")),
            ("ldap://a.example", None),
            ("a.example", None),
            ("", None),
        ] {
            assert_eq!(entry_of_url(url).as_deref(), entry, "{url}");
            if let Some(entry) = entry {
                assert_eq!(check(&rules(&[entry]), "token", url), Ok(()), "{url}");
            }
        }
    }

    #[test]
    fn a_bad_entry_is_pointed_at() {
        let rules = BTreeMap::from([("key".to_owned(), vec!["a.example".to_owned(), "*".to_owned()])]);
        let error = SecretHosts::parse(&rules).unwrap_err().to_string();
        assert!(error.starts_with("connection.secretHosts.key[1]: `*` is not a host name"), "{error}");
    }
}
