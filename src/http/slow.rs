//! Answers that take a while to make.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use futures_util::{FutureExt as _, stream};
use serde_json::Value;

/// How often something is written meanwhile.
const BEAT: Duration = Duration::from_millis(250);

/// A 200 with JSON that is not there yet. Until it is, a space goes out now and
/// then, which JSON allows before a value (RFC 8259 §2): it keeps the connection
/// open, and a caller who has gone is noticed. Then the work is dropped.
pub fn json(work: impl Future<Output = Value> + 'static) -> HttpResponse {
    let work = AssertUnwindSafe(work).catch_unwind().boxed_local();
    let body = stream::unfold(Some(work), |work| async move {
        let mut work = work?;
        match tokio::time::timeout(BEAT, work.as_mut()).await {
            Err(_) => Some((Ok(Bytes::from_static(b" ")), Some(work))),
            Ok(Ok(value)) => Some((Ok(Bytes::from(value.to_string())), None)),
            // The status has gone out: all that is left is to break off.
            Ok(Err(_)) => Some((Err(io::Error::other("the daemon failed: its log says more")), None)),
        }
    });
    HttpResponse::Ok().content_type("application/json").streaming(body)
}
