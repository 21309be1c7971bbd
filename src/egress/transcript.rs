//! What a run said to the outside and what it heard, as the log keeps it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failures::{Asked, Failure, Failures, Said};
use super::hide::{Hider, Seen};
use super::recording::Recording;
use super::rest::{LongBodies, Rest};
use super::shown::Shown;
use crate::domain::host_call::Exchange;

/// The first and the latest exchanges are kept, this many of each: the first
/// show how it began and the latest why it ended as it did.
const KEPT_EACH: usize = 25;

/// The exchanges of one run.
pub(super) struct Transcript {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    first: Vec<Noted>,
    latest: VecDeque<Noted>,
    left_out: usize,
    /// Bytes of long bodies that are kept.
    long: usize,
    failures: Failures,
    /// The run has ended: what is given up from now on says nothing of it.
    is_over: bool,
    /// Credentials in requests and answers, and others that are known.
    seen: Seen,
    /// What is none of them.
    names: Vec<String>,
    /// What hides them, and how many there were then.
    hider: Option<(usize, Arc<Hider>)>,
}

/// An exchange, and what the log does not show of it.
struct Noted {
    exchange: Exchange,
    long: LongBodies,
}

impl Transcript {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), state: Mutex::default() }
    }

    /// Begins an exchange. It is written down when it finishes, or as abandoned
    /// when the run ends before it does.
    pub(super) fn begin(self: &Arc<Self>, asked: Asked, mut request: Shown) -> Recording {
        self.note_credentials(std::mem::take(&mut request.seen));
        Recording::new(self.clone(), asked, request)
    }

    /// The run begins, maybe anew: what an interrupted one met is not its doing.
    pub(super) fn begin_run(&self) {
        let mut state = self.state();
        (state.failures, state.is_over) = (Failures::default(), false);
    }

    /// The run has ended by itself.
    pub(super) fn end_run(&self) {
        self.state().is_over = true;
    }

    /// The exchanges that were kept, in the order they finished, and what the
    /// log leaves out of them.
    pub(super) fn take(&self) -> (Vec<Exchange>, Rest) {
        let mut state = self.state();
        let mut noted = std::mem::take(&mut state.first);
        noted.extend(std::mem::take(&mut state.latest));
        state.long = 0;
        let hider = state.hider();
        let (mut exchanges, bodies): (Vec<_>, _) =
            noted.into_iter().map(|noted| (noted.exchange, noted.long)).unzip();
        if let Some(hider) = &hider {
            exchanges.iter_mut().for_each(|exchange| hide(exchange, hider));
        }
        (exchanges, Rest { bodies, left_out: state.left_out, hider })
    }

    /// Keeps credentials in mind.
    pub(super) fn note_credentials(&self, seen: Seen) {
        if !seen.is_empty() {
            self.state().seen.extend(seen);
        }
    }

    /// The credentials that were seen so far.
    pub(super) fn credentials(&self) -> Seen {
        self.state().seen.clone()
    }

    /// What hides them, and `more`, in everything that is kept of the run;
    /// `names` of the account are none. `None` when there is nothing to hide.
    pub(super) fn hider(&self, more: Seen, names: &[&str]) -> Option<Arc<Hider>> {
        let mut state = self.state();
        state.seen.extend(more);
        if !state.seen.is_empty() {
            state.names = names.iter().map(ToString::to_string).collect();
        }
        state.hider()
    }

    /// How many were not kept.
    pub(super) fn left_out(&self) -> usize {
        self.state().left_out
    }

    /// How long after the run's beginning that was.
    pub(super) fn when(&self, moment: Instant) -> Duration {
        moment - self.started
    }

    /// Notes what an answer says of the run, or what went wrong.
    pub(super) fn note(&self, asked: Asked, said: Said) {
        let mut state = self.state();
        if !state.is_over {
            state.failures.note(asked, said, Instant::now());
        }
    }

    pub(super) fn add(&self, exchange: Exchange, long: LongBodies) {
        self.state().add(exchange, long);
    }

    /// See [`Failures::worst`].
    pub(super) fn failure(&self) -> Option<Failure> {
        self.state().failures.worst()
    }

    /// See [`Failures::slower`].
    pub(super) fn slower(&self) -> Option<Duration> {
        self.state().failures.slower(Instant::now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes credentials out of an exchange, wherever they are.
fn hide(exchange: &mut Exchange, hider: &Hider) {
    let texts = [Some(&mut exchange.request.url), exchange.request.body.as_mut(), exchange.error.as_mut()];
    let response = exchange.response.as_mut();
    let (headers, body) = response.map(|response| (&mut response.headers, response.body.as_mut())).unzip();
    let headers = exchange.request.headers.iter_mut().chain(headers.into_iter().flatten());
    let texts = texts.into_iter().flatten().chain(body.flatten());
    for text in texts.chain(headers.map(|(_, value)| value)) {
        if let Cow::Owned(hidden) = hider.text(text) {
            *text = hidden;
        }
    }
}

impl State {
    fn hider(&mut self) -> Option<Arc<Hider>> {
        if self.seen.is_empty() {
            return None;
        }
        let known = self.hider.as_ref().filter(|(count, _)| *count == self.seen.len());
        if let Some((_, hider)) = known {
            return Some(hider.clone());
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let hider = Arc::new(self.seen.clone().hider(&names)?);
        self.hider = Some((self.seen.len(), hider.clone()));
        Some(hider)
    }

    fn add(&mut self, exchange: Exchange, long: LongBodies) {
        if self.first.len() == KEPT_EACH && self.latest.len() == KEPT_EACH {
            let oldest = self.latest.pop_front();
            self.long -= oldest.map_or(0, |oldest| oldest.long.size());
            self.left_out += 1;
        }
        let noted = Noted { exchange, long: long.within_limits(self.long) };
        self.long += noted.long.size();
        if self.first.len() < KEPT_EACH {
            self.first.push(noted);
        } else {
            self.latest.push_back(noted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_many_exchanges_is_left_out() {
        let transcript = Arc::new(Transcript::new());
        for number in 0..60 {
            let url = number.to_string();
            drop(transcript.begin(Asked::at(&url), Shown::get(&url)));
        }
        assert_eq!(transcript.left_out(), 10);
        let urls: Vec<_> = transcript.take().0.into_iter().map(|exchange| exchange.request.url).collect();
        assert_eq!(urls.len(), 50);
        assert_eq!((urls[24].as_str(), urls[25].as_str(), urls[49].as_str()), ("24", "35", "59"));
    }
}
