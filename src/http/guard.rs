//! What surrounds every handler: panics become answers, unknown paths and
//! methods become problems.

use std::panic::AssertUnwindSafe;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, CACHE_CONTROL, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
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

/// Middleware: what is answered is for its caller alone, and is what it says.
///
/// # Errors
/// What the handler says; its answer is a problem, which has these headers, too.
pub async fn keep_private<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let mut response = next.call(request).await?;
    for (name, value) in PRIVATE {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// The headers of every answer: kept by nobody, and never taken for another type.
pub(super) const PRIVATE: [(HeaderName, &str); 2] =
    [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];

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

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::dev::Service as _;
    use actix_web::middleware::from_fn;
    use actix_web::{App, test, web};

    async fn panics() -> HttpResponse {
        panic!("a defect")
    }

    #[actix_web::test]
    async fn a_panic_is_an_answer_without_details_and_the_worker_lives() {
        let app = App::new().wrap(from_fn(catch_panics)).route("/", web::get().to(panics));
        let app = test::init_service(app).await;
        for _ in 0..2 {
            let error = app.call(test::TestRequest::get().to_request()).await.unwrap_err();
            let answer = error.error_response();
            assert_eq!(answer.status(), 500);
            let body = actix_web::body::to_bytes(answer.into_body()).await.unwrap();
            assert!(!String::from_utf8_lossy(&body).contains("defect"));
        }
    }
}
