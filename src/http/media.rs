//! Media types of request bodies (RFC 9110 §8.3).

use actix_web::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::{HttpRequest, http::header::HeaderMap};

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
    if charset(parameters).is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(unsupported("the body must be UTF-8".into()));
    }
    match text(headers, &CONTENT_ENCODING) {
        Some(coding) if !coding.eq_ignore_ascii_case("identity") => {
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
        .map(|(_, value)| value.trim().trim_matches('"'))
}
