//! What is lent to one run at a time, kept for a while, and then let go.

use std::time::{Duration, Instant};

/// Things that nobody uses at the moment.
#[derive(Debug)]
pub(super) struct Pool<T> {
    /// Since when each is unused, the longest first.
    idle: Vec<(T, Instant)>,
    kept: Duration,
}

impl<T> Pool<T> {
    /// Keeps what is unused for so long.
    pub fn new(kept: Duration) -> Self {
        Self { idle: Vec::new(), kept }
    }

    /// Takes the one that was used last: the others may grow old.
    pub fn take(&mut self) -> Option<T> {
        self.idle.pop().map(|(thing, _)| thing)
    }

    /// Gives one back.
    pub fn put(&mut self, thing: T, now: Instant) {
        self.idle.push((thing, now));
    }

    /// Lets go of what was unused for too long. Says when the next one will be,
    /// `None` when there is none.
    pub fn prune(&mut self, now: Instant) -> Option<Instant> {
        self.idle.retain(|(_, since)| now < *since + self.kept);
        self.idle.first().map(|(_, since)| *since + self.kept)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.idle.iter().map(|(thing, _)| thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut pool = Pool::new(10 * second);
        pool.put('a', begin);
        pool.put('b', begin + second);
        assert_eq!(pool.take(), Some('b'), "the warm one");
        pool.put('b', begin + 8 * second);
        assert_eq!(pool.prune(begin + 9 * second), Some(begin + 10 * second));
        assert_eq!(pool.prune(begin + 10 * second), Some(begin + 18 * second));
        assert_eq!(pool.iter().collect::<Vec<_>>(), [&'b']);
        assert_eq!(pool.prune(begin + 18 * second), None);
        assert_eq!(pool.take(), None);
    }
}
