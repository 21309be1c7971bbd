//! What a run said to the outside and what it heard, as the log keeps it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::failures::{Asked, Failure, Failures, Said};
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
    pub(super) fn begin(self: &Arc<Self>, asked: Asked, request: Shown) -> Recording {
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
        let (exchanges, bodies) = noted.into_iter().map(|noted| (noted.exchange, noted.long)).unzip();
        (exchanges, Rest { bodies, left_out: state.left_out })
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

impl State {
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
