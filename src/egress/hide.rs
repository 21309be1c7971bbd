//! Keeps credentials out of the log that are no secrets of the target: access
//! tokens that logic fetched, session cookies, passwords of new accounts.

use std::borrow::Cow;

const HIDDEN: &str = "[hidden]";

/// Header fields whose value is a credential.
pub(super) fn is_credential_header(name: &str) -> bool {
    matches!(name, "authorization" | "proxy-authorization" | "cookie" | "set-cookie")
        || ["token", "secret", "api-key", "apikey"].iter().any(|word| name.contains(word))
}

/// Members and form fields whose value is a credential.
fn is_credential_key(key: &str) -> bool {
    const ENDS: [&str; 9] =
        ["password", "passwd", "pwd", "secret", "token", "assertion", "api_key", "apikey", "private_key"];
    let key = key.to_ascii_lowercase();
    ENDS.iter().any(|end| key.ends_with(end))
}

/// The value of a header field as the log shows it. One with a labelled secret
/// says enough and stays; the scheme of `Authorization` stays, too.
pub(super) fn header<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if !is_credential_header(name) || value.contains("[secret:") {
        return value.into();
    }
    match value.split_once(' ') {
        Some((scheme, _)) if name.ends_with("authorization") => format!("{scheme} {HIDDEN}").into(),
        _ => HIDDEN.into(),
    }
}

/// A body as the log shows it.
pub(super) fn body(text: &str, is_form: bool) -> String {
    if is_form { form(text) } else { json(text) }
}

fn form(text: &str) -> String {
    let field = |field: &str| match field.split_once('=') {
        Some((key, value)) if is_credential_key(key) && !value.starts_with("[secret:") => {
            format!("{key}={HIDDEN}")
        }
        _ => field.to_owned(),
    };
    text.split('&').map(field).collect::<Vec<_>>().join("&")
}

/// Works on any text, whole or cut: looks at what stands after `"key":`.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, key, after)) = next_string(rest) {
        out.push_str(before);
        rest = after;
        if !is_credential_key(key) {
            continue;
        }
        let Some(value) = value_after_colon(rest) else { continue };
        out.push_str(&rest[..rest.len() - value.len()]);
        rest = value;
        if let Some((_, inner, after)) = next_string(value) {
            out.push('"');
            out.push_str(if inner.starts_with("[secret:") { inner } else { HIDDEN });
            out.push('"');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The text up to and with the next string, the inside of that string, and
/// what follows; a string without an end reaches to the end of the text.
fn next_string(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find('"')? + 1;
    let mut escaped = false;
    let is_end = |(_, byte): &(usize, u8)| {
        let end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        end
    };
    let end = text.bytes().enumerate().skip(start).find(is_end).map_or(text.len(), |(at, _)| at);
    let after = (end + 1).min(text.len());
    Some((&text[..after], &text[start..end], &text[after..]))
}

/// What follows `:` when that is a string.
fn value_after_colon(text: &str) -> Option<&str> {
    let value = text.trim_start().strip_prefix(':')?.trim_start();
    value.starts_with('"').then_some(value)
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
    }

    #[test]
    fn credentials_in_json_are_hidden() {
        let text = r#"{"userName":"a","password" : "x\"y","n":{"access_token":"ey","expires":5},"b":"z"}"#;
        let shown =
            r#"{"userName":"a","password" : "[hidden]","n":{"access_token":"[hidden]","expires":5},"b":"z"}"#;
        assert_eq!(body(text, false), shown);
        assert_eq!(body(r#"{"clientSecret":"[secret:c]"}"#, false), r#"{"clientSecret":"[secret:c]"}"#);
        assert_eq!(body(r#"{"path":"password","value":"p"}"#, false), r#"{"path":"password","value":"p"}"#);
        assert_eq!(body(r#"{"password":"cut in the mid"#, false), r#"{"password":"[hidden]""#);
        assert_eq!(body("no json \" at all", false), "no json \" at all");
        assert_eq!(body(r#"{"token":null,"password":""#, false), r#"{"token":null,"password":"[hidden]""#);
    }

    #[test]
    fn credentials_in_forms_are_hidden() {
        let text = "grant_type=x&client_secret=[secret:s]&assertion=abc&password=p%20";
        assert_eq!(
            body(text, true),
            "grant_type=x&client_secret=[secret:s]&assertion=[hidden]&password=[hidden]"
        );
    }
}
