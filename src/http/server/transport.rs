//! The stream of a connection, with the deadlines that a client has.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::Connection;

/// So many bytes of an answer have to be taken within the time for writing. Less
/// is as good as nothing: an answer would be held in memory for hours.
const PROGRESS: usize = 64 * 1024;

pub(super) struct Transport {
    stream: TcpStream,
    connection: Arc<Connection>,
    reading: Alarm,
    writing: Alarm,
    stall: Option<Stall>,
}

/// The client does not take all that there is for it.
struct Stall {
    since: Instant,
    taken: usize,
}

impl Transport {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        let (reading, writing) = (Alarm::default(), Alarm::default());
        Self { stream, connection, reading, writing, stall: None }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// An error when the connection has to make room.
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        match self.connection.is_wanted(context.waker()) {
            true => Ok(()),
            false => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.connection.close();
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        if Pin::new(&mut self.stream).poll_read(context, buffer)?.is_ready() {
            match buffer.filled().len() == before {
                true => self.connection.hang_up(),
                false => self.connection.hear(),
            }
            return Poll::Ready(Ok(()));
        }
        let deadline = self.connection.deadline();
        match self.reading.is_over(deadline, context) {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => Poll::Pending,
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        if let Poll::Ready(taken) = Pin::new(&mut self.stream).poll_write(context, bytes)? {
            if let Some(stall) = &mut self.stall {
                stall.taken += taken;
            }
            if self.stall.as_ref().is_some_and(|stall| stall.taken >= PROGRESS) {
                self.stall = None;
            }
            return Poll::Ready(Ok(taken));
        }
        let since = self.stall.get_or_insert_with(|| Stall { since: Instant::now(), taken: 0 }).since;
        let deadline = since + self.connection.limits.write;
        match self.writing.is_over(Some(deadline), context) {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => Poll::Pending,
        }
    }

    /// Called when everything is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stall = None;
        self.writing.is_over(None, context);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Wakes the task at a deadline, which may change.
#[derive(Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether the deadline is over; the task is woken when it will be.
    pub(super) fn is_over(&mut self, deadline: Option<Instant>, context: &mut Context<'_>) -> bool {
        let Some(deadline) = deadline else {
            self.0 = None;
            return false;
        };
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context).is_ready()
    }
}
