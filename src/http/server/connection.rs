//! What a connection is doing.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::incoming::Incoming;
use super::registry::{Rank, Registry};
use super::{ServerLimits, hung_up};
use crate::http::Problem;

/// A connection, as every thread may see it.
#[derive(Debug)]
pub(super) struct Connection {
    number: u64,
    registry: Arc<Registry>,
    pub(super) limits: ServerLimits,
    state: Mutex<State>,
    gone: AtomicBool,
    hung_up: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Its client has presented a token in force.
    proven: bool,
    evicted: bool,
    /// Of the task that serves it.
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// For the head of a request, since the connection was made or the latest
    /// answer; `heard` is when the first byte of it came.
    Waiting { since: Instant, heard: Option<Instant> },
    /// A request has come and is not answered yet.
    Serving,
}

impl Connection {
    pub(super) fn new(number: u64, registry: Arc<Registry>, limits: ServerLimits) -> Self {
        let now = Instant::now();
        // Who connects is about to say something.
        let phase = Phase::Waiting { since: now, heard: Some(now) };
        let state = State { phase, proven: false, evicted: false, waker: None };
        let (gone, hung_up) = (AtomicBool::new(false), Notify::new());
        Self { number, registry, limits, state: Mutex::new(state), gone, hung_up }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection: another one needs the room.
    pub(super) fn evict(&self) {
        let mut state = self.state();
        state.evicted = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Remembers whom to wake; false when the connection is to end.
    pub(super) fn is_wanted(&self, waker: &Waker) -> bool {
        let mut state = self.state();
        match &mut state.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        !state.evicted
    }

    /// The client sent something.
    pub(super) fn hear(&self) {
        if let Phase::Waiting { heard, .. } = &mut self.state().phase {
            heard.get_or_insert_with(Instant::now);
        }
    }

    /// The client sends nothing more.
    pub(super) fn hang_up(&self) {
        self.gone.store(true, Ordering::Release);
        self.hung_up.notify_waiters();
    }

    /// Until when the client has to send the head of a request, while there is none.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state().phase {
            Phase::Waiting { heard: Some(heard), .. } => Some(heard + self.limits.head),
            Phase::Waiting { since, heard: None } => Some(since + self.limits.idle),
            Phase::Serving => None,
        }
    }

    fn begin(&self) {
        let mut state = self.state();
        state.phase = Phase::Serving;
        let rank = (!state.proven).then_some(Rank::Unproven);
        drop(state);
        self.registry.place(self.number, rank);
    }

    fn prove(&self) {
        let was_proven = std::mem::replace(&mut self.state().proven, true);
        if !was_proven {
            self.registry.place(self.number, None);
        }
    }

    fn end(&self) {
        let mut state = self.state();
        state.phase = Phase::Waiting { since: Instant::now(), heard: None };
        let rank = if state.proven { Rank::Idle } else { Rank::Silent };
        let waker = state.waker.take();
        drop(state);
        // It is to read again, if only to know until when.
        if let Some(waker) = waker {
            waker.wake();
        }
        self.registry.place(self.number, Some(rank));
    }

    /// The stream is closed.
    pub(super) fn close(&self) {
        self.registry.forget(self.number);
    }
}

/// The client at the other end, for what serves it; data of its connection.
#[derive(Debug, Clone, Default)]
pub struct Client(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Absent in tests that have no connection.
    connection: Option<Arc<Connection>>,
    /// A body that was not read to its end. The dispatcher closes the connection
    /// behind an answer only as long as somebody holds it; else it goes on to
    /// read, for as long as the client pleases.
    unread: RefCell<Option<Incoming>>,
}

impl Client {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self(Rc::new(Inner { connection: Some(connection), unread: RefCell::default() }))
    }

    /// How long it may keep the reader of a body waiting.
    pub(super) fn body_limit(&self) -> Option<Duration> {
        self.0.connection.as_ref().map(|connection| connection.limits.body)
    }

    /// A request has come.
    pub(super) fn begin(&self) -> Serving {
        self.0.unread.take();
        if let Some(connection) = &self.0.connection {
            connection.begin();
        }
        Serving(self.clone())
    }

    /// Its body was not read to the end.
    pub(super) fn keep(&self, body: Incoming) {
        if !body.is_over() {
            self.0.unread.replace(Some(body));
        }
    }

    /// The client is somebody: its connection is not closed for another's sake
    /// while a request of it is being answered.
    pub fn prove(&self) {
        if let Some(connection) = &self.0.connection {
            connection.prove();
        }
    }

    /// Waits until the client has hung up.
    pub async fn gone(&self) {
        let Some(connection) = &self.0.connection else { return std::future::pending().await };
        loop {
            let told = connection.hung_up.notified();
            if connection.gone.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }

    /// Does work that is for this client alone: it is dropped when the client
    /// hangs up.
    ///
    /// # Errors
    /// What the work says; a problem that nobody sees when the client is gone.
    pub async fn wait_for<T>(&self, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.gone() => Err(hung_up()),
        }
    }
}

/// A request is being answered until this is dropped.
#[derive(Debug)]
pub(super) struct Serving(Client);

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(connection) = &self.0.0.connection {
            connection.end();
        }
    }
}
