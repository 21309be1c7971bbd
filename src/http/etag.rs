//! Versions as entity tags (RFC 9110 §8.8.3) and `If-Match` (§13.1.1).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{ETAG, HeaderName, IF_MATCH};
use actix_web::{FromRequest, HttpRequest};

use super::Problem;

/// The versions that a caller expects; `None` when any will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch(Option<Vec<i64>>);

impl IfMatch {
    /// The versions that the caller expects.
    pub fn versions(&self) -> Option<&[i64]> {
        self.0.as_deref()
    }
}

/// The entity tag of a version, as a header.
pub fn etag(version: i64) -> (HeaderName, String) {
    (ETAG, format!("\"{version}\""))
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut fields = Vec::new();
        for value in request.headers().get_all(IF_MATCH) {
            match value.to_str() {
                Ok(text) => fields.push(text),
                Err(_) => return ready(Err(bad())),
            }
        }
        ready(read(&fields))
    }
}

fn bad() -> Problem {
    Problem::parameter("If-Match", "must be `*` or entity tags such as `\"3\"`, separated by commas")
}

fn read(fields: &[&str]) -> Result<IfMatch, Problem> {
    if fields.is_empty() {
        return Ok(IfMatch(None));
    }
    let members: Vec<&str> = fields.iter().flat_map(|field| field.split(',')).map(str::trim).collect();
    if members == ["*"] {
        return Ok(IfMatch(None));
    }
    let mut versions = Vec::new();
    for member in members.into_iter().filter(|member| !member.is_empty()) {
        let (weak, tag) = member.strip_prefix("W/").map_or((false, member), |tag| (true, tag));
        let opaque = tag
            .strip_prefix('"')
            .and_then(|tag| tag.strip_suffix('"'))
            .filter(|tag| !tag.contains('"'))
            .ok_or_else(bad)?;
        // A weak tag never matches, nor does one that we cannot have given.
        versions.extend(opaque.parse::<i64>().ok().filter(|_| !weak));
    }
    Ok(IfMatch(Some(versions)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read() {
        for (fields, expected) in [
            (&[][..], Some(None)),
            (&["*"], Some(None)),
            (&["\"3\""], Some(Some(vec![3]))),
            (&["\"3\", \"4\"", "\"5\""], Some(Some(vec![3, 4, 5]))),
            (&["W/\"3\""], Some(Some(vec![]))),
            (&["\"abc\""], Some(Some(vec![]))),
            (&["3"], None),
            (&["*, \"3\""], None),
            (&["\"3"], None),
        ] {
            assert_eq!(read(fields).ok().map(|versions| versions.0), expected, "{fields:?}");
        }
    }
}
