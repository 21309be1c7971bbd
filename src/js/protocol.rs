//! What daemon and host say to each other over their socket pair.
//!
//! A frame is a little-endian length, then kind, run, call and payload. Heads
//! are JSON, bodies are raw bytes: nothing is encoded twice. Frames gather in a
//! buffer that is written in one go.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of a frame after its length and before its payload.
const HEAD: usize = 9;

/// What a frame says. The number is its form on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// To the host, first: `call` is the heap limit in MiB, payload the code.
    Start = 1,
    /// To the host: begin a run; payload is its context as JSON.
    Run = 2,
    /// To the host: a call's answer; payload is head and body. The head of a
    /// response says whether parts of its body follow.
    Reply = 3,
    /// To the host: a call failed; payload is a [`Refusal`].
    Refusal = 4,
    /// To the host: the run is over, whatever it does.
    Abort = 5,
    /// To the host: answer when the event loop turns; `call` counts.
    Ping = 6,
    /// To the host, instead of a start: be confined, then make the attempt whose
    /// number `call` is.
    Try = 7,
    /// To the host: begin one of the author's tests; payload is its name as JSON.
    Test = 8,
    /// To the host: more of a response's body.
    Part = 9,
    /// To the host: the body has come to its end.
    End = 10,
    /// To the host: say whether anything is left to be done.
    Rest = 11,

    /// From the host: the globals stand, the author's code comes next; payload
    /// is what of the sandbox is in force, as JSON.
    Booted = 16,
    /// From the host: the code is loaded; payload is a [`Loaded`].
    Ready = 17,
    /// From the host: the code cannot be loaded; payload is a [`LoadFailure`].
    Failed = 18,
    /// From the host: a run returned; payload is the value as JSON.
    Returned = 19,
    /// From the host: a run threw; payload is a [`ThrownText`].
    Threw = 20,
    /// From the host: a run broke a limit; payload is the sentence.
    Broke = 21,
    /// From the host: a console line; `call` is milliseconds since the run
    /// began, payload the level's number and the text.
    Console = 22,
    /// From the host: a fetch; payload is head and body.
    Fetch = 23,
    /// From the host: the run no longer wants the call's answer.
    Cancel = 24,
    /// From the host: the answer to a ping; `call` is its number.
    Pong = 25,
    /// From the host, last: its heap is used up.
    HeapExhausted = 26,
    /// From the host, last: what came of an attempt; `call` is the number of the
    /// error, 0 when it worked.
    Tried = 27,
    /// From the host: what a key is; payload is a `KeyRequest`.
    InspectKey = 28,
    /// From the host: a signature is wanted; payload is a [`SignHead`] and the
    /// data.
    Sign = 29,
    /// From the host: nothing of any run is left to be done, when `call` is 1.
    Rested = 30,
}

impl Kind {
    const ALL: [Self; 26] = [
        Self::Start,
        Self::Run,
        Self::Reply,
        Self::Refusal,
        Self::Abort,
        Self::Ping,
        Self::Try,
        Self::Test,
        Self::Part,
        Self::End,
        Self::Rest,
        Self::Booted,
        Self::Ready,
        Self::Failed,
        Self::Returned,
        Self::Threw,
        Self::Broke,
        Self::Console,
        Self::Fetch,
        Self::Cancel,
        Self::Pong,
        Self::HeapExhausted,
        Self::Tried,
        Self::InspectKey,
        Self::Sign,
        Self::Rested,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A frame as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub kind: Kind,
    pub run: u32,
    pub call: u32,
    pub payload: Bytes,
}

/// The other side does not keep to the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    #[error("a frame of {0} bytes is larger than allowed")]
    TooLarge(usize),
    #[error("a frame is too short")]
    TooShort,
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
    #[error("a frame of kind {0} out of turn")]
    OutOfTurn(u8),
    #[error("more frames of a run than allowed")]
    TooMany,
}

/// Appends a frame.
pub(super) fn put(buffer: &mut Vec<u8>, kind: Kind, run: u32, call: u32, parts: &[&[u8]]) {
    let length = HEAD + parts.iter().map(|part| part.len()).sum::<usize>();
    buffer.reserve(4 + length);
    buffer.extend_from_slice(&(length as u32).to_le_bytes());
    buffer.push(kind as u8);
    buffer.extend_from_slice(&run.to_le_bytes());
    buffer.extend_from_slice(&call.to_le_bytes());
    for part in parts {
        buffer.extend_from_slice(part);
    }
}

/// Appends a frame whose payload is a head with its length, then a body.
pub(super) fn put_with_body(buffer: &mut Vec<u8>, kind: Kind, run: u32, call: u32, head: &[u8], body: &[u8]) {
    put(buffer, kind, run, call, &[&(head.len() as u32).to_le_bytes(), head, body]);
}

/// Splits what [`put_with_body`] joined.
pub(super) fn split_body(mut payload: Bytes) -> Result<(Bytes, Bytes), ProtocolError> {
    let length = payload.try_get_u32_le().map_err(|_| ProtocolError::TooShort)? as usize;
    if payload.len() < length {
        return Err(ProtocolError::TooShort);
    }
    let head = payload.split_to(length);
    Ok((head, payload))
}

/// Takes the first frame off what was read, `None` when it is not complete.
pub(super) fn take(buffer: &mut BytesMut, max: usize) -> Result<Option<Frame>, ProtocolError> {
    let Some(length) = buffer.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes) as usize) else {
        return Ok(None);
    };
    if length < HEAD {
        return Err(ProtocolError::TooShort);
    }
    if length > HEAD + max {
        return Err(ProtocolError::TooLarge(length));
    }
    if buffer.len() < 4 + length {
        buffer.reserve(4 + length - buffer.len());
        return Ok(None);
    }
    buffer.advance(4);
    let mut frame = buffer.split_to(length).freeze();
    let number = frame.get_u8();
    let kind = Kind::from_number(number).ok_or(ProtocolError::UnknownKind(number))?;
    Ok(Some(Frame { kind, run: frame.get_u32_le(), call: frame.get_u32_le(), payload: frame }))
}

/// Why the code cannot be loaded.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct LoadFailure {
    pub message: String,
    /// Line and column, innermost first; both count from 1.
    pub frames: Vec<(u32, u32)>,
}

/// What stands in the code beside the function that runs call.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Loaded {
    /// The names of the author's tests.
    pub tests: Vec<String>,
}

/// The head of [`Kind::Sign`].
#[derive(Debug, serde::Deserialize)]
pub(super) struct SignHead {
    pub key: crate::domain::host_call::KeyRequest,
    pub options: crate::domain::host_call::SignOptions,
}

/// A failed host call, as the host hands it to logic.
#[derive(Debug, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refusal<'a> {
    pub message: &'a str,
    pub error_class: crate::domain::status::ErrorClass,
    pub retry_after: Option<f64>,
}

/// A thrown value, as the host describes it.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThrownText {
    pub message: String,
    pub stack: Option<String>,
    /// Where it came from, as far as it says so: one place, or those of the errors
    /// that it gathers.
    #[serde(default)]
    pub origins: Vec<OriginText>,
    #[serde(default)]
    pub causes: Vec<CauseText>,
}

/// What an error, or an answer that is its cause, says of the failure.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OriginText {
    pub error_class: Option<String>,
    /// Of the answer.
    pub status: Option<u16>,
    /// Seconds, or the value of a `Retry-After`.
    pub retry_after: Option<serde_json::Value>,
}

/// What an error says that another one came of, or has in it.
#[derive(Debug, serde::Deserialize)]
pub(super) struct CauseText {
    pub message: String,
    pub stack: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_split() {
        let mut written = Vec::new();
        put(&mut written, Kind::Ping, 0, 7, &[]);
        put_with_body(&mut written, Kind::Reply, 65, 2, b"[200]", &[0, 255]);
        for cut in 0..written.len() {
            let mut buffer = BytesMut::from(&written[..cut]);
            let mut frames = Vec::new();
            while let Some(frame) = take(&mut buffer, 64).unwrap() {
                frames.push(frame);
            }
            buffer.extend_from_slice(&written[cut..]);
            while let Some(frame) = take(&mut buffer, 64).unwrap() {
                frames.push(frame);
            }
            assert_eq!(frames.len(), 2);
            assert_eq!((frames[0].kind, frames[0].call), (Kind::Ping, 7));
            let (head, body) = split_body(frames[1].payload.clone()).unwrap();
            assert_eq!((&head[..], &body[..]), (&b"[200]"[..], &[0, 255][..]));
        }
    }

    #[test]
    fn bad_frames_are_refused() {
        let mut written = Vec::new();
        put(&mut written, Kind::Run, 1, 0, &[&[0; 100]]);
        assert_eq!(take(&mut BytesMut::from(&written[..]), 10), Err(ProtocolError::TooLarge(109)));
        written[4] = 99;
        assert_eq!(take(&mut BytesMut::from(&written[..]), 100), Err(ProtocolError::UnknownKind(99)));
        assert_eq!(take(&mut BytesMut::from(&[1, 0, 0, 0, 2][..]), 9), Err(ProtocolError::TooShort));
        assert_eq!(split_body(Bytes::from_static(&[9, 0, 0, 0, 1])), Err(ProtocolError::TooShort));
    }

    #[test]
    fn kinds_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind as u8), Some(kind));
        }
    }
}
