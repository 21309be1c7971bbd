//! What a registry answers: whose fault it is when it is not what was asked, and
//! how much of it is read.

use futures_util::StreamExt as _;
use reqwest::{Response, StatusCode};

use super::PackageError;
use super::tarball::TarballError;

/// An answer that says what was asked.
pub(super) fn fine(response: Response) -> Result<Response, PackageError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ": is `packages.token` right?",
        _ => "",
    };
    Err(PackageError::Registry(format!("answers {status}{hint}")))
}

/// An archive that is not there does not come back by waiting. What may is the
/// registry's trouble: a right that is missing, or too many calls.
pub(super) fn there(response: Response) -> Result<Response, TarballError> {
    const PASSING: [StatusCode; 6] = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    let status = response.status();
    if status.is_client_error() && !PASSING.contains(&status) {
        return Err(TarballError::Missing(status.to_string()));
    }
    Ok(fine(response)?)
}

/// Reads an answer whose pieces `fits` lets pass.
pub(super) async fn read<E: From<PackageError>>(
    response: Response,
    mut fits: impl FnMut(usize) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| PackageError::Registry(failure(&error)))?;
        fits(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Lets pieces pass up to so many bytes together.
pub(super) fn at_most<E>(most: usize, error: impl Fn() -> E) -> impl FnMut(usize) -> Result<(), E> {
    let mut size = 0;
    move |bytes| {
        size += bytes;
        if size > most { Err(error()) } else { Ok(()) }
    }
}

/// What nobody can make use of.
pub(super) fn nonsense(error: impl std::fmt::Display) -> PackageError {
    PackageError::Registry(format!("cannot be used: {error}"))
}

/// The innermost reason, which names no address.
pub(super) fn failure(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    if error.is_timeout() { "took too long to answer".into() } else { format!("cannot be reached: {reason}") }
}
