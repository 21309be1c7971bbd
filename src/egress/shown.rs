//! What the log shows of requests and answers: text without secrets and other
//! credentials, up to its limits.

use super::hide::{self, Format, Seen};
use super::policy::TargetPolicy;
use super::request::is_forbidden;
use super::rest::Long;
use crate::domain::host_call::{ExchangeRequest, FetchRequest};

/// Bytes of a body, a URL or a header value that the log keeps.
pub(super) const BODY_KEPT: usize = 4096;
/// Bytes of the longest form of a secret: each of its bytes may take three.
const LONGEST_SECRET: usize = 3 * 16_384;
/// Header fields that the log keeps.
const HEADERS_KEPT: usize = 100;
/// Bytes of all of them, names and values.
const HEAD_KEPT: usize = 8192;

/// A request as the log shows it, and what the log does not show of it.
#[derive(Clone)]
pub(super) struct Shown {
    pub request: ExchangeRequest,
    pub long: Option<Long>,
    /// The credentials in it.
    pub seen: Seen,
}

#[cfg(test)]
impl Shown {
    /// A request without a body.
    pub fn get(url: &str) -> Self {
        let (method, url) = ("GET".to_owned(), url.to_owned());
        let request = ExchangeRequest { method, url, headers: Vec::new(), body: None };
        Self { request, long: None, seen: Seen::default() }
    }
}

/// How much of a body has come.
#[derive(Clone, Copy)]
pub(super) struct Received {
    pub bytes: usize,
    pub whole: bool,
}

impl Received {
    /// All of a body.
    pub(super) const fn whole(body: &[u8]) -> Self {
        Self { bytes: body.len(), whole: true }
    }
}

/// `7 bytes`, and whether there would have been more.
impl std::fmt::Display for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} bytes{}>", self.bytes, if self.whole { "" } else { " read of more" })
    }
}

/// The request as the log shows it: made from what logic asked for, which holds
/// handles. Values are looked for all the same.
pub(super) fn shown_request(request: &FetchRequest, policy: &TargetPolicy) -> Shown {
    let format = Format::of(&request.headers);
    let body = request.body.as_ref().map(|body| (body, Received::whole(body)));
    let mut seen = Seen::default();
    let headers = request.headers.iter().filter(|(name, _)| !is_forbidden(name));
    let shown = ExchangeRequest {
        method: kept(&policy.redact(&request.method)),
        url: kept(&shown_url(&request.url, policy, &mut seen)),
        headers: shown_headers(headers, policy, &mut seen),
        body: body.and_then(|(body, received)| shown_body(body, received, format, (policy, &mut seen))),
    };
    let long = body.and_then(|(body, received)| Long::of(body, received, format));
    Shown { request: shown, long, seen }
}

pub(super) fn shown_headers<'a>(
    headers: impl Iterator<Item = &'a (String, String)>,
    policy: &TargetPolicy,
    seen: &mut Seen,
) -> Vec<(String, String)> {
    let shown = |(name, value): &(String, String)| {
        let labelled = policy.handles.label_header(value);
        let value = policy.hide.redact(&labelled);
        let shown_name = policy.hide_in_names.redact(name);
        let value = policy.handles.label(&value);
        (kept(&policy.handles.label(&shown_name)), kept(&hide::header(name, &value, seen)))
    };
    let mut left = HEAD_KEPT;
    let fits = |(name, value): &(String, String)| {
        left = left.saturating_sub(name.len() + value.len());
        left > 0
    };
    headers.take(HEADERS_KEPT).map(shown).take_while(fits).collect()
}

/// What the log keeps of a text. A request is shown before it is checked, so
/// it may be of any length and hold a NUL, which PostgreSQL cannot store.
pub(super) fn kept(text: &str) -> String {
    let end = text.floor_char_boundary(BODY_KEPT);
    let mut kept = text[..end].to_owned();
    if end < text.len() {
        kept.push('…');
    }
    if kept.contains('\0') { kept.replace('\0', "\u{fffd}") } else { kept }
}

/// `None` for an empty body; its size for one that is not text, or that holds
/// a NUL, which PostgreSQL cannot store. `body` may be its beginning only.
pub(super) fn shown_body(
    body: &[u8],
    received: Received,
    format: Format,
    (policy, seen): (&TargetPolicy, &mut Seen),
) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    let Some(text) = text_start(body, BODY_KEPT) else { return Some(received.to_string()) };
    // A secret at the end is found before it is cut, and so is what says that
    // something before it is a credential. What was hidden makes room: not for
    // a secret that is cut itself.
    let more = text_start(body, BODY_KEPT + LONGEST_SECRET).unwrap_or(text);
    let mut shown = shown_text(more, format, policy, seen);
    if text.len() < received.bytes || !received.whole {
        let unsure = if more.len() < body.len() { LONGEST_SECRET } else { 0 };
        let certain = shown.len().saturating_sub(unsure).min(BODY_KEPT);
        shown.truncate(shown.floor_char_boundary(certain));
        shown.push_str(&format!("… {received}"));
    }
    Some(shown)
}

/// A body's text without secrets and other credentials.
pub(super) fn shown_text(text: &str, format: Format, policy: &TargetPolicy, seen: &mut Seen) -> String {
    hide::body(&policy.redact(text), format, seen)
}

/// A URL likewise.
pub(super) fn shown_url(url: &str, policy: &TargetPolicy, seen: &mut Seen) -> String {
    hide::url(&policy.redact(url), seen)
}

/// The first `limit` bytes, less the part of a character at the end; `None`
/// when they are no text, or hold a NUL.
pub(super) fn text_start(body: &[u8], limit: usize) -> Option<&str> {
    let start = &body[..body.len().min(limit)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && start.len() < body.len() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host_call::Redirect;
    use crate::egress::AllowList;
    use crate::security::NamedSecret;

    fn shown(body: &[u8]) -> Option<String> {
        shown_body(body, Received::whole(body), Format::Other, (&policy(), &mut Seen::default()))
    }

    fn policy() -> TargetPolicy {
        TargetPolicy::new(AllowList::default(), vec![NamedSecret::new("token", "correct horse")])
    }

    #[test]
    fn bodies_are_text_up_to_a_limit() {
        assert_eq!(shown(b""), None);
        assert_eq!(shown("é".as_bytes()), Some("é".to_owned()));
        assert_eq!(shown(&[0xff, 0xfe]), Some("<2 bytes>".to_owned()));
        assert_eq!(shown(b"a\0b"), Some("<3 bytes>".to_owned()));
        let long = format!("a{}", "é".repeat(3000));
        let cut = shown(long.as_bytes()).unwrap();
        assert_eq!(cut, format!("a{}… <6001 bytes>", "é".repeat(2047)));
    }

    #[test]
    fn a_secret_is_found_where_a_body_is_cut() {
        let body = format!("{}correct horse", "x".repeat(BODY_KEPT - 7));
        let cut = shown(body.as_bytes()).unwrap();
        assert!(cut.ends_with("x[secret… <4102 bytes>"), "{cut}");
    }

    #[test]
    fn values_are_found_in_requests_too() {
        let request = FetchRequest {
            method: "POST".to_owned(),
            url: "https://a.example/?k=correct%20horse".to_owned(),
            headers: vec![("x-key".to_owned(), "a correct horse".to_owned())],
            body: Some("{\"k\":\"correct horse\"}".into()),
            redirect: Redirect::Follow,
            effect: None,
        };
        let shown = shown_request(&request, &policy()).request;
        assert_eq!(shown.url, "https://a.example/?k=[secret:token]");
        assert_eq!(shown.headers[0].1, "a [secret:token]");
        assert_eq!(shown.body.as_deref(), Some("{\"k\":\"[secret:token]\"}"));
    }

    #[test]
    fn credentials_are_hidden_by_their_place() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = FetchRequest {
            method: "POST".to_owned(),
            url: "https://a.example/?k=hello&access_token=P".to_owned(),
            headers: vec![field("content-type", "text/xml")],
            body: Some("<a><password>P</password></a>".into()),
            redirect: Redirect::Follow,
            effect: None,
        };
        let shown = shown_request(&request, &policy()).request;
        assert_eq!(shown.url, "https://a.example/?k=hello&access_token=[hidden]");
        assert_eq!(shown.body.as_deref(), Some("<a><password>[hidden]</password></a>"));
        let location = [field("location", "/next?token=P")];
        assert_eq!(
            shown_headers(location.iter(), &policy(), &mut Seen::default()),
            [field("location", "/next?token=[hidden]")]
        );
    }

    #[test]
    fn what_is_hidden_in_a_long_body_is_known_from_behind_the_cut() {
        let value = "P".repeat(BODY_KEPT);
        let body = format!(r#"{{"op":"replace","value":"{value}","path":"password"}}"#);
        let cut = shown(body.as_bytes()).unwrap();
        assert!(!cut.contains('P'), "{cut}");
        // A long password makes room for what lies behind it, but not for half a secret.
        let long = "P".repeat(BODY_KEPT + LONGEST_SECRET - 100);
        let body = format!(r#"{{"password":"{long}","b":"{}correct horse"}}"#, "x".repeat(69));
        let cut = shown(body.as_bytes()).unwrap();
        assert!(!cut.contains("correct") && cut.ends_with(" bytes>"), "{cut}");
        // Short bodies are shown whole, also where labels make them longer.
        let body = format!("{}correct horse", "x".repeat(BODY_KEPT - 13));
        assert!(shown(body.as_bytes()).unwrap().ends_with("x[secret:token]"));
    }

    #[test]
    fn what_is_kept_can_be_stored() {
        assert_eq!(kept("a\0b"), "a\u{fffd}b");
        assert_eq!(kept(&"é".repeat(3000)), format!("{}…", "é".repeat(2048)));
    }
}
