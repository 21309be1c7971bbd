//! What the host's scripts ask of its Rust side. Each op only appends a frame
//! to the outbox; the main loop sends them after the turn.

mod outbox;

use deno_core::convert::Uint8Array;
use deno_core::{OpState, op2};

pub(super) use outbox::{Bodies, Outbox};

use super::limits;
use super::protocol::Kind;
use crate::domain::response::Response;
use crate::domain::status::Reason;

deno_core::extension!(
    provisiond,
    deps = [deno_web],
    ops = [
        op_call_bytes,
        op_call_text,
        op_cancel_call,
        op_check_response,
        op_console,
        op_drop_body,
        op_limits,
        op_parse_url,
        op_elapsed,
        op_inspect_key,
        op_run_broke,
        op_run_returned,
        op_run_threw,
        op_sign,
        op_take_body,
    ],
);

/// The figures that the scripts enforce: calls a run, body bytes, console
/// lines, console bytes, returned bytes, message and stack characters, bytes of
/// a call's head, bytes to be signed, tests.
#[op2]
#[serde]
fn op_limits() -> Vec<usize> {
    vec![
        limits::MAX_CALLS_PER_RUN as usize,
        limits::MAX_REQUEST_BODY,
        limits::MAX_CONSOLE_LINES,
        limits::MAX_CONSOLE_BYTES,
        limits::MAX_RETURNED,
        limits::MAX_MESSAGE,
        limits::MAX_STACK,
        limits::MAX_REQUEST_HEAD,
        limits::MAX_SIGNED,
        limits::MAX_TESTS,
    ]
}

/// The URL as the URL standard writes it, empty when it is none.
#[op2]
#[string]
fn op_parse_url(#[string] text: &str) -> String {
    url::Url::parse(text).map_or_else(|_| String::new(), String::from)
}

/// Milliseconds since the host began.
#[op2(fast)]
fn op_elapsed(state: &mut OpState) -> f64 {
    state.borrow::<Outbox>().elapsed_ms()
}

#[op2(fast)]
fn op_run_returned(state: &mut OpState, #[smi] run: u32, #[string] value: &str) {
    let outbox = state.borrow::<Outbox>();
    if value.len() > limits::MAX_RETURNED {
        outbox.put(Kind::Broke, run, 0, &[returned_too_large().as_bytes()]);
    } else {
        outbox.put(Kind::Returned, run, 0, &[value.as_bytes()]);
    }
}

#[op2(fast)]
fn op_run_threw(state: &mut OpState, #[smi] run: u32, #[string] description: &str) {
    state.borrow::<Outbox>().put(Kind::Threw, run, 0, &[description.as_bytes()]);
}

/// The script saw that the value is too large before it handed it over.
#[op2(fast)]
fn op_run_broke(state: &mut OpState, #[smi] run: u32) {
    state.borrow::<Outbox>().put(Kind::Broke, run, 0, &[returned_too_large().as_bytes()]);
}

fn returned_too_large() -> String {
    format!("the limit of {} MiB for the returned value was reached", limits::MAX_RETURNED / (1024 * 1024))
}

/// Sent at once: it should be seen even when the host is killed in this turn.
#[op2(fast)]
fn op_console(
    state: &mut OpState,
    #[smi] run: u32,
    #[smi] level: u32,
    #[smi] at_ms: u32,
    #[string] text: &str,
) {
    let outbox = state.borrow::<Outbox>();
    outbox.put(Kind::Console, run, at_ms, &[&[level as u8], text.as_bytes()]);
    // A closed socket is the main loop's to find out about.
    let _ = outbox.flush();
}

#[op2(fast)]
fn op_call_text(
    state: &mut OpState,
    #[smi] run: u32,
    #[smi] call: u32,
    #[string] head: &str,
    #[string] body: &str,
) {
    state.borrow::<Outbox>().put_with_body(Kind::Fetch, run, call, head.as_bytes(), body.as_bytes());
}

#[op2(fast)]
fn op_call_bytes(
    state: &mut OpState,
    #[smi] run: u32,
    #[smi] call: u32,
    #[string] head: &str,
    #[buffer] body: &[u8],
) {
    state.borrow::<Outbox>().put_with_body(Kind::Fetch, run, call, head.as_bytes(), body);
}

#[op2(fast)]
fn op_inspect_key(state: &mut OpState, #[smi] run: u32, #[smi] call: u32, #[string] request: &str) {
    state.borrow::<Outbox>().put(Kind::InspectKey, run, call, &[request.as_bytes()]);
}

#[op2(fast)]
fn op_sign(
    state: &mut OpState,
    #[smi] run: u32,
    #[smi] call: u32,
    #[string] head: &str,
    #[buffer] data: &[u8],
) {
    state.borrow::<Outbox>().put_with_body(Kind::Sign, run, call, head.as_bytes(), data);
}

#[op2(fast)]
fn op_cancel_call(state: &mut OpState, #[smi] run: u32, #[smi] call: u32) {
    state.borrow::<Outbox>().put(Kind::Cancel, run, call, &[]);
}

/// A response body that is not handed over as text.
#[op2]
fn op_take_body(state: &mut OpState, #[smi] number: u32) -> Uint8Array {
    let body = state.borrow_mut::<Bodies>().take(number);
    Vec::from(body).into()
}

/// One that nobody waits for any more.
#[op2(fast)]
fn op_drop_body(state: &mut OpState, #[smi] number: u32) {
    state.borrow_mut::<Bodies>().take(number);
}

/// What the daemon would say of a response to a test's run, empty when nothing is
/// wrong with it.
#[op2]
#[string]
fn op_check_response(#[string] reason: &str, #[string] response: &str) -> String {
    let Ok(reason) = reason.parse::<Reason>() else { return format!("`{reason}` is no reason to run") };
    let value = match serde_json::from_str(response) {
        Ok(value) => value,
        Err(error) => return format!("the returned value cannot be read: {error}"),
    };
    Response::read(&value, reason).err().map_or_else(String::new, |problem| problem.to_string())
}
