//! The head of what came back, within the limits and with secrets taken out.

use bytes::Bytes;
use chrono::Utc;
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::failure::permanent;
use super::policy::{EgressLimits, TargetPolicy};
use super::request::{Outgoing, check_headers};
use super::retry_after;
use crate::domain::host_call::{FetchResponse, HostCallError};
use crate::domain::status::ErrorClass;

/// Checks the head of the answer before anything of the body is read.
pub(super) fn check_head(response: &Response, limits: &EgressLimits) -> Result<(), HostCallError> {
    let headers = response.headers();
    check_headers(headers, limits.header_count, limits.header_bytes)
        .map_err(|message| permanent(format!("the answer has {message}")))?;
    // No encoding was asked for; decoding one would need a limit of its own.
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            Err(permanent("the answer has a content-encoding that was not asked for"))
        }
        _ => Ok(()),
    }
}

/// The answer as logic may see it, without its body: handles in place of secret
/// values.
pub(super) fn for_logic(
    response: &Response,
    outgoing: &Outgoing,
    redirected: bool,
    policy: &TargetPolicy,
) -> FetchResponse {
    let status = response.status();
    let hide = |text: String| match policy.hide.redact_bytes(text.as_bytes()) {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => text,
    };
    let hide_name = |name: &HeaderName| policy.hide_in_names.redact(name.as_str()).into_owned();
    let headers = response.headers().iter();
    FetchResponse {
        status: status.as_u16(),
        status_text: status.canonical_reason().unwrap_or_default().to_owned(),
        url: outgoing.shown_url.clone(),
        redirected,
        headers: headers.map(|(name, value)| (hide_name(name), hide(text_of(value)))).collect(),
        body: Bytes::new(),
    }
}

/// A header value as text: UTF-8, or else one character for each byte.
fn text_of(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// The class and wish of an answer that is a failure by its status.
pub(super) fn failure_of(response: &FetchResponse) -> Option<(ErrorClass, Option<std::time::Duration>)> {
    let class = ErrorClass::of_http_status(response.status)?;
    let header = response.headers.iter().find(|(name, _)| name == RETRY_AFTER.as_str());
    Some((class, header.and_then(|(_, value)| retry_after::parse(value, Utc::now()))))
}

/// Whether a body of this length is worth reading to keep the connection.
pub(super) fn is_short(headers: &HeaderMap) -> bool {
    const WORTH_READING: u64 = 64 << 10;
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length <= WORTH_READING)
}
