//! Where each secret may go, beside where the target may go at all.

use std::collections::BTreeMap;

use reqwest::Url;
use url::Host;

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
/// wherever the target may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretHosts {
    rules: BTreeMap<String, Vec<Entry>>,
}

/// A secret on its way to a place that is not its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "secret `{secret}` is not sent to `{place}`: `connection.secretHosts.{secret}` of the target does not name it; add \"{place}\" to allow it"
)]
pub(super) struct NotItsHost {
    secret: String,
    place: String,
}

impl SecretHosts {
    /// Reads entries like those of `egressAllow`. An address or a network counts
    /// for URLs that name an address themselves, not for what a name resolves to.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be read.
    pub fn parse(rules: &BTreeMap<String, Vec<String>>) -> Result<Self, SecretHostsError> {
        let read = |(secret, entries): (&String, &Vec<String>)| {
            let entry = |(index, text): (usize, &String)| {
                let error = |message| SecretHostsError { secret: secret.clone(), index, message };
                Entry::parse(text.trim()).map_err(error)
            };
            let entries = entries.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
            Ok((secret.clone(), entries))
        };
        Ok(Self { rules: rules.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Whether all these secrets may go to the URL's host and port.
    pub(super) fn check(&self, secrets: &Used, url: &Url) -> Result<(), NotItsHost> {
        match secrets.iter().find(|secret| !self.allows(secret, url)) {
            Some(secret) => Err(NotItsHost { secret: secret.clone(), place: authority(url) }),
            None => Ok(()),
        }
    }

    fn allows(&self, secret: &str, url: &Url) -> bool {
        let Some(entries) = self.rules.get(secret) else { return true };
        let port = url.port_or_known_default().unwrap_or_default();
        entries.iter().filter(|entry| entry.for_port(port)).any(|entry| match url.host() {
            Some(Host::Domain(name)) => entry.names(name),
            Some(Host::Ipv4(address)) => entry.holds(address.into()),
            Some(Host::Ipv6(address)) => entry.holds(address.into()),
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(entries: &[&str]) -> SecretHosts {
        let entries = entries.iter().map(ToString::to_string).collect();
        SecretHosts::parse(&BTreeMap::from([("token".to_owned(), entries)])).unwrap()
    }

    fn check(hosts: &SecretHosts, secret: &str, url: &str) -> Result<(), String> {
        let url = Url::parse(url).unwrap();
        hosts.check(&Used::from([secret.to_owned()]), &url).map_err(|refused| refused.to_string())
    }

    #[test]
    fn a_secret_goes_to_its_own_hosts_only() {
        let hosts = rules(&["api.example.org", "*.example.org:8443", "10.0.0.0/8", "[fd00::1]:636"]);
        for url in [
            "https://api.example.org/",
            "http://API.example.org:99/",
            "https://a.example.org:8443/",
            "http://10.1.2.3/",
            "http://[::ffff:10.1.2.3]/",
            "https://[fd00::1]:636/",
        ] {
            assert_eq!(check(&hosts, "token", url), Ok(()), "{url}");
        }
        for url in [
            "https://example.org/",
            "https://a.example.org/",
            "https://evil.example/",
            "http://11.0.0.1/",
            "https://[fd00::1]/",
            "https://api.example.org.evil.example/",
        ] {
            assert!(check(&hosts, "token", url).is_err(), "{url}");
        }
        assert_eq!(check(&hosts, "other", "https://evil.example/"), Ok(()), "it has no rule");
    }

    #[test]
    fn a_refusal_names_secret_host_and_setting() {
        let refused = check(&rules(&[]), "token", "https://evil.example/").unwrap_err();
        assert_eq!(
            refused,
            "secret `token` is not sent to `evil.example:443`: `connection.secretHosts.token` of the target does not name it; add \"evil.example:443\" to allow it"
        );
    }

    #[test]
    fn a_bad_entry_is_pointed_at() {
        let rules = BTreeMap::from([("key".to_owned(), vec!["a.example".to_owned(), "*".to_owned()])]);
        let error = SecretHosts::parse(&rules).unwrap_err().to_string();
        assert!(error.starts_with("connection.secretHosts.key[1]: `*` is not a host name"), "{error}");
    }
}
