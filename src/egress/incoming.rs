//! The body of an answer, read as it comes, up to the limit and with secrets
//! taken out.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use reqwest::Response;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::failure::{self, permanent};
use super::policy::TargetPolicy;
use super::recording::Recording;
use super::request::Outgoing;
use crate::domain::host_call::{BodyStream, HostCallError};
use crate::security::Parts;

/// How long the head waits for the body, so that a short answer is handed over
/// in one piece.
const GRACE: Duration = Duration::from_millis(50);
/// Bytes of a body that the head does not wait for any longer.
const SHORT: usize = 64 * 1024;

/// A body that is being read.
pub(super) struct Incoming {
    response: Response,
    host: String,
    policy: Arc<TargetPolicy>,
    deadline: Instant,
    read: usize,
    parts: Parts,
    ended: bool,
}

impl Incoming {
    /// Refuses a body that is announced to be too long.
    pub(super) fn new(
        response: Response,
        outgoing: &Outgoing,
        policy: Arc<TargetPolicy>,
        deadline: Instant,
    ) -> Result<Self, HostCallError> {
        let announced =
            response.content_length().filter(|_| response.headers().contains_key("content-length"));
        let host = outgoing.authority();
        let parts = Parts::default();
        let incoming = Self { response, host, policy, deadline, read: 0, parts, ended: false };
        let most = incoming.policy.limits.response_body;
        if announced.is_some_and(|length| length > most as u64) {
            return Err(incoming.too_long());
        }
        Ok(incoming)
    }

    /// What of the body comes at once, and whether that is all.
    pub(super) async fn start(&mut self) -> Result<(Bytes, bool), HostCallError> {
        let until = (Instant::now() + GRACE).min(self.deadline);
        let mut start = Bytes::new();
        while start.len() < SHORT {
            match timeout_at(until, self.next()).await {
                Ok(None) => return Ok((start, true)),
                Ok(Some(part)) => start = joined(start, part?),
                Err(_) => break,
            }
        }
        Ok((start, false))
    }

    /// All of it, where it is short.
    pub(super) async fn whole(&mut self) -> Result<Bytes, HostCallError> {
        let mut body = Bytes::new();
        while let Some(part) = self.next().await {
            body = joined(body, part?);
        }
        Ok(body)
    }

    /// The next part, never an empty one. Giving the wait up loses nothing.
    async fn next(&mut self) -> Option<Result<Bytes, HostCallError>> {
        while !self.ended {
            match self.part().await {
                Ok(part) if part.is_empty() => {}
                Ok(part) => return Some(Ok(part)),
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    async fn part(&mut self) -> Result<Bytes, HostCallError> {
        let timeout = self.policy.limits.request_timeout;
        let read = timeout_at(self.deadline, self.response.chunk()).await;
        let read = read.map_err(|_| failure::timed_out(&self.host, timeout))?;
        let hide = &self.policy.hide;
        let Some(bytes) = read.map_err(|error| failure::of_client(&error, &self.host))? else {
            self.ended = true;
            return Ok(std::mem::take(&mut self.parts).finish(hide).into());
        };
        self.read += bytes.len();
        if self.read > self.policy.limits.response_body {
            return Err(self.too_long());
        }
        // Nothing is copied where there is nothing to hide.
        Ok(if hide.is_empty() { bytes } else { self.parts.push(hide, &bytes).into() })
    }

    fn too_long(&self) -> HostCallError {
        permanent(format!(
            "the answer of `{}` is larger than {} bytes",
            self.host, self.policy.limits.response_body
        ))
    }

    /// What has not come yet, as a stream that keeps the record of its call and
    /// its turn until it ends.
    pub(super) fn stream(self, recording: Recording, turn: OwnedSemaphorePermit) -> BodyStream {
        Box::pin(stream::unfold(Some((self, recording, turn)), |state| async {
            let (mut incoming, mut recording, turn) = state?;
            match incoming.next().await {
                Some(Ok(part)) => {
                    recording.add(&part);
                    Some((Ok(part), Some((incoming, recording, turn))))
                }
                Some(Err(error)) => {
                    let error = incoming.policy.clean(error);
                    recording.fail(error.clone());
                    Some((Err(error), None))
                }
                None => {
                    recording.complete();
                    None
                }
            }
        }))
    }
}

/// The first part is not copied.
fn joined(body: Bytes, part: Bytes) -> Bytes {
    if body.is_empty() {
        return part;
    }
    let mut body = BytesMut::from(body);
    body.extend_from_slice(&part);
    body.freeze()
}
