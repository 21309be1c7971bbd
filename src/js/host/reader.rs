//! Reads what the child says. Nothing it says is trusted: numbers of ended
//! runs are ignored, limits are counted again, bad frames end it.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nix::libc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, pipe};
use tokio::task::JoinHandle;

use super::super::code::{Code, Place};
use super::super::limits::{
    MAX_CALLS_PER_RUN, MAX_CONSOLE_BYTES, MAX_CONSOLE_LINES, MAX_EVENTS, MAX_FRAME_FROM_HOST, MAX_MESSAGE,
    MAX_REQUEST_BODY, MAX_REQUEST_HEAD, MAX_REQUESTS_IN_FLIGHT, MAX_RETURNED, MAX_SIGN_HEAD, MAX_SIGNED,
    MAX_TEST_NAMES, MAX_TESTS, cut,
};
use super::super::outcome::{CompileError, RunOutcome, StartError};
use super::super::protocol::{self, Frame, Kind, LoadFailure, Loaded, ProtocolError};
use super::answers;
use super::death::Death;
use super::shared::{Event, Shared, Startup};
use crate::domain::host_call::{ConsoleLevel, ConsoleLine, HostCallError};
use crate::domain::status::ErrorClass;

/// A buffer that grew beyond this is not kept.
const KEPT: usize = 1024 * 1024;
/// How much of the child's standard error is kept for its obituary.
const LAST_WORDS: usize = 2 * 1024;
/// How long they are waited for when the child has ended.
const PATIENCE_FOR_WORDS: Duration = Duration::from_secs(1);
/// The allocator's words when the resource limit is hit, and the engine's when it
/// has stopped everything over its own limit and breaks before it can say so.
const HEAP_IS_USED_UP: [&str; 2] = ["memory allocation of", "execution terminated"];

/// Reads until the child closes its socket, then ends its runs. Also ends them
/// when the task itself is dropped.
/// `words` reads its standard error.
pub(super) async fn read(shared: Arc<Shared>, mut socket: OwnedReadHalf, words: JoinHandle<()>) {
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
        if buffer.is_empty() && buffer.capacity() > KEPT {
            buffer = BytesMut::with_capacity(64 * 1024);
        }
        buffer.reserve(16 * 1024);
    }
    let how = last_words(&shared, words).await;
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

/// Takes the frames that are complete; an error ends the host.
pub(super) fn take_frames(shared: &Arc<Shared>, buffer: &mut BytesMut) -> Result<(), ProtocolError> {
    while let Some(frame) = protocol::take(buffer, MAX_FRAME_FROM_HOST)? {
        match frame.kind {
            Kind::Booted | Kind::Ready | Kind::Failed => take_startup(shared, &frame)?,
            Kind::Pong => take_pong(shared, frame.call),
            Kind::Rested => {
                shared.state().at_rest = frame.call == 1;
                shared.rested.notify_one();
            }
            Kind::HeapExhausted => shared.kill(Death::Heap),
            _ => take_event(shared, frame)?,
        }
    }
    Ok(())
}

fn take_startup(shared: &Shared, frame: &Frame) -> Result<(), ProtocolError> {
    let mut state = shared.state();
    // Nothing starts twice.
    let startup = match (&state.startup, frame.kind) {
        (Startup::Booting, Kind::Booted) => {
            // A report that cannot be read claims nothing.
            state.in_force = serde_json::from_slice(&frame.payload).unwrap_or_default();
            // From zero, if it cannot be measured: rather too much counts than too little.
            let cpu = shared.process.cpu().unwrap_or_default();
            Startup::Loading { since: std::time::Instant::now(), cpu }
        }
        (Startup::Loading { .. }, Kind::Ready) => match tests_of(&frame.payload) {
            Ok(tests) => {
                state.tests = tests;
                Startup::Ready
            }
            Err(sentence) => Startup::Failed(StartError::Limit(sentence)),
        },
        (Startup::Loading { .. }, Kind::Failed) => {
            Startup::Failed(load_failure(&shared.code, &frame.payload))
        }
        (_, kind) => return Err(ProtocolError::OutOfTurn(kind as u8)),
    };
    state.startup = startup;
    drop(state);
    shared.started.notify_one();
    Ok(())
}

/// The names of the author's tests, or the limit that they break.
fn tests_of(payload: &[u8]) -> Result<Vec<String>, String> {
    if payload.len() > MAX_TEST_NAMES {
        return Err(format!("the limit of {} KiB for names of tests was reached", MAX_TEST_NAMES / 1024));
    }
    // What a host offers that it was not asked for is nothing.
    let loaded: Loaded = serde_json::from_slice(payload).unwrap_or_default();
    if loaded.tests.iter().any(|name| name.contains('\0')) {
        return Err("the name of a test contains NUL (U+0000)".into());
    }
    match loaded.tests.len() {
        0..=MAX_TESTS => Ok(loaded.tests),
        _ => Err(format!("the limit of {MAX_TESTS} tests was reached")),
    }
}

/// The innermost of the author's own lines is the place; what was thrown in a
/// package names that one's file as well.
fn load_failure(code: &Code, payload: &[u8]) -> StartError {
    match serde_json::from_slice::<LoadFailure>(payload) {
        Ok(LoadFailure { message, frames }) => {
            let mut message = cut(&message, MAX_MESSAGE).to_owned();
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
        Err(_) => StartError::Crashed("it failed without a reason".into()),
    }
}

fn take_pong(shared: &Shared, number: u32) {
    let mut state = shared.state();
    if state.ping.is_some_and(|ping| ping.number == number) {
        state.ping = None;
        shared.stirred.notify_one();
    }
}

fn take_event(shared: &Arc<Shared>, frame: Frame) -> Result<(), ProtocolError> {
    let Frame { kind, run, call, payload } = frame;
    let mut state = shared.state();
    let Some(slot) = state.slot(run) else {
        return Ok(());
    };
    if slot.events.len() >= MAX_EVENTS {
        return Err(ProtocolError::TooMany);
    }
    if kind == Kind::Console {
        slot.write(&shared.code, call, &payload);
        return Ok(());
    }
    if slot.has_ended() {
        return Ok(());
    }
    // As it is it would keep all of the buffer that it came in.
    let payload = Bytes::copy_from_slice(&payload);
    match kind {
        Kind::Returned if payload.len() <= MAX_RETURNED => slot.push(Event::Returned(payload)),
        Kind::Returned => return Err(ProtocolError::TooLarge(payload.len())),
        Kind::Threw => slot.push(Event::Ended(RunOutcome::Threw(answers::thrown(&shared.code, &payload)))),
        Kind::Broke => {
            let sentence = cut(&String::from_utf8_lossy(&payload), MAX_MESSAGE).to_owned();
            slot.push(Event::Ended(RunOutcome::Limit(sentence)));
        }
        Kind::Fetch => {
            slot.calls += 1;
            let event = fetch(shared, slot.calls, call, payload)?;
            slot.push(event);
        }
        Kind::InspectKey | Kind::Sign => {
            slot.calls += 1;
            let event = signing(shared, kind, slot.calls, call, payload)?;
            slot.push(event);
        }
        Kind::Cancel => slot.push(Event::Cancel { call }),
        other => return Err(ProtocolError::UnknownKind(other as u8)),
    }
    Ok(())
}

/// The host's scripts do not let it come to an error.
fn fetch(shared: &Arc<Shared>, calls: u32, call: u32, payload: Bytes) -> Result<Event, ProtocolError> {
    let (head, body) = protocol::split_body(payload)?;
    if calls > MAX_CALLS_PER_RUN {
        return Err(ProtocolError::TooMany);
    }
    if head.len() > MAX_REQUEST_HEAD || body.len() > MAX_REQUEST_BODY {
        return Err(ProtocolError::TooLarge(head.len() + body.len()));
    }
    let size = head.len() + body.len();
    let Some(reserved) = shared.reserve(size) else { return Ok(too_many_bytes(call)) };
    Ok(match answers::request(&head, body) {
        Ok(request) => Event::Fetch { call, request, reserved },
        Err(message) => refused(call, ErrorClass::Permanent, message),
    })
}

fn refused(call: u32, class: ErrorClass, message: String) -> Event {
    // It may quote what it refuses.
    let message = cut(&message, MAX_MESSAGE).to_owned();
    Event::Refused { call, error: HostCallError { class, message, retry_after: None } }
}

fn signing(
    shared: &Arc<Shared>,
    kind: Kind,
    calls: u32,
    call: u32,
    payload: Bytes,
) -> Result<Event, ProtocolError> {
    let (head, data) = match kind {
        Kind::Sign => protocol::split_body(payload)?,
        _ => (payload, Bytes::new()),
    };
    if calls > MAX_CALLS_PER_RUN {
        return Err(ProtocolError::TooMany);
    }
    if head.len() > MAX_SIGN_HEAD || data.len() > MAX_SIGNED {
        return Err(ProtocolError::TooLarge(head.len() + data.len()));
    }
    let size = head.len() + data.len();
    let Some(reserved) = shared.reserve(size) else { return Ok(too_many_bytes(call)) };
    let event = match kind {
        Kind::Sign => {
            answers::sign_request(&head, data).map(|request| Event::Sign { call, request, reserved })
        }
        _ => answers::key_request(&head).map(|request| Event::InspectKey { call, request, reserved }),
    };
    Ok(event.unwrap_or_else(|message| refused(call, ErrorClass::Permanent, message)))
}

fn too_many_bytes(call: u32) -> Event {
    let most = MAX_REQUESTS_IN_FLIGHT / (1024 * 1024);
    let message = format!("the limit of {most} MiB for requests on their way from a host was reached");
    refused(call, ErrorClass::Transient, message)
}

impl super::shared::Slot {
    /// Keeps a console line, unless the run wrote too much. One line more than
    /// the limit says that the rest was cut.
    fn write(&mut self, code: &Code, at_ms: u32, payload: &[u8]) {
        let Some((level, text)) = payload.split_first() else { return };
        if self.console.len() > MAX_CONSOLE_LINES || self.console_is_cut {
            return;
        }
        let at_ms = at_ms.into();
        // The scripts say so in time; what they counted may have grown here.
        if self.console_bytes > 2 * MAX_CONSOLE_BYTES {
            self.console_is_cut = true;
            self.console.push(ConsoleLine { level: ConsoleLevel::Warn, at_ms, text: console_was_cut() });
            return;
        }
        let level = match level {
            0 => ConsoleLevel::Debug,
            1 => ConsoleLevel::Info,
            2 => ConsoleLevel::Warn,
            _ => ConsoleLevel::Error,
        };
        // The database keeps no NUL, and what stands for it is longer.
        const MOST: usize = 4 * MAX_CONSOLE_BYTES;
        let text = String::from_utf8_lossy(&text[..text.len().min(MOST)]).replace('\0', "\u{fffd}");
        let text = code.readable(cut(&text, MOST)).into_owned();
        self.console_bytes += text.len();
        self.console.push(ConsoleLine { level, at_ms, text });
    }
}

fn console_was_cut() -> String {
    format!(
        "the rest of the console was cut: a run may write {MAX_CONSOLE_LINES} lines and {MAX_CONSOLE_BYTES} bytes"
    )
}

/// The last of the signs is a text that the engine could not make for itself:
/// these crates break at nothing else, and may not come to say at what.
fn is_heap_used_up(words: &str) -> bool {
    let breaks_in = |name| words.contains("panicked at") && words.contains(name);
    let no_text = breaks_in("/deno_core-") || breaks_in("/serde_v8-");
    no_text || HEAP_IS_USED_UP.iter().any(|sign| words.contains(sign))
}

/// How the child ended, when nobody killed it for a reason.
async fn last_words(shared: &Shared, words: JoinHandle<()>) -> Death {
    let status = shared.process.reap().await;
    if shared.state().death.is_none() {
        // What it wrote lies in the pipe; whoever else holds its end is not waited
        // for.
        let _ = tokio::time::timeout(PATIENCE_FOR_WORDS, words).await;
    }
    let words = shared.state().last_words.trim().to_owned();
    if is_heap_used_up(&words) {
        return Death::Heap;
    }
    let how = match status {
        Ok(status) => match status.signal() {
            // Nobody here did: the first reason counts.
            Some(libc::SIGKILL) => return Death::Outside,
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
