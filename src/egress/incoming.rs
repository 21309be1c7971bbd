//! The body of an answer, read as it comes, up to the limit and with secrets
//! taken out.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use reqwest::Response;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::coding::{Decoder, Unreadable};
use super::deadline::Deadline;
use super::failure::{self, permanent, transient};
use super::failures::Said;
use super::policy::TargetPolicy;
use super::recording::Recording;
use super::request::Outgoing;
use super::response::by_status;
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
    deadline: Deadline,
    /// What the status says of the run.
    said: Said,
    decoder: Decoder,
    read: usize,
    parts: Parts,
    ended: bool,
}

impl Incoming {
    /// Refuses a body that is announced to be too long.
    pub(super) fn new(
        response: Response,
        outgoing: &Outgoing,
        said: Said,
        policy: Arc<TargetPolicy>,
        deadline: Deadline,
    ) -> Result<Self, HostCallError> {
        let announced =
            response.content_length().filter(|_| response.headers().contains_key("content-length"));
        let most = policy.limits.response_body;
        let decoder = Decoder::of(response.headers(), most);
        let (host, parts) = (outgoing.authority(), Parts::default());
        let incoming = Self { response, host, policy, deadline, said, decoder, read: 0, parts, ended: false };
        if announced.is_some_and(|length| length > most as u64) {
            return Err(by_status(incoming.too_long(), said));
        }
        Ok(incoming)
    }

    /// What of the body comes at once, and whether that is all.
    pub(super) async fn start(&mut self) -> Result<(Bytes, bool), HostCallError> {
        let until = (Instant::now() + GRACE).min(self.deadline.at);
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
                    return Some(Err(by_status(error, self.said)));
                }
            }
        }
        None
    }

    async fn part(&mut self) -> Result<Bytes, HostCallError> {
        let read = timeout_at(self.deadline.at, self.response.chunk()).await;
        let read = read.map_err(|_| self.deadline.missed(&self.host))?;
        let Some(bytes) = read.map_err(|error| failure::of_client(&error, &self.host))? else {
            return self.last();
        };
        self.read += bytes.len();
        if self.read > self.policy.limits.response_body {
            return Err(self.too_long());
        }
        let bytes = self.decoder.push(bytes).map_err(|error| self.unreadable(error))?;
        let hide = &self.policy.hide;
        // Nothing is copied where there is nothing to hide.
        Ok(if hide.is_empty() { bytes } else { self.parts.push(hide, &bytes).into() })
    }

    fn last(&mut self) -> Result<Bytes, HostCallError> {
        self.ended = true;
        let bytes = self.decoder.finish().map_err(|error| self.unreadable(error))?;
        let hide = &self.policy.hide;
        if hide.is_empty() {
            return Ok(bytes);
        }
        let mut shown = self.parts.push(hide, &bytes);
        shown.extend(std::mem::take(&mut self.parts).finish(hide));
        Ok(shown.into())
    }

    fn unreadable(&self, error: Unreadable) -> HostCallError {
        match error {
            Unreadable::TooLong => self.too_long(),
            Unreadable::Broken => {
                transient(format!("the answer of `{}` says that it is gzip, and is a damaged one", self.host))
            }
        }
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
