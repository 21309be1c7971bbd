//! One run, as its caller drives it: host calls are done within the caller's
//! own task, so that giving the run up gives them up.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use futures_util::TryFutureExt;
use serde_json::Value;

use super::super::code::Code;
use super::super::limits::{MAX_RETURNED_DEPTH, MAX_UNREAD, UNANSWERED};
use super::super::outcome::{RunEnd, RunOutcome, Thrown};
use super::super::protocol::{self, Kind};
use super::answers::{self, Answer};
use super::calls::Calls;
use super::death::{Death, wall};
use super::shared::{Event, Shared};
use crate::domain::host_call::{HostCallError, HostCalls};

/// A run in flight; dropping it gives it up.
pub(super) struct Run<'a> {
    shared: &'a Arc<Shared>,
    number: u32,
    over: bool,
}

impl<'a> Run<'a> {
    /// Hands the run to the host, `None` when it takes none.
    pub fn begin(shared: &'a Arc<Shared>, kind: Kind, payload: &str) -> Option<Self> {
        let mut state = shared.state();
        if state.death.is_some() || state.closed {
            return None;
        }
        let was_idle = state.in_flight() == 0;
        if was_idle {
            // What an ended run has left behind may hold the host up: then this
            // stays without an answer, and the run that comes after it is not to
            // blame.
            shared.ping(&mut state);
        }
        let number = state.occupy()?;
        shared.outbox.put(kind, number, 0, &[payload.as_bytes()]);
        drop(state);
        if was_idle {
            shared.stirred.notify_one();
        }
        Some(Self { shared, number, over: false })
    }

    /// Does what the run asks for until it ends.
    pub async fn drive(mut self, host_calls: Arc<dyn HostCalls>) -> RunEnd {
        let ends = Instant::now() + self.shared.limits.wall();
        let deadline = tokio::time::sleep_until(ends.into());
        tokio::pin!(deadline);
        host_calls.begin(ends);
        let mut calls = Calls::default();
        let outcome = loop {
            tokio::select! {
                biased;
                event = self.event() => match event {
                    Event::Returned(value) => break returned(&self.shared.code, &value),
                    Event::Ended(outcome) => break outcome,
                    Event::Fetch { call, request, reserved } => {
                        calls.start_fetch(call, reserved, host_calls.fetch(request), self.shared);
                    }
                    Event::InspectKey { call, request, reserved } => {
                        calls.start(call, reserved, host_calls.inspect_key(request).map_ok(Answer::Key));
                    }
                    Event::Sign { call, request, reserved } => {
                        let done = host_calls.sign(request).map_ok(Answer::Signature);
                        calls.start(call, reserved, done);
                    }
                    Event::Refused { call, error } => self.answer(call, Err(error)),
                    Event::Cancel { call } => calls.cancel(call),
                },
                (call, answer) = calls.next() => self.answer(call, answer),
                () = &mut deadline => {
                    let outcome = self.timed_out();
                    return RunEnd { outcome, console: self.give_up() };
                },
            }
        };
        self.over = true;
        // Before its calls are given up; at the deadline they are what it waited for.
        host_calls.end();
        RunEnd { outcome, console: self.shared.state().vacate(self.number) }
    }

    fn event(&self) -> impl Future<Output = Event> + '_ {
        poll_fn(|cx| {
            let mut state = self.shared.state();
            let Some(slot) = state.slot(self.number) else {
                return Poll::Pending;
            };
            match slot.events.pop_front() {
                Some(event) => Poll::Ready(event),
                None => {
                    if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                        slot.waker = Some(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
    }

    fn answer(&self, call: u32, answer: Result<Answer, HostCallError>) {
        let unread = self.shared.outbox.with(|buffer| {
            if let Err(error) = answer.and_then(|answer| answer.put(buffer, self.number, call)) {
                protocol::put(buffer, Kind::Refusal, self.number, call, &[&answers::refusal(&error)]);
            }
            buffer.len()
        });
        if unread > MAX_UNREAD {
            let most = MAX_UNREAD / (1024 * 1024);
            let how = format!("the limit of {most} MiB for answers that it has not read was reached");
            self.shared.kill(Death::Exited(how));
        }
    }

    /// Tells the host that the run is over, and frees its slot.
    fn give_up(&mut self) -> Vec<crate::domain::host_call::ConsoleLine> {
        self.over = true;
        let mut state = self.shared.state();
        let console = state.vacate(self.number);
        // Whatever it does now, other runs are not to be blamed for.
        state.tainted = true;
        drop(state);
        self.shared.outbox.put(Kind::Abort, self.number, 0, &[]);
        console
    }

    /// A run that was waiting for another one that does not yield has not used
    /// its time itself. One that does not yield itself goes with its host.
    fn timed_out(&self) -> RunOutcome {
        let sentence = wall(&self.shared.limits);
        let (ping, is_bystander, is_suspect) = {
            let state = self.shared.state();
            let ping = state.ping.filter(|ping| Instant::now() > ping.sent_at + UNANSWERED);
            (ping, state.tainted || state.in_flight() > 1, state.suspect() == Some(self.number))
        };
        if is_suspect && ping.is_some_and(|ping| self.shared.is_busy_since(ping)) {
            self.shared.kill(Death::Stuck);
            return RunOutcome::Killed(sentence);
        }
        if ping.is_some() && is_bystander {
            return RunOutcome::Interrupted(format!("{sentence} while another run held the host up"));
        }
        RunOutcome::TimedOut(sentence)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.give_up();
        }
    }
}

fn returned(code: &Code, value: &[u8]) -> RunOutcome {
    match serde_json::from_slice(value) {
        Ok(mut value) => {
            make_readable(code, &mut value);
            RunOutcome::Returned(value)
        }
        // Its words for it are all that the reader tells apart.
        Err(error) if error.to_string().starts_with("recursion limit exceeded") => RunOutcome::Limit(
            format!("the limit of {MAX_RETURNED_DEPTH} levels of nesting for the returned value was reached"),
        ),
        Err(error) => {
            RunOutcome::Threw(Thrown::saying(format!("the returned value cannot be read: {error}")))
        }
    }
}

/// Logic may put the stack of an error that it caught into its message.
fn make_readable(code: &Code, returned: &mut Value) {
    if let Some(Value::String(message)) = returned.get_mut("message")
        && let Cow::Owned(readable) = code.readable(message)
    {
        *message = readable;
    }
}
