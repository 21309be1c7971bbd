//! What an external system answers, and what must hold whatever it is. The tests
//! below and the fuzz targets of `fuzz/` share it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use reqwest::Url;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use serde_json::Value;
use url::Host;

use super::coding::Decoder;
use super::hide::{self, Format};
use super::request::check_url;
use super::{AllowList, TargetPolicy};
use crate::domain::retry_after;
use crate::security::{NamedSecret, Parts};

/// Has something that each form of it writes differently.
pub const SECRET: &str = "s3cr\u{e9}t \"/+&<?>~";

static POLICY: LazyLock<TargetPolicy> =
    LazyLock::new(|| TargetPolicy::new(AllowList::default(), vec![NamedSecret::new("key", SECRET)]));

/// Bytes that came back: as a body, as a header field, as an address to go to.
pub fn answer(said: &[u8]) {
    let for_logic = POLICY.hide.redact_bytes(said);
    let seen = for_logic.as_deref().unwrap_or(said);
    assert!(!seen.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    in_parts(said);
    packed(said);
    let Ok(text) = std::str::from_utf8(said) else { return };
    let logged = POLICY.redact(text);
    assert!(!logged.contains(SECRET));
    let bodies = [Format::Form, Format::Multipart, Format::Xml, Format::GraphQl, Format::Other];
    let mut seen = hide::Seen::default();
    let shown = bodies.map(|format| hide::body(&logged, format, &mut seen));
    for shown in shown.into_iter().chain([hide::url(&logged, &mut seen)]) {
        // Hiding takes credentials out and adds no other text.
        assert!(shown.len() <= logged.len() + 10 * shown.matches("[hidden]").count());
    }
    let now = DateTime::UNIX_EPOCH;
    assert!(retry_after::parse(text, now) <= Duration::from_secs(7 * 86_400));
    if let Ok(mut value) = serde_json::from_str::<Value>(text) {
        POLICY.redact_value(&mut value);
        assert!(!contains_secret(&value));
    }
    address(text);
}

/// A body comes in pieces, and a secret may lie in two of them.
fn in_parts(said: &[u8]) {
    let mut parts = Parts::default();
    let (first, rest) = said.split_at(said.first().map_or(0, |cut| usize::from(*cut) % said.len()));
    let mut seen = parts.push(&POLICY.hide, first);
    seen.extend(parts.push(&POLICY.hide, rest));
    seen.extend(parts.finish(&POLICY.hide));
    assert_eq!(seen, POLICY.hide.redact_bytes(said).unwrap_or_else(|| said.to_vec()));
}

/// Whatever a label promises of a body, no more comes out than may.
fn packed(said: &[u8]) {
    const MOST: usize = 1 << 16;
    let gzip = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
    let mut decoder = Decoder::of(&gzip, MOST);
    let first = decoder.push(Bytes::copy_from_slice(said)).map_or(0, |bytes| bytes.len());
    let rest = decoder.finish().map_or(0, |bytes| bytes.len());
    assert!(first + rest <= MOST.max(said.len()));
}

fn contains_secret(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(SECRET),
        Value::Array(items) => items.iter().any(contains_secret),
        Value::Object(members) => {
            members.iter().any(|(name, value)| name.contains(SECRET) || contains_secret(value))
        }
        _ => false,
    }
}

/// However it is written, what leads into a network is not gone to.
fn address(text: &str) {
    let base = Url::parse("https://a.example/x?y").unwrap();
    let Ok(url) = base.join(text) else { return };
    if check_url(&url, &POLICY).is_err() {
        return;
    }
    assert!(matches!(url.scheme(), "http" | "https"), "{url}");
    let address: IpAddr = match url.host().unwrap() {
        Host::Domain(_) => return,
        Host::Ipv4(address) => address.into(),
        Host::Ipv6(address) => IpAddr::from(address).to_canonical(),
    };
    assert!(!address.is_loopback() && !address.is_unspecified() && !address.is_multicast(), "{url}");
    match address {
        IpAddr::V4(v4) => assert!(!v4.is_private() && !v4.is_link_local() && !v4.is_broadcast(), "{url}"),
        IpAddr::V6(v6) => assert!(!v6.is_unique_local() && !v6.is_unicast_link_local(), "{url}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_answer_is_survived(
            before in prop::collection::vec(any::<u8>(), 0..40),
            word in prop::sample::select(vec![SECRET, "", "{\"token\": \"x", "<a token='x", "<pwd>x", "--x\nd; name=pwd\n\nx", "?pwd=x#pwd=x", "http://0x7f.1/", "//[::1]/", "Sun, 06 Nov 1994", "1e9", "-7.5, 3s"]),
            after in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            answer(&[&before[..], word.as_bytes(), &after[..]].concat());
            answer(word.as_bytes());
        }
    }
}
