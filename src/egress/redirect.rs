//! Redirects, by the Fetch standard §4.4 ("HTTP-redirect fetch"), one hop at a
//! time so that each one is checked like the first.

use reqwest::header::{HeaderMap, HeaderName, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::failure::permanent;
use super::hide::{Seen, is_credential_header};
use super::policy::TargetPolicy;
use super::request::{Outgoing, check_secrets, check_url};
use super::response::decoded;
use super::shown::{kept, shown_url};
use crate::domain::host_call::{HostCallError, Redirect};

/// Header fields that describe a body (Fetch standard §2.2.2).
const OF_BODY: [&str; 5] =
    ["content-encoding", "content-language", "content-length", "content-location", "content-type"];

/// Where the answer sends the request; `None` when it is no redirect.
pub(super) fn target(
    status: StatusCode,
    headers: &HeaderMap,
    base: &Url,
) -> Option<Result<Url, HostCallError>> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = headers.get(LOCATION)?;
    let bytes = location.as_bytes();
    let text = std::str::from_utf8(bytes).map_or_else(|_| decoded(bytes), str::to_owned);
    let url = base.join(&text).ok();
    Some(url.ok_or_else(|| permanent("the redirect has an invalid location")))
}

/// An answer that sends the request on.
pub(super) struct Answer {
    pub status: u16,
    pub to: Url,
    /// What logic wants to become of it.
    pub mode: Redirect,
}

/// Why a request is not sent on without a word of logic: at 301, 302 and 303 what
/// should write arrives as something else, or where nobody takes it.
pub(super) fn unasked(method: &str, status: u16, mode: Redirect, to: &str) -> Option<HostCallError> {
    let is_kept = !matches!(status, 301..=303) || matches!(method, "GET" | "HEAD" | "OPTIONS");
    if is_kept || mode != Redirect::Unsaid {
        return None;
    }
    Some(permanent(format!(
        "a redirect was not followed: the {method} was answered with {status} and sent to `{to}`, where it \
         may do something else or nothing; ask at that address, or say `redirect: \"follow\"` in the request"
    )))
}

/// Turns the request into the one that follows it.
pub(super) fn follow(
    outgoing: &mut Outgoing,
    answer: Answer,
    policy: &TargetPolicy,
) -> Result<(), HostCallError> {
    let Answer { status, mut to, mode } = answer;
    let shown_to = kept(&shown_url(to.as_str(), policy, &mut Seen::default()));
    if let Some(refused) = unasked(outgoing.method.as_str(), status, mode, &shown_to) {
        return Err(refused);
    }
    to.set_fragment(None);
    check_url(&to, policy)
        .map_err(|error| permanent(format!("a redirect was not followed: {}", error.message)))?;
    rewrite_method(outgoing, status);
    if to.origin() != outgoing.url.origin() {
        drop_credentials(outgoing, &to)?;
    }
    let shown = policy.hide.redact(to.as_str()).into_owned();
    // A service that echoes what it was sent may put it into the location.
    check_secrets(&policy.handles.names_in(shown.as_bytes()), &to, policy)
        .map_err(|error| permanent(format!("a redirect was not followed: {}", error.message)))?;
    outgoing.shown_url = shown;
    outgoing.url = to;
    Ok(())
}

/// A 303, and a 301 or 302 after POST, becomes a GET without a body.
fn rewrite_method(outgoing: &mut Outgoing, status: u16) {
    let becomes_get = match status {
        301 | 302 => outgoing.method == Method::POST,
        303 => !matches!(outgoing.method, Method::GET | Method::HEAD),
        _ => false,
    };
    if becomes_get {
        outgoing.method = Method::GET;
        outgoing.body = None;
        outgoing.secret_body = false;
        for name in OF_BODY {
            outgoing.headers.remove(name);
        }
    }
}

/// What was meant for one origin does not go to another (RFC 9110 §15.4).
fn drop_credentials(outgoing: &mut Outgoing, to: &Url) -> Result<(), HostCallError> {
    if outgoing.secret_body {
        return Err(permanent(format!(
            "a redirect was not followed: it would carry a body with secrets to `{}`",
            to.host_str().unwrap_or_default()
        )));
    }
    let secret = std::mem::take(&mut outgoing.secret_headers);
    let known = outgoing.headers.keys().filter(|name| is_credential_header(name.as_str())).cloned();
    for name in known.chain(secret).collect::<Vec<_>>() {
        outgoing.headers.remove(name);
    }
    Ok(())
}

/// Whether the request still has a header field of this name, for the log.
pub(super) fn still_has(outgoing: &Outgoing, name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| outgoing.headers.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host_call::{FetchRequest, Redirect};
    use crate::egress::{AllowList, SecretHosts};
    use crate::security::NamedSecret;

    fn policy() -> TargetPolicy {
        let policy = TargetPolicy::new(AllowList::default(), vec![NamedSecret::new("token", "hunter22")]);
        policy.with_secret_hosts(SecretHosts::of("token", &["a.example", "b.example"]))
    }

    fn outgoing(method: &str, policy: &TargetPolicy, body: &str) -> Outgoing {
        let handle = policy.handles()["token"].clone();
        let request = FetchRequest {
            method: method.to_owned(),
            url: "https://a.example/x".to_owned(),
            headers: [
                ("authorization", "Bearer x"),
                ("cookie", "a=b"),
                ("x-auth-token", "t"),
                ("x-key", &handle),
                ("content-type", "text/plain"),
                ("x", "y"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            body: Some(body.to_owned().into()),
            redirect: Redirect::Follow,
            effect: None,
        };
        Outgoing::prepare(&request, policy).unwrap()
    }

    fn followed(method: &str, status: u16, to: &str) -> Result<(String, usize, Vec<String>), String> {
        let policy = policy();
        let mut outgoing = outgoing(method, &policy, "body");
        let to = outgoing.url.join(to).unwrap();
        let answer = Answer { status, to, mode: Redirect::Follow };
        follow(&mut outgoing, answer, &policy).map_err(|error| error.message)?;
        let mut names: Vec<_> = outgoing.headers.keys().map(ToString::to_string).collect();
        names.sort();
        Ok((outgoing.method.to_string(), outgoing.body.map_or(0, |body| body.len()), names))
    }

    #[test]
    fn methods_change_as_the_standard_says() {
        let all = ["authorization", "content-type", "cookie", "x", "x-auth-token", "x-key"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(followed("POST", 307, "/y"), Ok(("POST".into(), 4, all.clone())));
        assert_eq!(followed("PUT", 302, "/y"), Ok(("PUT".into(), 4, all)));
        for (method, status) in [("POST", 301), ("POST", 302), ("POST", 303), ("PUT", 303), ("DELETE", 303)] {
            let (method, body, names) = followed(method, status, "/y").unwrap();
            assert_eq!((method.as_str(), body), ("GET", 0));
            assert!(!names.contains(&"content-type".to_owned()));
        }
        assert_eq!(followed("HEAD", 303, "/y").unwrap().0, "HEAD");
    }

    #[test]
    fn what_writes_is_sent_on_only_when_logic_says_so() {
        for status in [301, 302, 303] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
                let refused = unasked(method, status, Redirect::Unsaid, "https://a.example/x").unwrap();
                let start = format!("a redirect was not followed: the {method} was answered with {status} ");
                assert!(refused.message.starts_with(&start), "{refused}");
                assert_eq!(unasked(method, status, Redirect::Follow, ""), None);
            }
            for method in ["GET", "HEAD", "OPTIONS"] {
                assert_eq!(unasked(method, status, Redirect::Unsaid, ""), None);
            }
        }
        assert_eq!(unasked("POST", 307, Redirect::Unsaid, ""), None);
        assert_eq!(unasked("PUT", 308, Redirect::Unsaid, ""), None);
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        for to in ["https://b.example/", "https://a.example:8443/", "http://a.example/x"] {
            assert_eq!(followed("PUT", 308, to).unwrap().2, ["content-type", "x"], "{to}");
        }
    }

    #[test]
    fn a_secret_body_does_not_leave_its_origin() {
        let policy = policy();
        let handle = policy.handles()["token"].clone();
        let mut outgoing = outgoing("POST", &policy, &handle);
        let to = Url::parse("https://b.example/").unwrap();
        let answer = Answer { status: 307, to, mode: Redirect::Follow };
        let error = follow(&mut outgoing, answer, &policy).unwrap_err();
        assert!(error.message.contains("it would carry a body with secrets to `b.example`"), "{error}");
    }

    #[test]
    fn a_secret_in_a_location_goes_over_tls_only() {
        let error = followed("GET", 302, "http://a.example/?k=hunter22").unwrap_err();
        assert!(
            error.starts_with(
                "a redirect was not followed: secret `token` is not sent to `a.example:80` over plain http"
            ),
            "{error}"
        );
        assert!(followed("GET", 302, "https://b.example/?k=hunter22").is_ok());
        assert!(followed("GET", 302, "http://a.example/?k=hunter").is_ok());
    }

    #[test]
    fn each_hop_is_checked() {
        for to in
            ["http://169.254.169.254/latest", "http://[::1]/", "file:///etc/passwd", "https://u:p@b.example/"]
        {
            assert!(
                followed("GET", 302, to).unwrap_err().starts_with("a redirect was not followed: "),
                "{to}"
            );
        }
    }
}
