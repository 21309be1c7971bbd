//! Which requests change nothing. What is in doubt is a write: it is not sent.

use serde_json::Value;

use super::graphql::is_of_queries;
use crate::domain::host_call::{Effect, FetchRequest};

/// Methods that are safe (RFC 9110 §9.2.1, and the registry of HTTP methods).
const SAFE: [&str; 7] = ["GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "SEARCH", "QUERY"];

/// Header fields that put another method in the place of the request's own.
const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Grants that can be asked for again and again. Others use something up: an
/// authorization code, a refresh token that the answer replaces.
const GRANTS: [&str; 4] = [
    "client_credentials",
    "password",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
];

/// Whether a request only reads: logic says so, its method is safe, or it is a
/// POST that asks for a token, searches, or is a GraphQL query.
pub fn is_read(request: &FetchRequest) -> bool {
    match request.effect {
        Some(effect) => effect == Effect::Read,
        None if is_overridden(request) => false,
        None if SAFE.contains(&request.method.as_str()) => true,
        None => {
            request.method == "POST" && (searches(request) || asks_for_token(request) || queries(request))
        }
    }
}

/// The last segment of the path, without query and fragment.
pub(super) fn last_segment(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

pub(super) fn content_type(request: &FetchRequest) -> &str {
    let field = request.headers.iter().find(|(name, _)| name == "content-type");
    field.map_or("", |(_, value)| value.split(';').next().unwrap_or_default().trim())
}

/// Whether the server is told to take it for one whose method is not safe.
fn is_overridden(request: &FetchRequest) -> bool {
    let unsafe_method = |method: &str| !SAFE.iter().any(|safe| method.trim().eq_ignore_ascii_case(safe));
    let mut fields = request.headers.iter().filter(|(name, _)| OVERRIDES.contains(&name.as_str()));
    let query = request.url.split_once('?').map_or("", |(_, query)| query);
    fields.any(|(_, method)| unsafe_method(method))
        || url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, method)| name == "_method" && unsafe_method(&method))
}

/// SCIM's `/.search` (RFC 7644 §3.4.3) and its like.
fn searches(request: &FetchRequest) -> bool {
    matches!(last_segment(&request.url), ".search" | "search")
}

/// The grants of a token request (RFC 6749 §4), which is a form or, with some
/// servers, JSON.
pub(super) fn grants(request: &FetchRequest) -> Vec<String> {
    let body = request.body.as_deref().unwrap_or_default();
    if content_type(request).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let fields = url::form_urlencoded::parse(body).filter(|(name, _)| name == "grant_type");
        return fields.map(|(_, grant)| grant.into_owned()).collect();
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["grant_type"].as_str().map(str::to_owned).into_iter().collect()
}

/// Asks for a token that uses no other one up.
fn asks_for_token(request: &FetchRequest) -> bool {
    let grants = grants(request);
    !grants.is_empty() && grants.iter().all(|grant| GRANTS.contains(&grant.as_str()))
}

/// A GraphQL request whose document has queries alone.
fn queries(request: &FetchRequest) -> bool {
    if !last_segment(&request.url).to_ascii_lowercase().contains("graphql") {
        return false;
    }
    let body: Value = serde_json::from_slice(request.body.as_deref().unwrap_or_default()).unwrap_or_default();
    body["query"].as_str().is_some_and(is_of_queries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host_call::Redirect;

    fn request(method: &str, url: &str, content_type: &str, body: &str) -> FetchRequest {
        FetchRequest {
            method: method.into(),
            url: url.into(),
            headers: vec![("content-type".into(), content_type.into())],
            body: Some(body.to_owned().into()),
            redirect: Redirect::Follow,
            effect: None,
        }
    }

    #[test]
    fn methods_decide_unless_logic_does() {
        for (method, reads) in
            [("GET", true), ("HEAD", true), ("PUT", false), ("DELETE", false), ("MOVE", false)]
        {
            let mut request = request(method, "https://a.example/Users", "application/json", "{}");
            assert_eq!(is_read(&request), reads, "{method}");
            request.effect = Some(if reads { Effect::Write } else { Effect::Read });
            assert_eq!(is_read(&request), !reads, "{method} declared otherwise");
        }
    }

    #[test]
    fn some_posts_read() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let reads = |url, content_type, body| is_read(&request("POST", url, content_type, body));
        assert!(reads("https://a.example/token", form, "client_id=a&grant_type=client_credentials"));
        assert!(!reads("https://a.example/token", form, "client_id=grant_type"));
        assert!(!reads("https://a.example/token", "application/json", "grant_type=client_credentials"));
        assert!(reads("https://a.example/v2/Users/.search?x=1", "application/scim+json", "{}"));
        assert!(!reads("https://a.example/v2/Users", "application/scim+json", "{}"));
    }

    #[test]
    fn only_tokens_that_use_nothing_up_are_asked_for() {
        let form = "application/x-www-form-urlencoded";
        for (grant, reads) in [
            ("client_credentials", true),
            ("password", true),
            ("urn:ietf:params:oauth:grant-type:jwt-bearer", true),
            ("urn:ietf:params:oauth:grant-type:saml2-bearer", true),
            ("refresh_token", false),
            ("authorization_code", false),
            ("urn:ietf:params:oauth:grant-type:token-exchange", false),
        ] {
            let is_read = |content_type, body: &str| {
                is_read(&request("POST", "https://a.example/token", content_type, body))
            };
            let grant_type = url::form_urlencoded::byte_serialize(grant.as_bytes()).collect::<String>();
            assert_eq!(is_read(form, &format!("a=b&grant_type={grant_type}")), reads, "{grant}");
            let json = serde_json::json!({ "grant_type": grant, "client_id": "a" }).to_string();
            assert_eq!(is_read("application/json; charset=utf-8", &json), reads, "{grant}");
        }
        let twice = "grant_type=client_credentials&grant_type=refresh_token";
        assert!(!is_read(&request("POST", "https://a.example/token", form, twice)));
    }

    #[test]
    fn a_method_in_a_header_counts() {
        let reads = |method, name: &str, value: &str| {
            let mut request = request(method, "https://a.example/Users/search", "application/json", "{}");
            request.headers.push((name.into(), value.into()));
            is_read(&request)
        };
        for name in OVERRIDES {
            assert!(!reads("GET", name, "DELETE") && !reads("POST", name, "patch"), "{name}");
            assert!(reads("GET", name, "get") && reads("POST", name, " GET"), "{name}");
        }
        assert!(reads("GET", "x-method", "DELETE"));
        let reads = |url| is_read(&request("GET", url, "text/plain", ""));
        assert!(!reads("https://a.example/Users/1?a=b&_method=delete"));
        assert!(reads("https://a.example/Users/1?_method=GET&method=delete"));
    }

    #[test]
    fn graphql_queries_read_and_mutations_do_not() {
        let reads = |url, query: &str| {
            let body = serde_json::json!({ "query": query, "operationName": "B" }).to_string();
            is_read(&request("POST", url, "application/json", &body))
        };
        let url = "https://a.example/graphql";
        assert!(reads(url, "query B { user(id: 1) { name mutation } }"));
        assert!(!reads(url, "query A { find(name: \"{\") { id } } mutation B { remove(id: 1) }"));
        assert!(!reads("https://a.example/users", "{a}"));
        assert!(!is_read(&request("POST", url, "application/json", "{}")));
    }
}
