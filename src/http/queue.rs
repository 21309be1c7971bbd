//! Turns at what only a few may do at a time. Whoever asks has shares, such as
//! that of a token or a target, and each share has no more than so many turns: a
//! queue that one caller fills is not full for others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::http::header::RETRY_AFTER;
use tokio::sync::oneshot;

use super::{Kind, Problem};
use crate::domain::ids::{TargetId, TokenId};

/// Seconds after which who was sent away may try again.
const TRY_AGAIN: &str = "5";

/// Whose share a turn is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Share {
    /// Of a caller.
    Token(TokenId),
    /// Of a target.
    Target(TargetId),
}

/// How much a queue gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Turns at a time.
    pub turns: usize,
    /// Of these, turns of one token.
    pub per_token: usize,
    /// Of these, turns of one target.
    pub per_target: usize,
    /// How many may wait for one.
    pub waiting: usize,
    /// Of these, how many of one token or one target.
    pub waiting_each: usize,
}

/// A queue; cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What is done there, for the sentence that somebody is sent away with.
    what: &'static str,
    limits: QueueLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    held: HashMap<Share, usize>,
    line: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    shares: Vec<Share>,
    call: oneshot::Sender<Turn>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    queue: Queue,
    shares: Vec<Share>,
}

impl Queue {
    /// Nobody is in it.
    pub fn new(what: &'static str, limits: QueueLimits) -> Self {
        Self(Arc::new(Inner { what, limits, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn. Share stops to wait leaves the line.
    ///
    /// # Errors
    /// A 429 when too many wait already.
    pub async fn enter(&self, shares: Vec<Share>) -> Result<Turn, Problem> {
        let called = {
            let mut state = self.state();
            if state.has_room(&shares, &self.0.limits) {
                return Ok(self.begin(&mut state, shares));
            }
            state.line.retain(|waiting| !waiting.call.is_closed());
            if state.is_full(&shares, &self.0.limits) {
                return Err(self.too_many());
            }
            let (call, called) = oneshot::channel();
            state.line.push_back(Waiting { shares, call });
            called
        };
        called.await.map_err(|_| self.too_many())
    }

    fn too_many(&self) -> Problem {
        let detail = format!("too many wait already for {}: try again in a moment", self.0.what);
        Problem::new(Kind::Busy, detail).with_header(RETRY_AFTER, TRY_AGAIN)
    }

    fn begin(&self, state: &mut State, shares: Vec<Share>) -> Turn {
        state.taken += 1;
        for one in &shares {
            *state.held.entry(*one).or_default() += 1;
        }
        Turn { queue: self.clone(), shares }
    }

    /// Calls those who may begin now, in their order.
    fn call(&self) {
        loop {
            let mut state = self.state();
            let free = state.line.iter().position(|waiting| state.has_room(&waiting.shares, &self.0.limits));
            let Some(waiting) = free.and_then(|index| state.line.remove(index)) else { return };
            let turn = self.begin(&mut state, waiting.shares);
            drop(state);
            // A turn that nobody takes comes back when it is dropped, and calls the next.
            drop(waiting.call.send(turn));
        }
    }
}

impl State {
    fn has_room(&self, shares: &[Share], limits: &QueueLimits) -> bool {
        let most = |one: &Share| match one {
            Share::Token(_) => limits.per_token,
            Share::Target(_) => limits.per_target,
        };
        self.taken < limits.turns
            && shares.iter().all(|one| self.held.get(one).is_none_or(|held| *held < most(one)))
    }

    fn is_full(&self, shares: &[Share], limits: &QueueLimits) -> bool {
        let waiting = |one: &Share| self.line.iter().filter(|waiting| waiting.shares.contains(one)).count();
        self.line.len() >= limits.waiting || shares.iter().any(|one| waiting(one) >= limits.waiting_each)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.taken -= 1;
        for one in &self.shares {
            if let Some(held) = state.held.get_mut(one) {
                *held -= 1;
                if *held == 0 {
                    state.held.remove(one);
                }
            }
        }
        drop(state);
        self.queue.call();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const LIMITS: QueueLimits =
        QueueLimits { turns: 2, per_token: 1, per_target: 1, waiting: 3, waiting_each: 2 };

    fn token(id: i64) -> Vec<Share> {
        vec![Share::Token(TokenId(id))]
    }

    #[test]
    fn one_caller_takes_neither_all_turns_nor_all_places() {
        let queue = Queue::new("a test", LIMITS);
        let enter = |id| Box::pin(queue.enter(token(id)));
        let first = enter(1).now_or_never().unwrap().unwrap();
        let (mut second, mut third) = (enter(1), enter(1));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        assert!(
            enter(1).now_or_never().unwrap().unwrap_err().to_string().contains("a test"),
            "its places are taken"
        );
        let other = enter(2).now_or_never().unwrap().unwrap();
        let mut late = enter(3);
        assert!((&mut late).now_or_never().is_none());
        assert!(enter(4).now_or_never().unwrap().is_err(), "all places are taken");
        drop(other);
        assert!((&mut late).now_or_never().is_some(), "it overtakes those whose share is taken");
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert!((&mut second).now_or_never().is_some());
    }

    #[test]
    fn who_stops_to_wait_leaves_the_line_and_no_turn_is_lost() {
        let queue = Queue::new("a test", QueueLimits { turns: 1, ..LIMITS });
        let enter = |id| Box::pin(queue.enter(token(id)));
        let first = enter(1).now_or_never().unwrap().unwrap();
        let mut gone: Vec<_> = (2..5).map(enter).collect();
        assert!(gone.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
        assert!(enter(5).now_or_never().unwrap().is_err());
        gone.truncate(1);
        let mut last = enter(5);
        assert!((&mut last).now_or_never().is_none());
        drop(first);
        // Called, and gone all the same.
        drop(gone);
        assert!((&mut last).now_or_never().unwrap().is_ok());
        assert_eq!(queue.state().taken, 0);
        assert!(queue.state().held.is_empty());
    }

    #[test]
    fn a_target_is_built_once_at_a_time_whoever_asks() {
        let queue = Queue::new("a test", LIMITS);
        let both = |token, target| vec![Share::Token(TokenId(token)), Share::Target(TargetId(target))];
        let first = queue.enter(both(1, 1)).now_or_never().unwrap().unwrap();
        let mut second = Box::pin(queue.enter(both(2, 1)));
        assert!((&mut second).now_or_never().is_none());
        assert!(queue.enter(both(2, 2)).now_or_never().unwrap().is_ok());
        drop(first);
        assert!((&mut second).now_or_never().unwrap().is_ok());
    }
}
