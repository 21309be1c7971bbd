//! The head of what came back, within the limits and with secrets taken out.

use bytes::Bytes;
use chrono::Utc;
use reqwest::Response;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::failure::permanent;
use super::failures::Said;
use super::policy::{EgressLimits, TargetPolicy};
use super::request::{Outgoing, check_headers};
use crate::domain::host_call::{FetchResponse, HostCallError};
use crate::domain::retry_after;
use crate::domain::status::ErrorClass;

/// Checks the head of the answer before anything of the body is read.
pub(super) fn check_head(response: &Response, limits: &EgressLimits) -> Result<(), HostCallError> {
    check_headers(response.headers(), limits.header_count, limits.header_bytes)
        .map_err(|message| permanent(format!("the answer has {message}")))
}

/// What went wrong with an answer after its status had come. A status that is a failure
/// says more of the run than what became of head and body.
pub(super) fn by_status(error: HostCallError, said: Said) -> HostCallError {
    match said.failure() {
        Some((class, retry_after)) => HostCallError { class, retry_after, ..error },
        None => error,
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
    // Before bytes become characters: values are UTF-8 where they were put in.
    let hide = |value: &HeaderValue| match policy.hide.redact_bytes(value.as_bytes()) {
        Some(bytes) => decoded(&bytes),
        None => decoded(value.as_bytes()),
    };
    let hide_name = |name: &HeaderName| policy.hide_in_names.redact(name.as_str()).into_owned();
    let headers = response.headers().iter();
    FetchResponse {
        status: status.as_u16(),
        status_text: status.canonical_reason().unwrap_or_default().to_owned(),
        url: outgoing.shown_url.clone(),
        redirected,
        headers: headers.map(|(name, value)| (hide_name(name), hide(value))).collect(),
        body: Bytes::new(),
    }
}

/// A character for each byte (Infra standard, "isomorphic decode").
pub(super) fn decoded(value: &[u8]) -> String {
    value.iter().map(|byte| char::from(*byte)).collect()
}

/// What an answer says of its run by its status; how long it asks to wait is the
/// longest where it says so more than once.
pub(super) fn said(response: &FetchResponse) -> Said {
    let Some(class) = ErrorClass::of_http_status(response.status) else { return Said::Well };
    let fields = response.headers.iter().filter(|(name, _)| name == RETRY_AFTER.as_str());
    let waits = fields.map(|(_, value)| retry_after::parse(value, Utc::now()));
    Said::of_status(response.status, Some((class, waits.max())))
}

/// Whether a body of this length is worth reading to keep the connection.
pub(super) fn is_short(headers: &HeaderMap) -> bool {
    const WORTH_READING: u64 = 64 << 10;
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length <= WORTH_READING)
}
