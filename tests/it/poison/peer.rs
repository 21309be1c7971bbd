//! The other side of the poison's calls.

use bytes::Bytes;
use provisiond::domain::host_call::{
    FetchRequest, FetchResponse, Fetched, HostCallError, HostCallFuture, HostCalls,
};
use provisiond::domain::status::ErrorClass;

/// Answers by the path: `/never` does not, `/big` with 4 MiB, `/refused` with an
/// error, any other with a short text.
pub struct Peer;

impl HostCalls for Peer {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        Box::pin(async move {
            if request.url.ends_with("/never") {
                std::future::pending::<()>().await;
            }
            if request.url.ends_with("/refused") {
                let message = "the peer refuses".into();
                return Err(HostCallError { class: ErrorClass::Permanent, message, retry_after: None });
            }
            let body = if request.url.ends_with("/big") { vec![0; 4 << 20] } else { b"well".to_vec() };
            Ok(FetchResponse {
                status: 200,
                status_text: "OK".into(),
                url: request.url,
                redirected: false,
                headers: Vec::new(),
                body: Bytes::from(body),
            }
            .into())
        })
    }
}
