//! Keeps credentials out of the log that are no secrets of the target: access
//! tokens that logic fetched, session cookies, passwords of new accounts. They
//! are known by their place: by the name of a header field, of a member, of a
//! field, of an element.
//!
//! What is looked at may be cut anywhere. A labelled secret says enough and stays.
//! What was hidden is kept in mind ([`Seen`]), to be hidden wherever else it is.

mod form;
mod graphql;
mod json;
mod multipart;
mod names;
mod seen;
mod tokens;
mod xml;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::handles::Landing;
pub(super) use form::url;
pub(super) use names::is_credential_header;
use names::is_credential_key;
pub use seen::{Hider, Seen};

const HIDDEN: &str = "[hidden]";
const LABEL: &str = "[secret:";

/// Members that say of which one another member is the value, as in
/// `{"type": "password", "value": "…"}`.
const NAMING: [&str; 6] = ["path", "name", "key", "type", "field", "attribute"];
/// Those that then hold it.
const VALUES: [&str; 2] = ["value", "values"];

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data` and its like.
    Multipart,
    /// XML, by what its type says.
    Xml,
    /// `application/graphql`.
    GraphQl,
    /// JSON, or whatever.
    Other,
}

impl Format {
    /// Of a body with these header fields.
    pub(super) fn of(headers: &[(String, String)]) -> Self {
        let field = headers.iter().find(|(name, _)| name == "content-type");
        let value = field.map_or("", |(_, value)| value.as_str());
        let value = value.trim_start().to_ascii_lowercase();
        match Landing::of_content_type(&value) {
            Landing::Form => Self::Form,
            Landing::Xml => Self::Xml,
            _ if value.starts_with("multipart/") => Self::Multipart,
            _ if value.split(';').next().is_some_and(|kind| kind.trim_end() == "application/graphql") => {
                Self::GraphQl
            }
            _ => Self::Other,
        }
    }
}

/// The value of a header field as the log shows it. The scheme of
/// `Authorization` stays, and so does an address, but for its credentials.
pub(super) fn header<'a>(name: &str, value: &'a str, seen: &mut Seen) -> Cow<'a, str> {
    if matches!(name, "location" | "content-location" | "referer") {
        return url(value, seen).into();
    }
    if !is_credential_header(name) || value.contains(LABEL) {
        return value.into();
    }
    note_header(name, value, seen);
    match value.split_once(' ') {
        Some((scheme, _)) if name.ends_with("authorization") => format!("{scheme} {HIDDEN}").into(),
        _ => HIDDEN.into(),
    }
}

/// Keeps in mind what is a credential in such a header field.
fn note_header(name: &str, value: &str, seen: &mut Seen) {
    match (name, value.split_once(' ')) {
        // The first pair is the cookie, the others are about it.
        ("set-cookie", _) => note_pairs(value.split(';').take(1), seen),
        ("cookie", _) => note_pairs(value.split(';'), seen),
        (_, Some((scheme, credentials))) if name.ends_with("authorization") => {
            seen.note("token", credentials);
            let decoded =
                STANDARD.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some((_, password)) = decoded.as_deref().and_then(|text| text.split_once(':'))
                && scheme.eq_ignore_ascii_case("basic")
            {
                seen.note("password", password);
            }
        }
        _ => seen.note(name, value),
    }
}

fn note_pairs<'a>(pairs: impl Iterator<Item = &'a str>, seen: &mut Seen) {
    for (_, value) in pairs.filter_map(|pair| pair.split_once('=')) {
        seen.note("cookie", value);
    }
}

/// A body as the log shows it.
pub(super) fn body(text: &str, format: Format, seen: &mut Seen) -> String {
    match format {
        Format::Form => form::fields(text, seen),
        Format::Multipart => multipart::parts(text, seen),
        Format::Xml => xml::elements(text, seen),
        Format::GraphQl => graphql::arguments(text, seen),
        Format::Other if text.trim_start().starts_with("<?xml") => xml::elements(text, seen),
        Format::Other => json::members(text, seen),
    }
}

/// What the log shows of a credential.
fn hidden<'a>(key: &str, value: &'a str, seen: &mut Seen) -> &'a str {
    if value.trim_start().starts_with(LABEL) {
        return value;
    }
    seen.note(key, value);
    HIDDEN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
        super::header(name, value, &mut Seen::default())
    }

    #[test]
    fn headers_show_their_scheme_only() {
        assert_eq!(header("authorization", "Bearer abc"), "Bearer [hidden]");
        assert_eq!(header("authorization", "Bearer [secret:token]"), "Bearer [secret:token]");
        assert_eq!(header("set-cookie", "a=b; path=/"), "[hidden]");
        assert_eq!(header("x-api-key", "abc"), "[hidden]");
        assert_eq!(header("content-type", "text/plain"), "text/plain");
        assert_eq!(header("location", "/a?b=c&token=d#e"), "/a?b=c&token=[hidden]#e");
    }

    #[test]
    fn what_headers_hide_is_kept_in_mind() {
        let mut seen = Seen::default();
        for (name, value) in [
            ("authorization", "Basic YWRhOmh1bnRlcjIyMg=="),
            ("set-cookie", "sid=cookie-0001; path=/long-enough-1"),
            ("cookie", "a=cookie-0002; b=cookie-0003"),
            ("x-session", "session-0004"),
            ("x-api-key", "[secret:token]"),
            ("content-type", "text/long-enough-2"),
        ] {
            super::header(name, value, &mut seen);
        }
        let hider = seen.hider(&[]).unwrap();
        let text = "hunter222 YWRhOmh1bnRlcjIyMg== cookie-0001 cookie-0002 cookie-0003 session-0004";
        assert_eq!(hider.text(text), ["[hidden]"; 6].join(" "));
        let other = "/long-enough-1 text/long-enough-2 [secret:token]";
        assert_eq!(hider.text(other), other);
    }

    #[test]
    fn formats_are_those_of_their_types() {
        let of = |value: &str| Format::of(&[("content-type".to_owned(), value.to_owned())]);
        assert_eq!(of("application/x-www-form-urlencoded; charset=utf-8"), Format::Form);
        assert_eq!(of("Multipart/form-data; boundary=x"), Format::Multipart);
        assert_eq!(of("application/soap+xml"), Format::Xml);
        assert_eq!(of("application/GraphQL; charset=utf-8"), Format::GraphQl);
        assert_eq!(of("application/graphql-response+json"), Format::Other);
        assert_eq!((of("application/scim+json"), Format::of(&[])), (Format::Other, Format::Other));
        assert_eq!(
            body("<?xml version='1.0'?><pwd>x</pwd>", Format::Other, &mut Seen::default()),
            "<?xml version='1.0'?><pwd>[hidden]</pwd>"
        );
    }
}
