//! What a host that was taken over says, and what the daemon has to make of it:
//! no panic, and nothing kept beyond its limit. The property tests beside say
//! what an honest host says with a few changes; the fuzz targets of `fuzz/` say
//! whatever reaches a line that was not reached before.
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::Cell;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Waker};

use bytes::{Bytes, BytesMut};
use tokio::runtime::Runtime;

use super::super::limits::{
    MAX_CALLS_PER_RUN, MAX_CONSOLE_BYTES, MAX_CONSOLE_LINES, MAX_EVENTS, MAX_FRAME_FROM_HOST, MAX_MESSAGE,
    MAX_REQUEST_HEADERS, MAX_REQUESTS_IN_FLIGHT, MAX_STACK, MAX_TESTS, MAX_UNREAD,
};
use super::super::protocol::{self, Kind, ProtocolError};
use super::process::Process;
use super::reader::take_frames;
use super::run::Run;
use super::shared::{Event, Shared};
use super::{Code, answers};
use crate::domain::host_call::{FetchRequest, Fetched, HostCallError, HostCallFuture, HostCalls};
use crate::domain::response::Response;
use crate::domain::status::{ErrorClass, Reason};
use crate::domain::target::Limits;

/// The number that the first run of a host gets.
pub(super) const RUN: u32 = 64;

/// Logic whose line 3 came of line 10 of its author's, and line 5 of a package's.
const MAP: &str =
    r#"{"version":3,"sources":["logic.ts","node_modules/a/x.js"],"names":[],"mappings":";;AASI;;ACRH"}"#;

thread_local! {
    /// A process that is gone. It takes longer to start than anything else here.
    static GONE: Cell<Option<Process>> = const { Cell::new(None) };
}

/// A host whose process is gone.
pub(super) fn taken_over() -> Arc<Shared> {
    let process = GONE.take().unwrap_or_else(|| {
        let mut child = Command::new("/bin/true").stdin(Stdio::null()).spawn().unwrap();
        child.wait().unwrap();
        Process::of(child)
    });
    Arc::new(Shared::new(process, Code::mapped("export default () => 1", MAP), Limits::default()))
}

/// Takes a piece of what was said, as a socket gives it; an error ends the host.
pub(super) fn hear(shared: &Arc<Shared>, buffer: &mut BytesMut, piece: &[u8]) -> Result<(), ProtocolError> {
    buffer.extend_from_slice(piece);
    let heard = take_frames(shared, buffer);
    assert!(buffer.capacity() <= 2 * (MAX_FRAME_FROM_HOST + 64 * 1024), "{}", buffer.capacity());
    nothing_beyond_its_limit_is_kept(shared);
    heard
}

fn nothing_beyond_its_limit_is_kept(shared: &Arc<Shared>) {
    let mut state = shared.state();
    assert!(state.last_words.len() <= 4 * 1024);
    assert!(state.tests.len() <= MAX_TESTS);
    let Some(slot) = state.slot(RUN) else { return };
    assert!(slot.events.len() <= MAX_EVENTS);
    assert!(slot.console.len() <= MAX_CONSOLE_LINES + 1);
    let written: usize = slot.console.iter().map(|line| line.text.len()).sum();
    assert!(written <= 20 * MAX_CONSOLE_BYTES, "{written}");
    let calls = slot.events.iter().filter(|event| matches!(event, Event::Fetch { .. })).count();
    assert!(calls <= MAX_CALLS_PER_RUN as usize);
    let ends =
        slot.events.iter().filter(|event| matches!(event, Event::Returned(_) | Event::Ended(_))).count();
    assert!(ends <= 1);
    for event in &slot.events {
        match event {
            Event::Refused { error, .. } => assert!(error.message.len() <= MAX_MESSAGE),
            // It must not keep more than is counted.
            Event::Fetch { request, .. } => {
                assert!(request.body.as_ref().is_none_or(|body| body.is_empty() || body.is_unique()));
                assert!(request.headers.len() <= MAX_REQUEST_HEADERS);
            }
            Event::Returned(value) => assert!(value.is_empty() || value.is_unique()),
            _ => {}
        }
    }
    drop(state);
    let bodies = shared.bytes_in_flight.load(Ordering::Relaxed);
    assert!(bodies <= MAX_REQUESTS_IN_FLIGHT, "{bodies}");
    assert!(shared.outbox.with(|unread| unread.len()) <= 2 * MAX_UNREAD);
}

/// Says no to every call, at once, in the words of the call.
struct Refusing;

impl HostCalls for Refusing {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        let error = HostCallError { class: ErrorClass::Transient, message: request.url, retry_after: None };
        Box::pin(std::future::ready(Err(error)))
    }
}

/// A host with one run in flight says this. `reads` is how it comes: each byte
/// is a piece of two to the power of its high half, after which the run goes on
/// if it is odd. All comes at once without any.
pub fn frames(reads: &[u8], said: &[u8]) {
    static CLOCK: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    let _clock = CLOCK.enter();
    let shared = taken_over();
    {
        let run = pin!(Run::begin(&shared, Kind::Run, "{}").unwrap().drive(Arc::new(Refusing)));
        let (mut run, mut buffer, mut rest) = (Some(run), BytesMut::new(), said);
        for read in if reads.is_empty() { &[0xf1] } else { reads }.iter().cycle() {
            let piece = rest.split_off(..rest.len().min(1 << (read >> 4))).unwrap_or_default();
            if piece.is_empty() || hear(&shared, &mut buffer, piece).is_err() {
                break;
            }
            let goes_on = run.as_mut().filter(|_| read % 2 == 1);
            let end = goes_on.map(|run| run.as_mut().poll(&mut Context::from_waker(Waker::noop())));
            if end.is_some_and(|end| end.is_ready()) {
                run = None;
            }
            nothing_beyond_its_limit_is_kept(&shared);
        }
    }
    let shared = Arc::into_inner(shared).unwrap_or_else(|| panic!("something keeps a host without runs"));
    assert_eq!(shared.bytes_in_flight.load(Ordering::Relaxed), 0);
    assert_eq!(shared.in_flight(), 0);
    GONE.set(Some(shared.process));
}

/// The payload of any frame: read, or refused in few words.
pub fn payload(payload: &[u8]) {
    let payload = Bytes::copy_from_slice(payload);
    if let Ok((head, body)) = protocol::split_body(payload.clone()) {
        assert_eq!(head.len() + body.len() + 4, payload.len());
        if let Ok(request) = answers::request(&head, body.clone()) {
            assert!(request.method.bytes().all(|byte| !byte.is_ascii_lowercase()));
        }
        let _ = answers::sign_request(&head, body);
    }
    let _ = answers::key_request(&payload);
    let thrown = answers::thrown(&Code::mapped("", MAP), &payload);
    assert!(thrown.message.len() <= 4 * MAX_MESSAGE);
    assert!(thrown.stack.is_none_or(|stack| stack.len() <= 2 * MAX_STACK));
    let Ok(value) = serde_json::from_slice(&payload) else { return };
    for reason in [Reason::Provision, Reason::Deprovision] {
        if let Err(error) = Response::read(&value, reason) {
            assert!(error.to_string().len() < 4_096, "{error}");
        }
    }
}
