//! Reads what the child says. Nothing it says is trusted: numbers of ended
//! runs are ignored, limits are counted again, bad frames end it.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use nix::libc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, pipe};

use super::super::code::{Code, Place};
use super::super::limits::{
    MAX_CALLS_PER_RUN, MAX_CONSOLE_BYTES, MAX_CONSOLE_LINES, MAX_FRAME_FROM_HOST, MAX_REQUEST_BODY,
    MAX_RETURNED, MAX_SIGNED,
};
use super::super::outcome::{CompileError, RunOutcome, StartError};
use super::super::protocol::{self, Frame, Kind, LoadFailure, Loaded, ProtocolError};
use super::answers;
use super::death::Death;
use super::shared::{Event, Shared, Startup};
use crate::domain::host_call::{ConsoleLevel, ConsoleLine};

/// How much of the child's standard error is kept for its obituary.
const LAST_WORDS: usize = 2 * 1024;

/// Reads until the child closes its socket, then ends its runs. Also ends them
/// when the task itself is dropped.
pub(super) async fn read(shared: Arc<Shared>, mut socket: OwnedReadHalf) {
    let guard = CloseOnDrop(&shared);
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    loop {
        match socket.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if let Err(error) = take_frames(&shared, &mut buffer) {
            shared.kill(Death::Exited(format!("it broke the protocol ({error})")));
            break;
        }
        buffer.reserve(16 * 1024);
    }
    let how = last_words(&shared).await;
    shared.close(how);
    drop(guard);
}

struct CloseOnDrop<'a>(&'a Shared);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        if !self.0.state().closed {
            self.0.process.kill();
            self.0.close(Death::Asked);
        }
    }
}

fn take_frames(shared: &Shared, buffer: &mut BytesMut) -> Result<(), ProtocolError> {
    while let Some(frame) = protocol::take(buffer, MAX_FRAME_FROM_HOST)? {
        match frame.kind {
            Kind::Booted | Kind::Ready | Kind::Failed => take_startup(shared, &frame),
            Kind::Pong => take_pong(shared, frame.call),
            Kind::HeapExhausted => shared.kill(Death::Heap),
            _ => take_event(shared, frame)?,
        }
    }
    Ok(())
}

fn take_startup(shared: &Shared, frame: &Frame) {
    let startup = match frame.kind {
        Kind::Booted => {
            // A report that cannot be read claims nothing.
            shared.state().in_force = serde_json::from_slice(&frame.payload).unwrap_or_default();
            let cpu = shared.process.cpu().unwrap_or_default();
            Startup::Loading { since: std::time::Instant::now(), cpu }
        }
        Kind::Ready => ready(shared, &frame.payload),
        _ => Startup::Failed(load_failure(&shared.code, &frame.payload)),
    };
    shared.state().startup = startup;
    shared.started.notify_one();
}

/// What a host offers that it was not asked for is nothing.
fn ready(shared: &Shared, payload: &[u8]) -> Startup {
    let loaded: Loaded = serde_json::from_slice(payload).unwrap_or_default();
    shared.state().tests = loaded.tests;
    Startup::Ready
}

/// The innermost of the author's own lines is the place; what was thrown in a
/// package names that one's file as well.
fn load_failure(code: &Code, payload: &[u8]) -> StartError {
    match serde_json::from_slice::<LoadFailure>(payload) {
        Ok(LoadFailure { mut message, frames }) => {
            let places: Vec<_> = frames
                .iter()
                .filter_map(|(line, column)| code.place(*line, *column))
                // A stand-in for what is not there says so itself.
                .filter(|place| !place.file.starts_with("provisiond:absent/"))
                .collect();
            if let Some(Place { file, line, column }) = places.first().filter(|place| !place.is_authors()) {
                message.push_str(&format!(" ({file}:{line}:{column})"));
            }
            let own = places.iter().find(|place| place.is_authors());
            let (line, column) = (own.map(|place| place.line), own.map(|place| place.column));
            StartError::Compile(CompileError { message, line, column })
        }
        Err(error) => StartError::Crashed(format!("it failed without a reason ({error})")),
    }
}

fn take_pong(shared: &Shared, number: u32) {
    let mut state = shared.state();
    if state.ping.is_some_and(|ping| ping.number == number) {
        state.ping = None;
    }
}

fn take_event(shared: &Shared, frame: Frame) -> Result<(), ProtocolError> {
    let Frame { kind, run, call, payload } = frame;
    let mut state = shared.state();
    let Some(slot) = state.slot(run) else {
        return Ok(());
    };
    match kind {
        Kind::Console => {
            slot.write(call, &payload);
            return Ok(());
        }
        Kind::Returned if payload.len() <= MAX_RETURNED => slot.push(Event::Returned(payload)),
        Kind::Returned => return Err(ProtocolError::TooLarge(payload.len())),
        Kind::Threw => slot.push(Event::Ended(RunOutcome::Threw(answers::thrown(&shared.code, &payload)))),
        Kind::Broke => {
            let sentence = String::from_utf8_lossy(&payload).into_owned();
            slot.push(Event::Ended(RunOutcome::Limit(sentence)));
        }
        Kind::Fetch => {
            slot.calls += 1;
            let event = fetch(slot.calls, call, payload)?;
            slot.push(event);
        }
        Kind::InspectKey | Kind::Sign => {
            slot.calls += 1;
            let event = signing(kind, slot.calls, call, payload)?;
            slot.push(event);
        }
        Kind::Cancel => slot.push(Event::Cancel { call }),
        other => return Err(ProtocolError::UnknownKind(other as u8)),
    }
    Ok(())
}

fn fetch(calls: u32, call: u32, payload: Bytes) -> Result<Event, ProtocolError> {
    let (head, body) = protocol::split_body(payload)?;
    if calls > MAX_CALLS_PER_RUN || body.len() > MAX_REQUEST_BODY {
        // The host's scripts do not let it come to this.
        return Err(ProtocolError::TooLarge(body.len()));
    }
    Ok(match answers::request(&head, body) {
        Ok(request) => Event::Fetch { call, request },
        Err(message) => Event::Refused { call, message },
    })
}

fn signing(kind: Kind, calls: u32, call: u32, payload: Bytes) -> Result<Event, ProtocolError> {
    let (head, data) = match kind {
        Kind::Sign => protocol::split_body(payload)?,
        _ => (payload, Bytes::new()),
    };
    if calls > MAX_CALLS_PER_RUN || data.len() > MAX_SIGNED {
        return Err(ProtocolError::TooLarge(data.len()));
    }
    let event = match kind {
        Kind::Sign => answers::sign_request(&head, data).map(|request| Event::Sign { call, request }),
        _ => answers::key_request(&head).map(|request| Event::InspectKey { call, request }),
    };
    Ok(event.unwrap_or_else(|message| Event::Refused { call, message }))
}

impl super::shared::Slot {
    /// Keeps a console line, unless the run wrote too much. One line more than
    /// the limit says that the rest was cut.
    fn write(&mut self, at_ms: u32, payload: &[u8]) {
        let Some((level, text)) = payload.split_first() else { return };
        if self.console.len() > MAX_CONSOLE_LINES || self.console_bytes > 2 * MAX_CONSOLE_BYTES {
            return;
        }
        let level = match level {
            0 => ConsoleLevel::Debug,
            1 => ConsoleLevel::Info,
            2 => ConsoleLevel::Warn,
            _ => ConsoleLevel::Error,
        };
        self.console_bytes += text.len();
        let text = String::from_utf8_lossy(text).into_owned();
        self.console.push(ConsoleLine { level, at_ms: at_ms.into(), text });
    }
}

/// How the child ended, when nobody killed it for a reason.
async fn last_words(shared: &Shared) -> Death {
    let status = shared.process.reap().await;
    let words = shared.state().last_words.trim().to_owned();
    // The allocator's words when the resource limit is hit.
    if words.contains("memory allocation of") {
        return Death::Heap;
    }
    let how = match status {
        Ok(status) => match status.signal() {
            Some(libc::SIGSYS) => "it asked the kernel for what the sandbox forbids".into(),
            Some(signal) => format!("signal {signal}"),
            None => format!("exit code {}", status.code().unwrap_or_default()),
        },
        Err(error) => error.to_string(),
    };
    match words.lines().next() {
        Some(words) => Death::Exited(format!("{how}, {words}")),
        None => Death::Exited(how),
    }
}

/// The child writes there only when it breaks.
pub(super) async fn read_stderr(shared: Arc<Shared>, stderr: pipe::Receiver) {
    let mut lines = BufReader::new(stderr.take(64 * 1024)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log::debug!("JavaScript host {}: {line}", shared.process.pid());
        let mut state = shared.state();
        if state.last_words.len() + line.len() < LAST_WORDS {
            state.last_words.push_str(&line);
            state.last_words.push('\n');
        }
    }
}
