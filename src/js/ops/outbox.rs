//! Frames on their way to the daemon, and bodies on their way to scripts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use tokio::net::UnixStream;

use crate::js::protocol::{self, Kind};

/// Gathers frames; shared by the ops and the main loop.
#[derive(Clone)]
pub(in crate::js) struct Outbox(Rc<Inner>);

struct Inner {
    socket: Rc<UnixStream>,
    began: Instant,
    pending: RefCell<Pending>,
}

#[derive(Default)]
struct Pending {
    buffer: Vec<u8>,
    /// How much of the buffer's front was already written.
    written: usize,
}

impl Outbox {
    pub fn new(socket: Rc<UnixStream>) -> Self {
        Self(Rc::new(Inner { socket, began: Instant::now(), pending: RefCell::default() }))
    }

    pub fn elapsed_ms(&self) -> f64 {
        self.0.began.elapsed().as_secs_f64() * 1e3
    }

    pub fn put(&self, kind: Kind, run: u32, call: u32, parts: &[&[u8]]) {
        protocol::put(&mut self.0.pending.borrow_mut().buffer, kind, run, call, parts);
    }

    pub fn put_with_body(&self, kind: Kind, run: u32, call: u32, head: &[u8], body: &[u8]) {
        protocol::put_with_body(&mut self.0.pending.borrow_mut().buffer, kind, run, call, head, body);
    }

    /// Writes as much as the socket takes now; true when nothing is left.
    pub fn flush(&self) -> io::Result<bool> {
        let mut pending = self.0.pending.borrow_mut();
        while pending.written < pending.buffer.len() {
            match self.0.socket.try_write(&pending.buffer[pending.written..]) {
                Ok(count) => pending.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        pending.buffer.clear();
        pending.written = 0;
        Ok(true)
    }
}

/// Response bodies until a script takes them.
#[derive(Default)]
pub(in crate::js) struct Bodies {
    last: u32,
    waiting: HashMap<u32, Bytes>,
}

impl Bodies {
    /// Keeps a body and says under which number.
    pub fn keep(&mut self, body: Bytes) -> u32 {
        // Within the range of a small integer of the engine.
        self.last = (self.last + 1) & 0x3fff_ffff;
        self.waiting.insert(self.last, body);
        self.last
    }

    /// The number of the last that was kept.
    pub fn mark(&self) -> u32 {
        self.last
    }

    /// Drops those that were kept since: nobody has heard of them.
    pub fn forget_since(&mut self, mark: u32) {
        while self.last != mark {
            self.waiting.remove(&self.last);
            self.last = self.last.wrapping_sub(1) & 0x3fff_ffff;
        }
    }

    pub fn take(&mut self, number: u32) -> Bytes {
        self.waiting.remove(&number).unwrap_or_default()
    }
}
