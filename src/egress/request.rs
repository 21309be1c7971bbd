//! A request of logic, checked and with its secrets filled in.

use std::borrow::Cow;

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use url::Host;

use super::failure::{auth, permanent};
use super::handles::{Landing, TooLong, Used};
use super::policy::TargetPolicy;
use crate::domain::host_call::{FetchRequest, HostCallError};

/// One hop of a call, ready to be sent.
pub(super) struct Outgoing {
    pub method: Method,
    /// With secrets.
    pub url: Url,
    /// With handles in place of secrets: the one that logic and log may see.
    pub shown_url: String,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// Which header fields hold secrets.
    pub secret_headers: Vec<HeaderName>,
    pub secret_body: bool,
    /// Which secrets it holds.
    used: Used,
}

impl Outgoing {
    /// Checks the request against the policy and fills the secrets in.
    pub(super) fn prepare(request: &FetchRequest, policy: &TargetPolicy) -> Result<Self, HostCallError> {
        if request.url.len() > policy.limits.url_bytes {
            return Err(long_url(policy));
        }
        let handle_url = parse_url(&request.url)?;
        check_url(&handle_url, policy)?;
        let mut outgoing = Self {
            method: parse_method(&request.method)?,
            shown_url: handle_url.as_str().to_owned(),
            url: handle_url,
            headers: HeaderMap::with_capacity(request.headers.len() + 1),
            body: request.body.clone(),
            secret_headers: Vec::new(),
            secret_body: false,
            used: Used::new(),
        };
        outgoing.fill_url(policy)?;
        outgoing.fill_headers(&request.headers, policy)?;
        outgoing.fill_body(policy)?;
        outgoing.check(policy)?;
        check_secrets(&outgoing.used, &outgoing.url, policy)?;
        Ok(outgoing)
    }

    /// `host:port`, for messages.
    pub(super) fn authority(&self) -> String {
        authority(&self.url)
    }

    fn fill_url(&mut self, policy: &TargetPolicy) -> Result<(), HostCallError> {
        let path_and_query = &self.url[url::Position::BeforePath..];
        let most = policy.limits.url_bytes;
        let filled = policy.handles.fill(path_and_query.as_bytes(), Landing::Url, most, &mut self.used);
        if let Some(filled) = filled.map_err(|TooLong| long_url(policy))? {
            let start = &self.url[..url::Position::BeforePath];
            self.url = parse_url(&format!("{start}{}", String::from_utf8_lossy(&filled)))?;
        }
        Ok(())
    }

    fn fill_headers(
        &mut self,
        headers: &[(String, String)],
        policy: &TargetPolicy,
    ) -> Result<(), HostCallError> {
        let mut left = policy.limits.header_bytes;
        for (name, value) in headers {
            if is_forbidden(name) {
                continue;
            }
            let bytes = encoded(value).ok_or_else(|| not_a_value(name))?;
            let filled = policy
                .handles
                .fill_header(&bytes, left, &mut self.used)
                .map_err(|TooLong| many_headers(too_many_bytes(policy.limits.header_bytes)))?;
            left = left.saturating_sub(filled.as_ref().map_or(0, Vec::len));
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| permanent(format!("`{name}` is not a header name")))?;
            let field = HeaderValue::from_bytes(filled.as_deref().unwrap_or(&bytes));
            let mut field = field.map_err(|_| unfit(policy, name.as_str(), &bytes))?;
            if filled.is_some() {
                field.set_sensitive(true);
                self.secret_headers.push(name.clone());
            }
            self.headers.append(name, field);
        }
        Ok(())
    }

    fn fill_body(&mut self, policy: &TargetPolicy) -> Result<(), HostCallError> {
        let Some(body) = &self.body else {
            // A null body of these methods is sent with its length (Fetch standard §4.6).
            if [Method::POST, Method::PUT, Method::PATCH].contains(&self.method) {
                self.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            return Ok(());
        };
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let landing = content_type.map_or(Landing::Raw, Landing::of_content_type);
        let most = policy.limits.request_body;
        let filled = policy.handles.fill(body, landing, most, &mut self.used);
        if let Some(filled) = filled.map_err(|TooLong| large_body(policy))? {
            self.body = Some(filled.into());
            self.secret_body = true;
        }
        Ok(())
    }

    fn check(&self, policy: &TargetPolicy) -> Result<(), HostCallError> {
        let limits = &policy.limits;
        if self.body.as_ref().is_some_and(|body| body.len() > limits.request_body) {
            return Err(large_body(policy));
        }
        check_headers(&self.headers, limits.header_count, limits.header_bytes).map_err(many_headers)
    }
}

/// A byte for each character (Infra standard, "isomorphic encode"), `None` when there
/// is a character that has none.
fn encoded(value: &str) -> Option<Cow<'_, [u8]>> {
    if value.is_ascii() {
        return Some(value.as_bytes().into());
    }
    value.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<u8>>>().map(Cow::Owned)
}

/// Who is at fault for a header value that cannot be sent: a secret in it, which
/// somebody has to set again, or what logic put there.
fn unfit(policy: &TargetPolicy, header: &str, value: &[u8]) -> HostCallError {
    match policy.handles.unfit_for_header(value) {
        Some((name, why)) => auth(format!(
            "secret `{name}` cannot stand in header `{header}`: {why}; set `connection.secrets.{name}` again \
             without it"
        )),
        None => not_a_value(header),
    }
}

fn not_a_value(header: &str) -> HostCallError {
    permanent(format!("the value of header `{header}` holds a character that may not stand there"))
}

/// Each secret goes only where it may.
pub(super) fn check_secrets(used: &Used, url: &Url, policy: &TargetPolicy) -> Result<(), HostCallError> {
    Ok(policy.secret_hosts.check(used, url)?)
}

/// `host:port` of a URL.
pub(super) fn authority(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

fn parse_url(text: &str) -> Result<Url, HostCallError> {
    let mut url = Url::parse(text).map_err(|error| permanent(format!("the URL is invalid: {error}")))?;
    url.set_fragment(None);
    Ok(url)
}

/// Whether the policy lets a request go to this URL, as far as can be said
/// before names are resolved. Address literals are final here: a client does
/// not ask its resolver about them. The URL standard has turned every spelling
/// of an address (`0x7f.1`, `2130706433`) into the address by now.
pub(super) fn check_url(url: &Url, policy: &TargetPolicy) -> Result<(), HostCallError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(permanent(format!(
            "`{}:` URLs are refused: only http and https are allowed",
            url.scheme()
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(permanent("a URL must not hold a user name or password; set the `authorization` header"));
    }
    let port = url.port_or_known_default().unwrap_or_default();
    let text = url.host_str().unwrap_or_default();
    match url.host() {
        Some(Host::Domain(name)) => policy.allow.check_name(name, port)?,
        Some(Host::Ipv4(address)) => policy.allow.check_address(text, address.into(), port)?,
        Some(Host::Ipv6(address)) => policy.allow.check_address(text, address.into(), port)?,
        None => return Err(permanent("the URL has no host")),
    }
    Ok(())
}

fn parse_method(text: &str) -> Result<Method, HostCallError> {
    match text {
        // Fetch standard §2.2.1, forbidden methods.
        "CONNECT" | "TRACE" | "TRACK" => Err(permanent(format!("method `{text}` is forbidden"))),
        _ => Method::from_bytes(text.as_bytes()).map_err(|_| permanent("the method is not a token")),
    }
}

/// Forbidden request headers (Fetch standard §2.2.2) are left out silently, as
/// the standard says: they belong to the connection. `cookie` and `origin` are
/// forbidden to web pages only.
pub(super) fn is_forbidden(name: &str) -> bool {
    matches!(
        name,
        "accept-charset"
            | "accept-encoding"
            | "connection"
            | "content-length"
            | "expect"
            | "host"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "via"
    ) || name.starts_with("proxy-")
}

/// Whether the header fields stay below both limits.
pub(super) fn check_headers(headers: &HeaderMap, count: usize, bytes: usize) -> Result<(), String> {
    if headers.len() > count {
        return Err(format!("more than {count} header fields"));
    }
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > bytes { Err(too_many_bytes(bytes)) } else { Ok(()) }
}

fn too_many_bytes(most: usize) -> String {
    format!("more than {most} bytes of header fields")
}

fn many_headers(message: String) -> HostCallError {
    permanent(format!("the request has {message}"))
}

fn long_url(policy: &TargetPolicy) -> HostCallError {
    permanent(format!("the address is longer than {} bytes", policy.limits.url_bytes))
}

fn large_body(policy: &TargetPolicy) -> HostCallError {
    permanent(format!("the request body is larger than {} bytes", policy.limits.request_body))
}
