//! All connections, and which one makes room when there are too many.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ServerLimits;
use super::connection::Connection;

/// How often the log says that room had to be made.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What a connection that may be closed is doing; the least useful first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It has not presented a token in force, and no request of it is served.
    Silent,
    /// Its first requests: whose they are is not known yet.
    Unproven,
    /// It has presented one, and lies idle.
    Idle,
}

#[derive(Debug)]
pub(super) struct Registry {
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    numbers: u64,
    stamps: u64,
    open: HashMap<u64, Entry>,
    /// Those that may be closed. Within a rank, who has waited longest goes first.
    spare: BTreeMap<(Rank, u64), u64>,
    said_at: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    connection: Arc<Connection>,
    place: Option<(Rank, u64)>,
}

impl Registry {
    pub(super) fn new(most: usize) -> Self {
        Self { most, inner: Mutex::default() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new connection, for which another one may be closed; `None` when all of
    /// them are busy.
    pub(super) fn admit(self: &Arc<Self>, limits: ServerLimits) -> Option<Arc<Connection>> {
        let mut inner = self.inner();
        let closed = if inner.open.len() < self.most { None } else { Some(inner.make_room()) };
        inner.say(closed.as_ref());
        if closed.as_ref().is_some_and(Option::is_none) {
            return None;
        }
        inner.numbers += 1;
        let number = inner.numbers;
        let connection = Arc::new(Connection::new(number, self.clone(), limits));
        inner.open.insert(number, Entry { connection: connection.clone(), place: None });
        inner.put(number, Some(Rank::Silent));
        drop(inner);
        if let Some(closed) = closed.flatten() {
            closed.evict();
        }
        Some(connection)
    }

    /// Notes what a connection does; `None` when it must not be closed.
    pub(super) fn place(&self, number: u64, rank: Option<Rank>) {
        self.inner().put(number, rank);
    }

    /// A connection is closed.
    pub(super) fn forget(&self, number: u64) {
        let mut inner = self.inner();
        inner.put(number, None);
        inner.open.remove(&number);
    }
}

impl Inner {
    fn put(&mut self, number: u64, rank: Option<Rank>) {
        self.stamps += 1;
        let stamp = self.stamps;
        // One that had to make room is not known any more.
        let Some(entry) = self.open.get_mut(&number) else { return };
        if let Some(place) = entry.place.take() {
            self.spare.remove(&place);
        }
        entry.place = rank.map(|rank| (rank, stamp));
        if let Some(place) = entry.place {
            self.spare.insert(place, number);
        }
    }

    fn make_room(&mut self) -> Option<Arc<Connection>> {
        let (_, number) = self.spare.pop_first()?;
        self.open.remove(&number).map(|entry| entry.connection)
    }

    fn say(&mut self, closed: Option<&Option<Arc<Connection>>>) {
        let Some(closed) = closed else { return };
        if self.said_at.is_some_and(|at| at.elapsed() < SAID_EVERY) {
            return;
        }
        self.said_at = Some(Instant::now());
        let what = if closed.is_some() { "others are closed for new ones" } else { "new ones are refused" };
        log::warn!(
            "there are {} connections, as many as server.maxConnections lets in: {what}",
            self.open.len()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ServerLimits = ServerLimits {
        connections: 3,
        head: Duration::from_secs(1),
        body: Duration::from_secs(1),
        write: Duration::from_secs(1),
        idle: Duration::from_secs(1),
    };

    fn evicted(connection: &Connection) -> bool {
        !connection.is_wanted(std::task::Waker::noop())
    }

    #[test]
    fn the_least_useful_makes_room_and_the_busy_stay() {
        let registry = Arc::new(Registry::new(3));
        let [idle, busy, silent] = [0; 3].map(|_| registry.admit(LIMITS).unwrap());
        registry.place(1, Some(Rank::Idle));
        registry.place(2, None);
        let first = registry.admit(LIMITS).unwrap();
        assert_eq!([&idle, &busy, &silent, &first].map(|one| evicted(one)), [false, false, true, false]);
        registry.place(4, None);
        let second = registry.admit(LIMITS).unwrap();
        assert_eq!([&idle, &busy, &first, &second].map(|one| evicted(one)), [true, false, false, false]);
        registry.place(5, None);
        assert!(registry.admit(LIMITS).is_none(), "all are busy");
        busy.close();
        assert!(registry.admit(LIMITS).is_some());
    }

    #[test]
    fn one_that_made_room_does_not_come_back() {
        let registry = Arc::new(Registry::new(1));
        let first = registry.admit(LIMITS).unwrap();
        let second = registry.admit(LIMITS).unwrap();
        registry.place(1, Some(Rank::Idle));
        first.close();
        assert!(evicted(&first) && !evicted(&second));
        assert_eq!(registry.inner().open.len(), 1);
        assert_eq!(registry.inner().spare.len(), 1);
    }
}
