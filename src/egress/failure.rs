//! The words and classes of what goes wrong on the way.
//!
//! Everything that happens between two machines is transient, bad certificates
//! included: they are mended within hours more often than not, and the retries
//! end on their own. What would fail the same way again is permanent.

use std::error::Error;

use super::allow::Refused;
use super::secret_hosts::NotItsHost;
use crate::domain::host_call::HostCallError;
use crate::domain::status::ErrorClass;

/// A failure that the same request would meet again.
pub(super) fn permanent(message: impl Into<String>) -> HostCallError {
    HostCallError { class: ErrorClass::Permanent, message: message.into(), retry_after: None }
}

/// A failure that may pass.
pub(super) fn transient(message: impl Into<String>) -> HostCallError {
    HostCallError { class: ErrorClass::Transient, message: message.into(), retry_after: None }
}

/// Something of the connection has to be mended by somebody, as after a 401.
pub(super) fn auth(message: impl Into<String>) -> HostCallError {
    HostCallError { class: ErrorClass::Auth, message: message.into(), retry_after: None }
}

impl From<Refused> for HostCallError {
    fn from(refused: Refused) -> Self {
        permanent(refused.to_string())
    }
}

impl From<NotItsHost> for HostCallError {
    fn from(refused: NotItsHost) -> Self {
        permanent(refused.to_string())
    }
}

/// Says in one sentence what the client met on the way to `host`.
pub(super) fn of_client(error: &reqwest::Error, host: &str) -> HostCallError {
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<Refused>()) {
        return refused.clone().into();
    }
    let cause = causes(error).last().map_or_else(|| error.to_string(), ToString::to_string);
    if error.is_builder() {
        permanent(format!("the request to `{host}` cannot be made: {cause}"))
    } else if error.is_connect() && error.is_timeout() {
        transient(format!("connecting to `{host}` took too long"))
    } else if error.is_connect() {
        transient(format!("cannot connect to `{host}`: {cause}"))
    } else {
        transient(format!("the connection to `{host}` failed: {cause}"))
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// The client itself could not be made.
pub(super) fn of_setup(error: &reqwest::Error) -> HostCallError {
    let cause = causes(error).last().map_or_else(|| error.to_string(), ToString::to_string);
    transient(format!("TLS cannot be set up ({cause}); are the system's CA certificates installed?"))
}
