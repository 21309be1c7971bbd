//! An answer on its way out, in small pieces: what was handed over is copied,
//! and stays until the client has taken it.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use super::connection::Serving;

/// Largest piece, in bytes.
const PIECE: usize = 32 * 1024;

/// The body of an answer. Its request counts as served until it is dropped.
pub(super) struct Answer {
    body: BoxBody,
    left: Bytes,
    _serving: Option<Serving>,
}

impl Answer {
    pub(super) fn new<B: MessageBody + 'static>(body: B, serving: Option<Serving>) -> Self {
        Self { body: body.boxed(), left: Bytes::new(), _serving: serving }
    }
}

impl MessageBody for Answer {
    type Error = Box<dyn StdError>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        while self.left.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(bytes)) => self.left = bytes,
                other => return Poll::Ready(other),
            }
        }
        let size = self.left.len().min(PIECE);
        Poll::Ready(Some(Ok(self.left.split_to(size))))
    }
}
