//! Media types of request bodies (RFC 9110 §8.3).

use actix_web::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::{HttpRequest, http::header::HeaderMap};
use encoding_rs::Encoding;

use super::{Kind, Problem};

/// What JSON bodies may be labelled.
pub const JSON: &[&str] = &["application/json", "application/merge-patch+json"];

/// Checks that a body is labelled as one of `accepted`, in UTF-8 and not
/// compressed.
///
/// # Errors
/// A 415 that lists what is accepted.
pub fn expect(request: &HttpRequest, accepted: &[&str]) -> Result<(), Problem> {
    let headers = request.headers();
    let unsupported = |what: String| {
        let list = accepted.join(", ");
        Problem::new(Kind::UnsupportedMediaType, format!("{what}; accepted are {list}"))
            .with_header(ACCEPT, &list)
    };
    let Some(label) = text(headers, &CONTENT_TYPE) else {
        return Err(unsupported("the body has no media type".into()));
    };
    let (essence, parameters) = label.split_once(';').unwrap_or((label, ""));
    if !accepted.iter().any(|known| known.eq_ignore_ascii_case(essence.trim())) {
        return Err(unsupported("the body has another media type".into()));
    }
    if charset(parameters).is_some_and(|charset| !is_utf8(charset)) {
        return Err(unsupported("the body must be UTF-8".into()));
    }
    match text(headers, &CONTENT_ENCODING) {
        Some(coding) if !matches!(coding.trim().to_ascii_lowercase().as_str(), "" | "identity") => {
            Err(unsupported("the body must not be compressed".into()))
        }
        _ => Ok(()),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &actix_web::http::header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn charset(parameters: &str) -> Option<&str> {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches(['"', '\'']).trim())
}

/// Whether a label names UTF-8 by any of its names (WHATWG Encoding §4.2), or
/// ASCII, which is a part of it, or nothing. Some write `_` for `-`.
fn is_utf8(label: &str) -> bool {
    let label = label.to_ascii_lowercase().replace('_', "-");
    matches!(label.as_str(), "" | "ascii" | "us-ascii")
        || Encoding::for_label(label.as_bytes()) == Some(encoding_rs::UTF_8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn answer(content_type: &str) -> Option<String> {
        let request = TestRequest::post().insert_header((CONTENT_TYPE, content_type)).to_http_request();
        expect(&request, JSON).err().map(|problem| problem.to_string())
    }

    #[test]
    fn utf8_has_many_names() {
        for parameters in [
            "",
            ";",
            "; charset=utf-8",
            ";charset=UTF8",
            "; charset=\"Utf-8\"",
            "; charset='utf-8'",
            "; Charset = utf_8",
            "; charset=unicode-1-1-utf-8",
            "; charset=x-unicode20utf8",
            "; charset=us-ascii",
            "; charset=",
            "; v=1; charset=utf8",
        ] {
            assert_eq!(answer(&format!("application/json{parameters}")), None, "{parameters}");
        }
        for charset in ["iso-8859-1", "utf-16", "utf-16le", "windows-1252", "utf-7", "utf-80", "latin1"] {
            let problem = answer(&format!("application/json; charset={charset}")).unwrap();
            assert!(problem.contains("the body must be UTF-8"), "{charset}: {problem}");
        }
    }
}
