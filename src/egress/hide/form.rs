//! Forms, and the queries of URLs.

use url::form_urlencoded;

use super::{Seen, hidden, is_credential_key};

/// A form without credentials.
pub(super) fn fields(text: &str, seen: &mut Seen) -> String {
    without(text, is_credential_key, seen)
}

/// A URL without credentials in its query and its fragment, where some services
/// hand tokens over.
pub(in crate::egress) fn url(text: &str, seen: &mut Seen) -> String {
    let (start, fragment) = text.split_once('#').map_or((text, None), |(a, b)| (a, Some(b)));
    let (path, query) = start.split_once('?').map_or((start, None), |(a, b)| (a, Some(b)));
    let mut shown = |mark, part: Option<&str>| {
        part.map(|part| format!("{mark}{}", without(part, is_credential_parameter, seen))).unwrap_or_default()
    };
    format!("{path}{}{}", shown('?', query), shown('#', fragment))
}

/// The signature of an address lets anybody in who has it.
fn is_credential_parameter(key: &str) -> bool {
    is_credential_key(key) || key == "sig" || key.to_ascii_lowercase().ends_with("signature")
}

fn without(text: &str, is_credential: fn(&str) -> bool, seen: &mut Seen) -> String {
    let field = |field: &str| match field.split_once('=') {
        Some((key, value)) if is_credential(&decoded(key)) => {
            let shown = hidden(&decoded(key), value, seen);
            if shown != value {
                seen.note(&decoded(key), &decoded(value));
            }
            format!("{key}={shown}")
        }
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

    fn fields(text: &str) -> String {
        super::fields(text, &mut Seen::default())
    }

    fn url(text: &str) -> String {
        super::url(text, &mut Seen::default())
    }

    #[test]
    fn what_is_hidden_is_kept_in_mind() {
        let mut seen = Seen::default();
        super::fields("password=Tr0ub4%26dor&user=somebody-else", &mut seen);
        super::url("/a?access_token=token-0001#id_token=token-0002", &mut seen);
        let hider = seen.hider(&[]).unwrap();
        let text = "Tr0ub4&dor token-0001 token-0002 somebody-else";
        assert_eq!(hider.text(text), "[hidden] [hidden] [hidden] somebody-else");
    }

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
