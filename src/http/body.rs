//! JSON bodies.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::json::BadJsonText;
use super::{Kind, Problem, json, media};

/// Cap of JSON bodies, in bytes; application data of a scope or a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    /// 1 MiB.
    fn default() -> Self {
        Self(1024 * 1024)
    }
}

/// A JSON body of the shape `T`: 415 for another media type, 413 over the cap,
/// 400 for what is not JSON, 422 for fields that break a rule.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let labelled = media::expect(request, media::JSON);
        let limit = request.app_data::<BodyLimit>().copied().unwrap_or_default().0;
        let announced =
            request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let payload = payload.take();
        Box::pin(async move {
            labelled?;
            if announced.is_some_and(|length: usize| length > limit) {
                return Err(too_large(limit));
            }
            let bytes = collect(payload, limit).await?;
            Ok(Self(json::read(&bytes)?))
        })
    }
}

/// The same, where a request without a body means the defaults.
#[derive(Debug)]
pub struct OptionalJsonBody<T>(pub T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJsonBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let is_empty =
            length.map_or(!request.headers().contains_key(TRANSFER_ENCODING), |length| length == "0");
        if is_empty {
            return Box::pin(async { Ok(Self(T::default())) });
        }
        let body = JsonBody::from_request(request, payload);
        Box::pin(async move { body.await.map(|JsonBody(value)| Self(value)) })
    }
}

/// Reads a body of at most `limit` bytes, whether or not it was announced.
async fn collect(mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Kind::TooLarge, format!("at most {limit} bytes are accepted"))
}

impl From<PayloadError> for Problem {
    fn from(error: PayloadError) -> Self {
        if matches!(&error, PayloadError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut) {
            return Self::new(Kind::Timeout, "nothing more of the body came within `server.bodyTimeout`");
        }
        Self::new(Kind::Malformed, format!("the body broke off: {error}"))
    }
}

impl From<BadJsonText> for Problem {
    fn from(error: BadJsonText) -> Self {
        match error {
            BadJsonText::Syntax(message) => Self::new(Kind::Malformed, format!("not JSON: {message}")),
            BadJsonText::Rule(error) => Self::validation(vec![error]),
        }
    }
}
