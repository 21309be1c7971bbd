//! How fast a target goes of late, and how much to do at once because of it:
//! small batches for latency while it is idle, large ones for throughput under
//! load. Pure; takes the time as an argument.

use std::time::{Duration, Instant};

/// How often the rate is taken.
const WINDOW: Duration = Duration::from_millis(50);
/// How much a new window counts.
const WEIGHT: f64 = 0.4;
/// After so long without a window, what was before counts no more.
const REST: Duration = Duration::from_millis(500);

/// A rate that forgets.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    since: Instant,
    counted: usize,
    per_second: f64,
}

impl Pace {
    /// Nothing has happened yet.
    pub fn new(now: Instant) -> Self {
        Self { since: now, counted: 0, per_second: 0.0 }
    }

    /// So many more have happened.
    pub fn count(&mut self, more: usize, now: Instant) {
        self.counted += more;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < WINDOW {
            return;
        }
        let fresh = self.counted as f64 / elapsed.as_secs_f64();
        let weight = if elapsed > REST { 1.0 } else { WEIGHT };
        self.per_second += weight * (fresh - self.per_second);
        (self.since, self.counted) = (now, 0);
    }

    /// How many to expect in such a time, at most `most`. A rest is forgotten
    /// like any other time: what was fast before it may be slow after it.
    pub fn within(&self, time: Duration, most: usize, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.since);
        let per_second = match elapsed > REST {
            true => self.counted as f64 / elapsed.as_secs_f64(),
            false => self.per_second,
        };
        ((per_second * time.as_secs_f64()) as usize).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_load_and_forgets_it() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let second = Duration::from_secs(1);
        assert_eq!(pace.within(second, 1_000, start), 0);
        for step in 1..=100 {
            pace.count(100, start + Duration::from_millis(10) * step);
        }
        let rate = pace.within(second, usize::MAX, start + second);
        assert!((9_000..=11_000).contains(&rate), "{rate}");
        assert_eq!(pace.within(second, 500, start + second), 500);
        assert_eq!(pace.within(second, 500, start + 9 * second), 0);
        pace.count(1, start + 10 * second);
        assert_eq!(pace.within(second, 500, start + 10 * second), 0);
    }
}
