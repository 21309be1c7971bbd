//! What surrounds every handler: panics become answers, unknown paths and
//! methods become problems.

use std::panic::AssertUnwindSafe;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::ALLOW;
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use futures_util::FutureExt as _;

use super::{Kind, Problem};

/// Middleware: a panic in a handler is logged by the panic hook and answered
/// with a 500 that gives nothing away; the worker lives on.
///
/// # Errors
/// What the handler says.
pub async fn catch_panics<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let about = format!("{} {}", request.method(), request.path());
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(result) => result,
        Err(_) => {
            log::error!("the handler of {about} panicked");
            Err(Problem::new(Kind::Internal, "the log of the daemon says more").into())
        }
    }
}

/// Handler of paths that nothing is at.
///
/// # Errors
/// Always a 404.
pub async fn no_such_path() -> Result<HttpResponse, Problem> {
    Err(Problem::no_such_path())
}

/// The answer where something is, but not for this method (RFC 9110 §15.5.6).
pub fn method_not_allowed(allowed: &str) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("allowed are {allowed}")).with_header(ALLOW, allowed)
}
