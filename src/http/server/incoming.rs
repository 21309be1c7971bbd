//! A body on its way in: its deadline, and whether it was read to its end.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpMessage as _;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;
use tokio::time::Instant;

use super::transport::Alarm;

/// So many bytes give a client the whole of its time again.
const PROGRESS: usize = 1024;

/// A body, whoever reads it.
#[derive(Clone)]
pub(super) struct Incoming(Rc<RefCell<Body>>);

struct Body {
    payload: Payload,
    /// How long its reader may wait for so many bytes.
    limit: Duration,
    /// Since when it waits.
    since: Option<Instant>,
    waited: Duration,
    received: usize,
    alarm: Alarm,
    is_over: bool,
}

/// Puts a watch on the body of a request, if it has one.
pub(super) fn watch(request: &mut ServiceRequest, limit: Duration) -> Option<Incoming> {
    let payload = request.take_payload();
    if matches!(payload, Payload::None) {
        return None;
    }
    let (waited, alarm) = (Duration::ZERO, Alarm::default());
    let body = Body { payload, limit, since: None, waited, received: 0, alarm, is_over: false };
    let body = Incoming(Rc::new(RefCell::new(body)));
    request.set_payload(Payload::Stream { payload: Box::pin(body.clone()) });
    Some(body)
}

impl Incoming {
    /// Whether it was read to its end.
    pub(super) fn is_over(&self) -> bool {
        self.0.borrow().is_over
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Incoming")
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll(context)
    }
}

impl Body {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        match Pin::new(&mut self.payload).poll_next(context) {
            Poll::Pending => self.wait(context),
            Poll::Ready(piece) => {
                self.is_over = piece.is_none();
                self.count(piece.as_ref().and_then(|piece| piece.as_ref().ok()).map_or(0, Bytes::len));
                Poll::Ready(piece)
            }
        }
    }

    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let deadline = since + self.limit.saturating_sub(self.waited);
        match self.alarm.is_over(Some(deadline), context) {
            true => Poll::Ready(Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into())))),
            false => Poll::Pending,
        }
    }

    fn count(&mut self, received: usize) {
        self.waited += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.received += received;
        if self.received >= PROGRESS {
            (self.received, self.waited) = (0, Duration::ZERO);
        }
    }
}
