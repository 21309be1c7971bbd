//! Frames of a host that was taken over: whatever it says, the daemon neither
//! panics nor keeps more than its limits, and what is no protocol is named.

use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::super::limits::{
    MAX_CALLS_PER_RUN, MAX_CONSOLE_BYTES, MAX_CONSOLE_LINES, MAX_EVENTS, MAX_FRAME_FROM_HOST, MAX_MESSAGE,
    MAX_REQUESTS_IN_FLIGHT, MAX_STACK,
};
use super::super::protocol::{self, Kind, ProtocolError};
use super::process::Process;
use super::reader::take_frames;
use super::run::Run;
use super::shared::{Event, Shared};
use super::{Code, answers};
use crate::domain::response::Response;
use crate::domain::status::Reason;
use crate::domain::target::Limits;

/// The number that the first run of a host gets.
const RUN: u32 = 64;

/// A host whose process is gone, with one run in flight.
fn taken_over() -> Arc<Shared> {
    let mut child = Command::new("/bin/true").stdin(Stdio::null()).spawn().unwrap();
    child.wait().unwrap();
    Arc::new(Shared::new(Process::of(child), Code::from("export default () => 1"), Limits::default()))
}

/// What an honest host says, from its start to the end of a run.
fn honest() -> Vec<Vec<u8>> {
    let frame = |kind, run, call, parts: &[&[u8]]| {
        let mut bytes = Vec::new();
        protocol::put(&mut bytes, kind, run, call, parts);
        bytes
    };
    let mut fetch = Vec::new();
    let head =
        br#"["POST","https://a.example/users?x=1","follow",[["content-type","text/plain"]],true,null]"#;
    protocol::put_with_body(&mut fetch, Kind::Fetch, RUN, 1, head, b"a body");
    vec![
        frame(Kind::Booted, 0, 0, &[br#"{"calls":true,"files":true}"#]),
        frame(Kind::Ready, 0, 0, &[br#"{"tests":["one"]}"#]),
        frame(Kind::Failed, 0, 0, &[br#"{"message":"x","frames":[[1,2]]}"#]),
        frame(Kind::Console, RUN, 3, &[&[1], b"a line"]),
        fetch,
        frame(Kind::Cancel, RUN, 1, &[]),
        frame(Kind::Pong, 0, 1, &[]),
        frame(
            Kind::Threw,
            RUN,
            0,
            &[br#"{"message":"m","stack":"Error: m\n    at f (file:///logic.js:1:1)","errorClass":"auth","retryAfter":2}"#],
        ),
        frame(Kind::Broke, RUN, 0, &[b"the limit of 1 MiB was reached"]),
        frame(Kind::Returned, RUN, 0, &[br#"{"status":"provisioned","remoteId":"r","metadata":{"a":[1,null]}}"#]),
        frame(Kind::HeapExhausted, 0, 0, &[]),
    ]
}

/// One thing that was done to what an honest host says.
#[derive(Debug, Clone)]
enum Change {
    Byte { at: usize, value: u8 },
    Cut { at: usize },
    Insert { at: usize, bytes: Vec<u8> },
    Repeat { frame: usize, times: usize },
    Kind { frame: usize, kind: u8 },
    Number { frame: usize, field: usize, value: u32 },
}

fn change() -> impl Strategy<Value = Change> {
    let byte = any::<u8>();
    let at = || any::<prop::sample::Index>().prop_map(|index| index.index(4_096));
    let frame = || 0..11_usize;
    let number = prop_oneof![Just(0), Just(u32::MAX), Just(RUN), 0..200_u32, any::<u32>()];
    prop_oneof![
        (at(), byte).prop_map(|(at, value)| Change::Byte { at, value }),
        at().prop_map(|at| Change::Cut { at }),
        (at(), prop::collection::vec(any::<u8>(), 1..64))
            .prop_map(|(at, bytes)| Change::Insert { at, bytes }),
        (frame(), 1..2_000_usize).prop_map(|(frame, times)| Change::Repeat { frame, times }),
        (frame(), any::<u8>()).prop_map(|(frame, kind)| Change::Kind { frame, kind }),
        (frame(), 0..3_usize, number).prop_map(|(frame, field, value)| Change::Number {
            frame,
            field,
            value
        }),
    ]
}

/// What a host says after these changes, in the order of the frames given.
fn hostile(order: &[usize], changes: &[Change]) -> Vec<u8> {
    let mut frames = honest();
    for change in changes {
        match change {
            Change::Kind { frame, kind } => frames[*frame][4] = *kind,
            // Length, run, call.
            Change::Number { frame, field, value } => {
                let at = [0, 5, 9][*field];
                frames[*frame][at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            Change::Repeat { frame, times } => frames[*frame] = frames[*frame].repeat(*times),
            _ => {}
        }
    }
    let mut said: Vec<u8> = order.iter().flat_map(|frame| frames[*frame].clone()).collect();
    for change in changes {
        let place = |at: &usize| at % (said.len() + 1);
        match change {
            Change::Byte { at, value } if !said.is_empty() => {
                let at = at % said.len();
                said[at] = *value;
            }
            Change::Cut { at } => said.truncate(place(at)),
            Change::Insert { at, bytes } => {
                let at = place(at);
                said.splice(at..at, bytes.iter().copied());
            }
            _ => {}
        }
    }
    said
}

/// Takes what was said in pieces, as a socket gives it; an error ends the host.
fn take(shared: &Arc<Shared>, said: &[u8], piece: usize) -> Result<(), ProtocolError> {
    let mut buffer = BytesMut::new();
    for piece in said.chunks(piece) {
        buffer.extend_from_slice(piece);
        take_frames(shared, &mut buffer)?;
        assert!(buffer.capacity() <= 2 * (MAX_FRAME_FROM_HOST + 64 * 1024), "{}", buffer.capacity());
    }
    Ok(())
}

fn nothing_beyond_its_limit_is_kept(shared: &Arc<Shared>) -> Result<(), TestCaseError> {
    let mut state = shared.state();
    prop_assert!(state.last_words.len() <= 4 * 1024);
    let Some(slot) = state.slot(RUN) else { return Ok(()) };
    prop_assert!(slot.events.len() <= MAX_EVENTS);
    prop_assert!(slot.console.len() <= MAX_CONSOLE_LINES + 1);
    let written: usize = slot.console.iter().map(|line| line.text.len()).sum();
    prop_assert!(written <= 20 * MAX_CONSOLE_BYTES, "{written}");
    let calls = slot.events.iter().filter(|event| matches!(event, Event::Fetch { .. })).count();
    prop_assert!(calls <= MAX_CALLS_PER_RUN as usize);
    drop(state);
    let bodies = shared.bytes_in_flight.load(std::sync::atomic::Ordering::Relaxed);
    prop_assert!(bodies <= MAX_REQUESTS_IN_FLIGHT, "{bodies}");
    Ok(())
}

#[test]
fn what_an_honest_host_says_is_taken() {
    let shared = taken_over();
    let _run = Run::begin(&shared, Kind::Run, "{}").unwrap();
    let frames = honest();
    let said: Vec<u8> = [0, 1, 3, 4, 5, 6, 9].iter().flat_map(|frame| frames[*frame].clone()).collect();
    take(&shared, &said, 7).unwrap();
    let mut state = shared.state();
    let slot = state.slot(RUN).unwrap();
    assert_eq!((slot.events.len(), slot.console.len()), (3, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    /// A stream of frames that was tampered with.
    #[test]
    fn a_hostile_stream_is_survived(
        order in prop::collection::vec(0..11_usize, 1..16),
        changes in prop::collection::vec(change(), 0..6),
        piece in 1..5_000_usize,
    ) {
        let shared = taken_over();
        let _run = Run::begin(&shared, Kind::Run, "{}").unwrap();
        if let Err(error) = take(&shared, &hostile(&order, &changes), piece) {
            prop_assert!(!error.to_string().is_empty());
        }
        nothing_beyond_its_limit_is_kept(&shared)?;
    }

    /// Bytes that never were frames.
    #[test]
    fn noise_is_survived(said in prop::collection::vec(any::<u8>(), 0..2_000), piece in 1..300_usize) {
        let shared = taken_over();
        let _run = Run::begin(&shared, Kind::Run, "{}").unwrap();
        let _ = take(&shared, &said, piece);
        nothing_beyond_its_limit_is_kept(&shared)?;
    }

    /// Payloads alone: nearly JSON, as a tampered frame has it.
    #[test]
    fn payloads_are_read_or_refused(frame in 0..11_usize, changes in prop::collection::vec(change(), 0..5)) {
        let said = hostile(&[frame], &changes);
        let payload = Bytes::from(said.get(13..).unwrap_or_default().to_vec());
        if let Ok((head, body)) = protocol::split_body(payload.clone()) {
            prop_assert_eq!(head.len() + body.len() + 4, payload.len());
            if let Ok(request) = answers::request(&head, body) {
                prop_assert!(request.method.bytes().all(|byte| !byte.is_ascii_lowercase()));
            }
        }
        let thrown = answers::thrown(&Code::from(""), &payload);
        prop_assert!(thrown.message.len() <= 4 * MAX_MESSAGE);
        prop_assert!(thrown.stack.is_none_or(|stack| stack.len() <= 2 * MAX_STACK));
        for reason in [Reason::Provision, Reason::Deprovision] {
            if let Ok(value) = serde_json::from_slice(&payload)
                && let Err(error) = Response::read(&value, reason)
            {
                prop_assert!(error.to_string().len() < 4_096, "{error}");
            }
        }
    }
}
