//! Stand-ins for secrets. Logic holds `__secret_NAME_<16 hex>__`, egress puts
//! the value in its place on the way out and takes it back on the way in.
//!
//! A handle consists of letters, digits and `_`, so URL, JSON, XML and form
//! encoders leave it as it is, and the value is encoded for the place it lands
//! in. Base64 does change it; `Basic` authorization is therefore decoded,
//! filled and encoded again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::security::forms::{json_escape, percent_encode, xml_escape};
use crate::security::{NamedSecret, Redactor};

/// Where a value lands, which decides how it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    /// As it is.
    Raw,
    /// In the path or query of a URL (RFC 3986 §2.1).
    Url,
    /// In a form field (`application/x-www-form-urlencoded`).
    Form,
    /// In a JSON string.
    Json,
    /// In XML text or an attribute.
    Xml,
}

impl Landing {
    /// Of a body with this `Content-Type`.
    pub(super) fn of_content_type(value: &str) -> Self {
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            json if json.ends_with("json") => Self::Json,
            xml if xml.ends_with("xml") => Self::Xml,
            _ => Self::Raw,
        }
    }

    fn encode(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Raw => value.into(),
            Self::Url => percent_encode(value, "").into(),
            Self::Form => url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().into(),
            Self::Json => json_escape(value).into(),
            Self::Xml => xml_escape(value).into(),
        }
    }
}

/// Names of the secrets that go into a request.
pub(super) type Used = BTreeSet<String>;

/// With its secrets it would be longer than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// The handles of one policy.
pub(super) struct Handles {
    finder: Option<AhoCorasick>,
    handles: Vec<String>,
    secrets: Vec<NamedSecret>,
}

impl Handles {
    pub(super) fn issue(secrets: Vec<NamedSecret>) -> Self {
        let handles: Vec<_> = secrets.iter().map(|secret| new_handle(&secret.name)).collect();
        // Building fails only for gigabytes of patterns.
        let finder = if handles.is_empty() { None } else { AhoCorasick::new(&handles).ok() };
        Self { finder, handles, secrets }
    }

    pub(super) fn by_name(&self) -> BTreeMap<String, String> {
        self.secrets.iter().map(|secret| secret.name.clone()).zip(self.handles.iter().cloned()).collect()
    }

    /// Replaces values by handles.
    pub(super) fn value_redactor(&self) -> Redactor {
        let values = self.secrets.iter().map(|secret| &secret.value);
        Redactor::labelled(self.handles.iter().cloned().zip(values))
    }

    /// The same in names of header fields.
    pub(super) fn name_redactor(&self) -> Redactor {
        let values = self.secrets.iter().map(|secret| &secret.value);
        Redactor::of_names(self.handles.iter().cloned().zip(values))
    }

    /// Puts values in place of handles and adds the names of their secrets to
    /// `used`; `None` when there is no handle. Little becomes much by that: no
    /// more than `most` bytes are made.
    pub(super) fn fill(
        &self,
        bytes: &[u8],
        landing: Landing,
        most: usize,
        used: &mut Used,
    ) -> Result<Option<Vec<u8>>, TooLong> {
        used.extend(self.names_in(bytes));
        self.replace(bytes, most, |secret| landing.encode(secret.value.expose()))
    }

    /// As [`Handles::fill`] for a header value: also inside `Basic` credentials
    /// (RFC 7617 §2).
    pub(super) fn fill_header(
        &self,
        value: &[u8],
        most: usize,
        used: &mut Used,
    ) -> Result<Option<Vec<u8>>, TooLong> {
        let filled = self.fill(value, Landing::Raw, most, used)?;
        let Some(credentials) = basic_credentials(value).filter(|_| filled.is_none()) else {
            return Ok(filled);
        };
        let filled = self.fill(&credentials, Landing::Raw, most, used)?;
        Ok(filled.map(|filled| format!("Basic {}", STANDARD.encode(filled)).into_bytes()))
    }

    /// A secret with a handle in the value that a header cannot hold (RFC 9110 §5.5),
    /// and why.
    pub(super) fn unfit_for_header(&self, value: &[u8]) -> Option<(&str, &'static str)> {
        let found = self.finder.iter().flat_map(|finder| finder.find_iter(value));
        let secrets = found.map(|handle| &self.secrets[handle.pattern().as_usize()]);
        secrets.into_iter().find_map(|secret| Some((secret.name.as_str(), unfit(secret.value.expose())?)))
    }

    /// The secrets whose handles stand in the text.
    pub(super) fn names_in(&self, bytes: &[u8]) -> Used {
        let found = self.finder.iter().flat_map(|finder| finder.find_iter(bytes));
        found.map(|handle| self.secrets[handle.pattern().as_usize()].name.clone()).collect()
    }

    /// Puts `[secret:NAME]` in place of handles.
    pub(super) fn label<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // A label is shorter than its handle.
        match self.replace(text.as_bytes(), usize::MAX, label_of) {
            Ok(Some(bytes)) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            _ => Cow::Borrowed(text),
        }
    }

    /// As [`Handles::label`] for a header value: also inside `Basic` credentials.
    pub(super) fn label_header<'a>(&self, value: &'a str) -> Cow<'a, str> {
        let in_credentials = || -> Option<Cow<'a, str>> {
            let finder = self.finder.as_ref()?;
            let credentials = basic_credentials(value.as_bytes())?;
            let found = finder.find(&credentials)?;
            Some(format!("Basic {}", label_of(&self.secrets[found.pattern().as_usize()])).into())
        };
        in_credentials().unwrap_or_else(|| self.label(value))
    }

    fn replace<'a>(
        &'a self,
        bytes: &[u8],
        most: usize,
        with: impl Fn(&'a NamedSecret) -> Cow<'a, str>,
    ) -> Result<Option<Vec<u8>>, TooLong> {
        let mut found = self.finder.iter().flat_map(|finder| finder.find_iter(bytes)).peekable();
        if found.peek().is_none() {
            return Ok(None);
        }
        let mut out = Vec::with_capacity(bytes.len() + 64);
        let mut done = 0;
        for handle in found {
            out.extend_from_slice(&bytes[done..handle.start()]);
            out.extend_from_slice(with(&self.secrets[handle.pattern().as_usize()]).as_bytes());
            done = handle.end();
            if out.len() > most {
                return Err(TooLong);
            }
        }
        out.extend_from_slice(&bytes[done..]);
        if out.len() > most { Err(TooLong) } else { Ok(Some(out)) }
    }
}

fn unfit(value: &str) -> Option<&'static str> {
    let is_line_end = |c| matches!(c, '\n' | '\r');
    if value.trim_end_matches(is_line_end).contains(is_line_end) {
        Some("it has several lines")
    } else if value.ends_with(is_line_end) {
        Some("it ends with a line end")
    } else {
        value.contains(|c: char| c.is_ascii_control() && c != '\t').then_some("it holds a control character")
    }
}

fn label_of(secret: &NamedSecret) -> Cow<'_, str> {
    format!("[secret:{}]", secret.name).into()
}

fn new_handle(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("__secret_{safe}_{:016x}__", rand::random::<u64>())
}

fn basic_credentials(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, credentials) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    STANDARD.decode(credentials.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handles() -> (Handles, String) {
        let handles = Handles::issue(vec![NamedSecret::new("api token", "a\"b&c/d é")]);
        let handle = handles.by_name()["api token"].clone();
        (handles, handle)
    }

    #[test]
    fn a_handle_survives_encoders() {
        let (_, handle) = handles();
        assert!(handle.starts_with("__secret_api_token_") && handle.ends_with("__"), "{handle}");
        assert_eq!(percent_encode(&handle, ""), handle);
        assert_eq!(handle.len(), "__secret_api_token_".len() + 18);
    }

    #[test]
    fn values_are_encoded_for_where_they_land() {
        let (handles, handle) = handles();
        let fill = |content_type| {
            let landing = Landing::of_content_type(content_type);
            String::from_utf8(
                handles.fill(handle.as_bytes(), landing, 100, &mut Used::new()).unwrap().unwrap(),
            )
            .unwrap()
        };
        assert_eq!(fill("text/plain"), "a\"b&c/d é");
        assert_eq!(fill("application/scim+json; charset=utf-8"), "a\\\"b&c/d é");
        assert_eq!(fill("application/x-www-form-urlencoded"), "a%22b%26c%2Fd+%C3%A9");
        assert_eq!(fill("text/xml"), "a&quot;b&amp;c/d é");
        let mut used = Used::new();
        let url = handles.fill(handle.as_bytes(), Landing::Url, 100, &mut used).unwrap().unwrap();
        assert_eq!(url, b"a%22b%26c%2Fd%20%C3%A9");
        assert_eq!(handles.fill(b"none", Landing::Raw, 0, &mut used), Ok(None));
        assert_eq!(used, Used::from(["api token".to_owned()]));
    }

    #[test]
    fn no_more_is_made_than_may_be() {
        let secret = NamedSecret::new("long", "x".repeat(16_000).as_str());
        let handles = Handles::issue(vec![secret]);
        let many = handles.by_name()["long"].repeat(100_000);
        let fill = |most| handles.fill(many.as_bytes(), Landing::Raw, most, &mut Used::new());
        assert_eq!(fill(10 << 20), Err(TooLong));
        let one = &many[..many.len() / 100_000];
        let fill = |most| handles.fill(one.as_bytes(), Landing::Raw, most, &mut Used::new());
        assert_eq!(fill(15_999), Err(TooLong));
        assert_eq!(fill(16_000).unwrap().unwrap().len(), 16_000);
    }

    #[test]
    fn basic_credentials_are_opened() {
        let (handles, handle) = handles();
        let value = format!("basic {}", STANDARD.encode(format!("user:{handle}")));
        let filled = handles.fill_header(value.as_bytes(), 100, &mut Used::new()).unwrap().unwrap();
        assert_eq!(filled, format!("Basic {}", STANDARD.encode("user:a\"b&c/d é")).into_bytes());
        assert_eq!(handles.label_header(&value), "Basic [secret:api token]");
        assert_eq!(handles.label_header(&format!("Bearer {handle}")), "Bearer [secret:api token]");
    }

    #[test]
    fn a_secret_that_no_header_can_hold_is_named_with_the_reason() {
        let why = |value: &str| {
            let handles =
                Handles::issue(vec![NamedSecret::new("other", "fine"), NamedSecret::new("key", value)]);
            let text = format!("{} {}", handles.by_name()["other"], handles.by_name()["key"]);
            handles.unfit_for_header(text.as_bytes()).map(|(name, why)| format!("{name}: {why}"))
        };
        for fine in ["plain", "sp ace\ttab", "\u{e9}\u{20ac}"] {
            assert_eq!(why(fine), None, "{fine:?}");
        }
        for line in ["a\n", "a\r\n", "a\n\n"] {
            assert_eq!(why(line).as_deref(), Some("key: it ends with a line end"), "{line:?}");
        }
        assert_eq!(why("a\nb").as_deref(), Some("key: it has several lines"));
        assert_eq!(why("a\x1b[0m").as_deref(), Some("key: it holds a control character"));
        assert_eq!(why("a\0").as_deref(), Some("key: it holds a control character"));
    }
}
