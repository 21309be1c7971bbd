//! What the tasks of a host share: its runs in flight, what is to be written,
//! and how it stands.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use super::super::code::Code;
use super::super::limits::{MAX_IN_FLIGHT, MAX_REQUESTS_IN_FLIGHT, MAX_UNSENT, UNANSWERED};
use super::super::outcome::{RunOutcome, StartError};
use super::super::protocol::{self, Kind};
use super::super::sandbox::InForce;
use super::death::Death;
use super::process::Process;
use crate::domain::host_call::{ConsoleLine, FetchRequest, HostCallError, KeyRequest, SignRequest};
use crate::domain::target::Limits;

/// A run's number is its slot in the low bits and a count above, within the
/// range of a small integer of the engine.
const SLOT_BITS: u32 = MAX_IN_FLIGHT.trailing_zeros();
const RUN_MASK: u32 = 0x3fff_ffff;

#[derive(Debug)]
pub(super) struct Shared {
    pub process: Process,
    /// What it loads.
    pub code: Code,
    pub limits: Limits,
    pub permits: Semaphore,
    pub outbox: Outbox,
    /// Bytes of what the calls that are being done brought with them.
    pub bytes_in_flight: AtomicUsize,
    /// Somebody began a run, the host answered, or it ended.
    pub stirred: Notify,
    /// The start took a step.
    pub started: Notify,
    /// The host said whether anything is left to be done.
    pub rested: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub startup: Startup,
    /// What the child said of its sandbox.
    pub in_force: InForce,
    pub death: Option<Death>,
    /// The run that was alone when the host was found not to yield.
    blamed: Option<u32>,
    /// A run was given up, and may still hold the host up: nobody else is to
    /// blame for what happens from now on.
    pub tainted: bool,
    pub ping: Option<Ping>,
    pub pings: u32,
    /// What the host said last: nothing of any run is left to be done.
    pub at_rest: bool,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The last lines that the child wrote to its standard error.
    pub last_words: String,
    /// The names of the author's tests.
    pub tests: Vec<String>,
    /// The socket is closed.
    pub closed: bool,
}

/// How far a start got.
#[derive(Debug, Clone)]
pub(super) enum Startup {
    Booting,
    Loading { since: Instant, cpu: Duration },
    Ready,
    Failed(StartError),
}

/// A ping without an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ping {
    pub number: u32,
    pub sent_at: Instant,
    /// CPU time of the child when it was first looked at after that.
    pub cpu: Option<Duration>,
}

/// A place for a run.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The run in it, 0 when there is none.
    pub run: u32,
    generation: u32,
    pub began_at: Option<Instant>,
    pub events: VecDeque<Event>,
    pub console: Vec<ConsoleLine>,
    pub console_bytes: usize,
    /// Its last line says that the rest was cut.
    pub console_is_cut: bool,
    pub calls: u32,
    pub waker: Option<Waker>,
}

/// What the host said of a run.
#[derive(Debug)]
pub(super) enum Event {
    Returned(Bytes),
    Ended(RunOutcome),
    Fetch { call: u32, request: FetchRequest, reserved: Reserved },
    InspectKey { call: u32, request: KeyRequest, reserved: Reserved },
    Sign { call: u32, request: SignRequest, reserved: Reserved },
    Refused { call: u32, error: HostCallError },
    Cancel { call: u32 },
}

/// Frames to be written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    buffer: Mutex<Vec<u8>>,
    pub filled: Notify,
    /// Bytes that were taken and are being written.
    writing: AtomicUsize,
    written: Notify,
}

impl Outbox {
    pub fn put(&self, kind: Kind, run: u32, call: u32, parts: &[&[u8]]) {
        self.with(|buffer| protocol::put(buffer, kind, run, call, parts));
    }

    pub fn with<T>(&self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut buffer = self.buffer();
        let was_empty = buffer.is_empty();
        let result = write(&mut buffer);
        drop(buffer);
        if was_empty {
            self.filled.notify_one();
        }
        result
    }

    /// Takes everything, leaving an empty buffer to be filled; what was taken
    /// before has been written.
    pub fn swap(&self, empty: &mut Vec<u8>) {
        let mut buffer = self.buffer();
        std::mem::swap(&mut *buffer, empty);
        self.writing.store(empty.len(), Ordering::Relaxed);
        drop(buffer);
        self.written.notify_waiters();
    }

    /// Waits until the host has taken so much that more of a body may be read.
    pub async fn room(&self) {
        loop {
            let written = self.written.notified();
            let unsent = self.buffer().len() + self.writing.load(Ordering::Relaxed);
            if unsent < MAX_UNSENT {
                return;
            }
            written.await;
        }
    }

    fn buffer(&self) -> MutexGuard<'_, Vec<u8>> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    pub fn new(process: Process, code: Code, limits: Limits) -> Self {
        let state = State {
            startup: Startup::Booting,
            in_force: InForce::default(),
            death: None,
            blamed: None,
            tainted: false,
            ping: None,
            pings: 0,
            at_rest: true,
            slots: (0..MAX_IN_FLIGHT).map(|_| Slot::default()).collect(),
            free: (0..MAX_IN_FLIGHT as u32).rev().collect(),
            last_words: String::new(),
            tests: Vec::new(),
            closed: false,
        };
        Self {
            process,
            code,
            limits,
            permits: Semaphore::new(MAX_IN_FLIGHT),
            outbox: Outbox::default(),
            bytes_in_flight: AtomicUsize::new(0),
            stirred: Notify::new(),
            started: Notify::new(),
            rested: Notify::new(),
            state: Mutex::new(state),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_alive(&self) -> bool {
        let state = self.state();
        state.death.is_none() && !state.closed
    }

    pub fn in_flight(&self) -> usize {
        self.state().in_flight()
    }

    /// Why the host takes no runs.
    pub fn obituary(&self) -> String {
        match &self.state().death {
            Some(death) => format!("the host has ended: {}", death.blame(&self.limits)),
            None => "the host has ended".into(),
        }
    }

    /// Whether the child used CPU time since a ping; one that did not waits for a
    /// CPU, and nobody in it is to blame. What cannot be measured counts as used.
    pub fn is_busy_since(&self, ping: Ping) -> bool {
        let Some(before) = ping.cpu else { return false };
        self.process.cpu().map_or(true, |cpu| cpu.saturating_sub(before) > UNANSWERED / 2)
    }

    /// Asks the host to answer, unless it already has to.
    pub fn ping(&self, state: &mut State) {
        if state.ping.is_some() {
            return;
        }
        state.pings = state.pings.wrapping_add(1);
        let number = state.pings;
        state.ping = Some(Ping { number, sent_at: Instant::now(), cpu: None });
        // Under the lock, so that pings and runs are written in the order of
        // their times.
        self.outbox.put(Kind::Ping, 0, number, &[]);
    }

    /// Kills the child; its runs end when its socket closes. The first reason
    /// counts.
    pub fn kill(&self, death: Death) {
        let mut state = self.state();
        if state.death.is_none() {
            state.blamed = state.suspect();
            state.death = Some(death);
        }
        drop(state);
        self.process.kill();
        self.stirred.notify_waiters();
    }

    /// Ends every run; the child is gone.
    pub fn close(&self, how: Death) {
        self.permits.close();
        let mut state = self.state();
        state.closed = true;
        if state.death.is_none() {
            state.blamed = state.suspect();
            state.death = Some(how);
        }
        state.end_all(&self.limits);
        drop(state);
        self.started.notify_waiters();
        self.started.notify_one();
        self.stirred.notify_waiters();
        self.stirred.notify_one();
        self.outbox.filled.notify_one();
    }

    /// Takes the bytes of a call into account, `None` when there are too many.
    pub fn reserve(self: &Arc<Self>, size: usize) -> Option<Reserved> {
        let before = self.bytes_in_flight.fetch_add(size, Ordering::Relaxed);
        let reserved = Reserved { shared: self.clone(), size };
        (before == 0 || before + size <= MAX_REQUESTS_IN_FLIGHT).then_some(reserved)
    }
}

/// Bytes of a call that are taken into account until this is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    shared: Arc<Shared>,
    size: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shared.bytes_in_flight.fetch_sub(self.size, Ordering::Relaxed);
    }
}

impl State {
    pub fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A slot for a run, which begins now.
    pub fn occupy(&mut self) -> Option<u32> {
        let index = self.free.pop()?;
        let slot = &mut self.slots[index as usize];
        slot.generation = (slot.generation + 1) & (RUN_MASK >> SLOT_BITS);
        // Number 0 is nobody's, and the numbers below 64 would be its slots'.
        slot.generation = slot.generation.max(1);
        slot.run = (slot.generation << SLOT_BITS) | index;
        slot.began_at = Some(Instant::now());
        Some(slot.run)
    }

    /// Frees the slot of a run and hands out what it wrote.
    pub fn vacate(&mut self, run: u32) -> Vec<ConsoleLine> {
        let Some(slot) = self.slot(run) else { return Vec::new() };
        slot.run = 0;
        slot.began_at = None;
        slot.events.clear();
        slot.waker = None;
        slot.console_bytes = 0;
        slot.console_is_cut = false;
        slot.calls = 0;
        let console = std::mem::take(&mut slot.console);
        self.free.push(run % MAX_IN_FLIGHT as u32);
        console
    }

    /// The slot of a run that is still in flight.
    pub fn slot(&mut self, run: u32) -> Option<&mut Slot> {
        let slot = &mut self.slots[run as usize % MAX_IN_FLIGHT];
        (run != 0 && slot.run == run).then_some(slot)
    }

    /// The run to blame for a host that does not answer: the only one, and it
    /// was there when the unanswered ping was sent, or else the host would have
    /// come to the ping.
    pub fn suspect(&self) -> Option<u32> {
        if self.tainted {
            return None;
        }
        let mut runs = self.slots.iter().filter(|slot| slot.run != 0);
        let alone = runs.next().filter(|_| runs.next().is_none())?;
        let later = self.ping.is_some_and(|ping| alone.began_at.is_some_and(|at| at > ping.sent_at));
        (!later).then_some(alone.run)
    }

    fn end_all(&mut self, limits: &Limits) {
        let in_flight = self.in_flight();
        let Some(death) = self.death.clone() else { return };
        for slot in self.slots.iter_mut().filter(|slot| slot.run != 0) {
            let blamed = self.blamed == Some(slot.run);
            slot.push(Event::Ended(death.outcome(limits, blamed, in_flight)));
        }
    }
}

impl Slot {
    /// Whether the run has ended, and has not heard of it yet.
    pub fn has_ended(&self) -> bool {
        matches!(self.events.back(), Some(Event::Returned(_) | Event::Ended(_)))
    }

    pub fn push(&mut self, event: Event) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
