//! Forms, and the queries of URLs.

use url::form_urlencoded;

use super::{hidden, is_credential_key};

/// A form without credentials.
pub(super) fn fields(text: &str) -> String {
    without(text, is_credential_key)
}

/// A URL without credentials in its query and its fragment, where some services
/// hand tokens over.
pub(in crate::egress) fn url(text: &str) -> String {
    let (start, fragment) = text.split_once('#').map_or((text, None), |(a, b)| (a, Some(b)));
    let (path, query) = start.split_once('?').map_or((start, None), |(a, b)| (a, Some(b)));
    let shown = |mark, part: Option<&str>| {
        part.map(|part| format!("{mark}{}", without(part, is_credential_parameter))).unwrap_or_default()
    };
    format!("{path}{}{}", shown('?', query), shown('#', fragment))
}

/// The signature of an address lets anybody in who has it.
fn is_credential_parameter(key: &str) -> bool {
    is_credential_key(key) || key == "sig" || key.to_ascii_lowercase().ends_with("signature")
}

fn without(text: &str, is_credential: fn(&str) -> bool) -> String {
    let field = |field: &str| match field.split_once('=') {
        Some((key, value)) if is_credential(&decoded(key)) => format!("{key}={}", hidden(value)),
        _ => field.to_owned(),
    };
    text.split('&').map(field).collect::<Vec<_>>().join("&")
}

fn decoded(key: &str) -> String {
    form_urlencoded::parse(key.as_bytes()).next().map_or_else(String::new, |(key, _)| key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_forms_are_hidden() {
        let text = "grant_type=x&client_secret=[secret:s]&assertion=abc&password=p%20&user%5Bpassword%5D=q";
        assert_eq!(
            fields(text),
            "grant_type=x&client_secret=[secret:s]&assertion=[hidden]&password=[hidden]&user%5Bpassword%5D=[hidden]"
        );
        assert_eq!(fields("signature=a&token"), "signature=a&token");
    }

    #[test]
    fn credentials_in_addresses_are_hidden() {
        for (address, shown) in [
            ("https://a.example/token/x", "https://a.example/token/x"),
            ("/a?b=c&access_token=d&e", "/a?b=c&access_token=[hidden]&e"),
            ("/a?api_key=[secret:k]", "/a?api_key=[secret:k]"),
            ("/blob?sv=1&sig=ab%2F", "/blob?sv=1&sig=[hidden]"),
            ("/file?X-Amz-Signature=ab", "/file?X-Amz-Signature=[hidden]"),
            ("/cb#access_token=a&state=b", "/cb#access_token=[hidden]&state=b"),
            ("/list?pageToken=a", "/list?pageToken=a"),
            ("/a?", "/a?"),
        ] {
            assert_eq!(url(address), shown);
        }
    }
}
