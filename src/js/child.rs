//! The host's side: reads frames, hands them to the runtime, turns its event
//! loop, sends what came of it. One thread, one loop, no task a run.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use nix::libc;
use nix::unistd::Pid;
use tokio::net::UnixStream;

use super::limits::{CRYPTO_THREADS, MAX_FRAME_TO_HOST};
use super::load;
use super::ops::Outbox;
use super::protocol::{self, Frame, Kind};
use super::runtime::{Runtime, Turn};
use super::sandbox::{self, Attempt, HalfConfined, InForce};

/// Most bytes read before the runtime gets its turn.
const READ_AT_ONCE: usize = 1024 * 1024;

/// The main function of a host. It must be the first thing that the process
/// does: it closes every descriptor that it does not know.
///
/// `confined` is false when the operator has switched the sandbox off.
pub fn main(confined: bool) -> ExitCode {
    match run(confined) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = "`js-host` is started by the daemon itself";
            let _ = writeln!(io::stderr(), "error: cannot run as JavaScript host: {error}\nhint: {hint}");
            ExitCode::from(2)
        }
    }
}

fn run(confined: bool) -> io::Result<()> {
    let socket = sandbox::take_socket()?;
    sandbox::enter(&socket)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(CRYPTO_THREADS)
        .build()?
        .block_on(serve(socket, confined))
}

async fn serve(socket: std::os::unix::net::UnixStream, confined: bool) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = Rc::new(UnixStream::from_std(socket)?);
    let mut inbox = Inbox::new(socket.clone());
    let outbox = Outbox::new(socket.clone());
    let Some(start) = poll_fn(|cx| inbox.poll_first(cx)).await? else {
        return Ok(());
    };
    let confined = confined.then(sandbox::confine);
    let seal = || confined.map_or_else(InForce::default, HalfConfined::seal);
    if start.kind == Kind::Try {
        // Sealed, it may not even ask whose child it is.
        let daemon = Pid::parent();
        seal();
        attempt(start.call, daemon, &outbox);
        return flush(&socket, &outbox).await;
    }
    sandbox::bound_memory(start.call)?;
    let mut runtime = Runtime::new(start.call, outbox.clone());
    let in_force = serde_json::to_vec(&seal())?;
    outbox.put(Kind::Booted, 0, 0, &[&in_force]);
    outbox.flush()?;
    let code = String::from_utf8(start.payload.into()).map_err(io::Error::other)?;
    match load::load(&mut runtime, code).await {
        Ok(loaded) => outbox.put(Kind::Ready, 0, 0, &[&serde_json::to_vec(&loaded)?]),
        Err(failure) if !runtime.is_heap_exhausted() => {
            outbox.put(Kind::Failed, 0, 0, &[&serde_json::to_vec(&failure)?]);
            return flush(&socket, &outbox).await;
        }
        Err(_) => {}
    }
    while poll_fn(|cx| poll_turn(cx, &mut inbox, &mut runtime, &outbox, &socket)).await? {
        // The reactor's turn: for timers, and to see what else can be read.
        tokio::task::yield_now().await;
    }
    flush(&socket, &outbox).await
}

/// Tries what a host must not be able to do, and says what came of it.
fn attempt(number: u32, daemon: Pid, outbox: &Outbox) {
    let made = Attempt::from_number(number).map_or(Err(libc::EINVAL), |attempt| attempt.make(daemon));
    let error = made.err().and_then(|error| u32::try_from(error).ok()).unwrap_or(0);
    outbox.put(Kind::Tried, 0, error, &[]);
}

/// One turn; false when the daemon closed the socket or the runtime is used up.
fn poll_turn(
    cx: &mut Context<'_>,
    inbox: &mut Inbox,
    runtime: &mut Runtime,
    outbox: &Outbox,
    socket: &UnixStream,
) -> Poll<io::Result<bool>> {
    let open = inbox.poll_read(cx)?;
    inbox.answer_pings(outbox)?;
    match runtime.turn(cx, &mut inbox.frames) {
        Turn::Idle { at_rest } => inbox.answer_rest(at_rest, outbox),
        Turn::HeapExhausted => {
            outbox.put(Kind::HeapExhausted, 0, 0, &[]);
            return Poll::Ready(Ok(false));
        }
        Turn::Broken(error) => return Poll::Ready(Err(io::Error::other(error))),
    }
    let sent = outbox.flush()?;
    if !open {
        return Poll::Ready(Ok(false));
    }
    if !inbox.frames.is_empty() || (!sent && socket.poll_write_ready(cx)?.is_ready()) {
        return Poll::Ready(Ok(true));
    }
    Poll::Pending
}

async fn flush(socket: &UnixStream, outbox: &Outbox) -> io::Result<()> {
    while !outbox.flush()? {
        socket.writable().await?;
    }
    Ok(())
}

/// What the daemon said and the runtime has not taken yet.
struct Inbox {
    socket: Rc<UnixStream>,
    buffer: BytesMut,
    frames: VecDeque<Frame>,
    /// The daemon wants to know whether anything is left to be done.
    asked_for_rest: bool,
}

impl Inbox {
    fn new(socket: Rc<UnixStream>) -> Self {
        let buffer = BytesMut::with_capacity(64 * 1024);
        Self { socket, buffer, frames: VecDeque::new(), asked_for_rest: false }
    }

    /// Reads what there is; false when the daemon closed the socket.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut read = 0;
        while read < READ_AT_ONCE {
            match self.socket.poll_read_ready(cx)? {
                Poll::Pending => break,
                Poll::Ready(()) => {}
            }
            self.buffer.reserve(16 * 1024);
            match self.socket.try_read_buf(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        while let Some(frame) =
            protocol::take(&mut self.buffer, MAX_FRAME_TO_HOST).map_err(io::Error::other)?
        {
            match frame.kind {
                Kind::Rest => self.asked_for_rest = true,
                _ => self.frames.push_back(frame),
            }
        }
        if read >= READ_AT_ONCE {
            // More is waiting, and nothing else would wake us for it.
            cx.waker().wake_by_ref();
        }
        Ok(true)
    }

    /// The first frame, `None` when the daemon went away before it.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Frame>>> {
        loop {
            let open = self.poll_read(cx)?;
            if let Some(frame) = self.frames.pop_front() {
                return Poll::Ready(Ok(Some(frame)));
            }
            if !open {
                return Poll::Ready(Ok(None));
            }
            ready!(self.socket.poll_read_ready(cx))?;
        }
    }

    /// That this is reached means that the event loop turns; later frames of
    /// the same read have not been begun.
    fn answer_pings(&mut self, outbox: &Outbox) -> io::Result<()> {
        let before = self.frames.len();
        self.frames.retain(|frame| {
            if frame.kind == Kind::Ping {
                outbox.put(Kind::Pong, 0, frame.call, &[]);
            }
            frame.kind != Kind::Ping
        });
        if self.frames.len() < before {
            outbox.flush()?;
        }
        Ok(())
    }

    /// After a turn, when the runtime has taken everything.
    fn answer_rest(&mut self, at_rest: bool, outbox: &Outbox) {
        if self.asked_for_rest && self.frames.is_empty() {
            self.asked_for_rest = false;
            outbox.put(Kind::Rested, 0, at_rest.into(), &[]);
        }
    }
}
