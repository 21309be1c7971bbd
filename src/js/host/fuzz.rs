//! Frames of a host that was taken over: whatever it says, the daemon neither
//! panics nor keeps more than its limits, and what is no protocol is named.

use std::sync::atomic::Ordering;

use bytes::BytesMut;
use proptest::prelude::*;

use super::super::limits::{MAX_MESSAGE, MAX_REQUEST_HEADERS, MAX_TEST_NAMES};
use super::super::protocol::{self, Kind};
use super::hostile::{self, RUN, hear, taken_over};
use super::run::Run;
use super::shared::{Event, Startup};

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
            // Again and again it would come to more than there is memory.
            Change::Repeat { frame, times } => {
                let frame = &mut frames[*frame];
                *frame = frame.repeat((*times).min(1 + (1 << 20) / frame.len()));
            }
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

#[test]
fn what_an_honest_host_says_is_taken() {
    let shared = taken_over();
    let _run = Run::begin(&shared, Kind::Run, "{}").unwrap();
    let frames = honest();
    let said: Vec<u8> = [0, 1, 3, 4, 5, 6, 9].iter().flat_map(|frame| frames[*frame].clone()).collect();
    let mut buffer = BytesMut::new();
    said.chunks(7).try_for_each(|piece| hear(&shared, &mut buffer, piece)).unwrap();
    assert_eq!(shared.code.place(5, 1).unwrap().file, "a/x.js");
    let mut state = shared.state();
    let slot = state.slot(RUN).unwrap();
    assert_eq!((slot.events.len(), slot.console.len()), (3, 1));
}

/// A fetch with this head and body.
fn fetch(call: u32, head: &str, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    protocol::put_with_body(&mut frame, Kind::Fetch, RUN, call, head.as_bytes(), body);
    frame
}

/// What comes of frames, all read at once.
fn events_of(said: &[u8]) -> (usize, Vec<Event>) {
    let shared = taken_over();
    let run = Run::begin(&shared, Kind::Run, "{}").unwrap();
    hear(&shared, &mut BytesMut::new(), said).unwrap();
    let bytes = shared.bytes_in_flight.load(Ordering::Relaxed);
    let events = shared.state().slot(RUN).unwrap().events.drain(..).collect();
    drop(run);
    (bytes, events)
}

fn refusal(said: &[u8]) -> String {
    match events_of(said).1.pop() {
        Some(Event::Refused { error, .. }) => error.message,
        other => panic!("it was not refused: {other:?}"),
    }
}

#[test]
fn heads_count_as_bodies_do() {
    let head = format!(r#"["GET","https://a.example/{}","follow",[],false,null]"#, "x".repeat(1_000_000));
    let said: Vec<u8> = (1..80).flat_map(|call| fetch(call, &head, b"")).collect();
    let (bytes, events) = events_of(&said);
    let refused = events.iter().filter(|event| matches!(event, Event::Refused { .. })).count();
    assert_eq!((refused, bytes), (79 - 67, 67 * head.len()));
}

#[test]
fn a_request_keeps_nothing_but_itself() {
    let head = r#"["PUT","https://a.example/","follow",[],true,null]"#;
    let mut said = fetch(1, head, b"a");
    protocol::put(&mut said, Kind::Pong, 0, 1, &[&[0; 1 << 20]]);
    let (_, events) = events_of(&said);
    let [Event::Fetch { request, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(request.body.as_ref().unwrap().is_unique());
}

#[test]
fn refusals_are_short() {
    let head = format!(r#"["GET","https://a.example/","{}",[],false,null]"#, "x".repeat(100_000));
    assert_eq!(refusal(&fetch(1, &head, b"")).len(), MAX_MESSAGE);
    let headers = vec![r#"["a","b"]"#; MAX_REQUEST_HEADERS + 1].join(",");
    let head = format!(r#"["GET","https://a.example/","follow",[{headers}],false,null]"#);
    assert_eq!(refusal(&fetch(1, &head, b"")), "the limit of 1000 header fields in a request was reached");
}

#[test]
fn a_run_ends_once() {
    let mut said = Vec::new();
    for kind in [Kind::Returned, Kind::Returned, Kind::Broke, Kind::Cancel] {
        protocol::put(&mut said, kind, RUN, 0, &[b"null"]);
    }
    let (_, events) = events_of(&said);
    assert!(matches!(&events[..], [Event::Returned(_)]), "{events:?}");
}

#[test]
fn names_of_tests_are_limited() {
    let shared = taken_over();
    let mut said = Vec::new();
    protocol::put(&mut said, Kind::Booted, 0, 0, &[]);
    let names = format!(r#"{{"tests":["{}"]}}"#, "x".repeat(MAX_TEST_NAMES));
    protocol::put(&mut said, Kind::Ready, 0, 0, &[names.as_bytes()]);
    hear(&shared, &mut BytesMut::new(), &said).unwrap();
    let Startup::Failed(error) = shared.state().startup.clone() else { panic!("it was taken") };
    assert_eq!(error.to_string(), "the limit of 256 KiB for names of tests was reached");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    /// A stream of frames that was tampered with.
    #[test]
    fn a_hostile_stream_is_survived(
        order in prop::collection::vec(0..11_usize, 1..16),
        changes in prop::collection::vec(change(), 0..6),
        reads in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        hostile::frames(&reads, &hostile(&order, &changes));
    }

    /// Bytes that never were frames.
    #[test]
    fn noise_is_survived(said in prop::collection::vec(any::<u8>(), 0..2_000), reads in any::<[u8; 4]>()) {
        hostile::frames(&reads, &said);
    }

    /// Payloads alone: nearly JSON, as a tampered frame has it.
    #[test]
    fn payloads_are_read_or_refused(frame in 0..11_usize, changes in prop::collection::vec(change(), 0..5)) {
        let said = hostile(&[frame], &changes);
        hostile::payload(said.get(13..).unwrap_or_default());
    }
}
