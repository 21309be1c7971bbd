//! Keeps credentials out of the log that are no secrets of the target: access
//! tokens that logic fetched, session cookies, passwords of new accounts. They
//! are known by their place: by the name of a header field, of a member, of a
//! field, of an element.
//!
//! What is looked at may be cut anywhere. A labelled secret says enough and stays.

mod form;
mod graphql;
mod json;
mod multipart;
mod tokens;
mod xml;

use std::borrow::Cow;

use super::handles::Landing;
pub(super) use form::url;

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

/// Header fields whose value is a credential.
pub(super) fn is_credential_header(name: &str) -> bool {
    matches!(name, "authorization" | "proxy-authorization" | "cookie" | "set-cookie")
        || ["token", "secret", "api-key", "apikey"].iter().any(|word| name.contains(word))
}

/// Members, fields and elements whose value is a credential. Tokens that say
/// where a list goes on are none.
fn is_credential_key(key: &str) -> bool {
    const ENDS: [&str; 14] = [
        "password",
        "passwordconfirmation",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "secrettext",
        "token",
        "assertion",
        "apikey",
        "accesskey",
        "secretkey",
        "privatekey",
        "credential",
    ];
    const OF_LISTS: [&str; 5] = ["pagetoken", "nexttoken", "skiptoken", "synctoken", "continuationtoken"];
    let letters = key.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase());
    let word: String = letters.collect();
    let ends = |ends: &[&str]| ends.iter().any(|end| word.ends_with(end));
    ends(&ENDS) && !ends(&OF_LISTS)
}

/// The value of a header field as the log shows it. The scheme of
/// `Authorization` stays, and so does an address, but for its credentials.
pub(super) fn header<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if matches!(name, "location" | "content-location" | "referer") {
        return url(value).into();
    }
    if !is_credential_header(name) || value.contains(LABEL) {
        return value.into();
    }
    match value.split_once(' ') {
        Some((scheme, _)) if name.ends_with("authorization") => format!("{scheme} {HIDDEN}").into(),
        _ => HIDDEN.into(),
    }
}

/// A body as the log shows it.
pub(super) fn body(text: &str, format: Format) -> String {
    match format {
        Format::Form => form::fields(text),
        Format::Multipart => multipart::parts(text),
        Format::Xml => xml::elements(text),
        Format::GraphQl => graphql::arguments(text),
        Format::Other if text.trim_start().starts_with("<?xml") => xml::elements(text),
        Format::Other => json::members(text),
    }
}

/// What the log shows of a credential.
fn hidden(value: &str) -> &str {
    if value.trim_start().starts_with(LABEL) { value } else { HIDDEN }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn credentials_are_known_by_their_names() {
        for key in [
            "password",
            "newPassword",
            "user[password]",
            "password_confirmation",
            "urn:ietf:params:scim:schemas:core:2.0:User:password",
            "access_token",
            "clientSecret",
            "X-Api-Key",
            "SecretAccessKey",
        ] {
            assert!(is_credential_key(key), "{key}");
        }
        for key in ["passwordPolicies", "tokenType", "expires", "nextPageToken", "$skiptoken", ""] {
            assert!(!is_credential_key(key), "{key}");
        }
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
            body("<?xml version='1.0'?><pwd>x</pwd>", Format::Other),
            "<?xml version='1.0'?><pwd>[hidden]</pwd>"
        );
    }
}
