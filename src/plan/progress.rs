//! How far a sweep is and when it will be done.

use std::time::Duration;

/// What is known of a sweep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Swept {
    /// Subjects to do when it started.
    pub total: i64,
    /// Rows put into the queue so far.
    pub enqueued: i64,
    /// Rows taken out of it again.
    pub removed: i64,
    /// Rows of it in the queue that will run, and those that do.
    pub queued: i64,
    /// Rows of it in the queue that wait for a person: nobody knows when they run.
    pub held: i64,
    /// Rows are still to be put into the queue.
    pub unfinished: bool,
    /// Work goes on.
    pub moving: bool,
    /// Time since it started.
    pub age: Duration,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Swept work that has been completed.
    pub done: i64,
    /// Swept work to come.
    pub remaining: i64,
    /// Completions a second; `None` while nothing moves.
    pub per_second: Option<f64>,
    /// Seconds until the end at that rate; `None` while nothing moves.
    pub eta_seconds: Option<f64>,
}

/// Works out the progress of a sweep. `rate` is what the target completes in a
/// second of late, if it is known; else the average since the start counts.
pub fn progress(swept: &Swept, rate: Option<f64>) -> Progress {
    let to_come = if swept.unfinished { (swept.total - swept.enqueued).max(0) } else { 0 };
    let remaining = swept.queued + to_come;
    let done = (swept.enqueued - swept.removed - swept.queued - swept.held).max(0);
    let average = done as f64 / swept.age.as_secs_f64().max(0.001);
    let moving = swept.moving && remaining > 0;
    let per_second = moving.then(|| rate.filter(|rate| *rate > 0.0).unwrap_or(average));
    let eta_seconds = match per_second {
        Some(rate) if rate > 0.0 => Some(remaining as f64 / rate),
        _ => None,
    };
    Progress { done, remaining, per_second, eta_seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWEPT: Swept = Swept {
        total: 1_000,
        enqueued: 500,
        removed: 0,
        queued: 300,
        held: 0,
        unfinished: true,
        moving: true,
        age: Duration::from_secs(10),
    };

    #[test]
    fn the_rate_of_late_counts_then_the_average() {
        let seen = progress(&SWEPT, Some(100.0));
        assert_eq!((seen.done, seen.remaining, seen.eta_seconds), (200, 800, Some(8.0)));
        let seen = progress(&SWEPT, None);
        assert_eq!((seen.per_second, seen.eta_seconds), (Some(20.0), Some(40.0)));
    }

    #[test]
    fn what_does_not_move_has_no_end() {
        let paused = Swept { moving: false, ..SWEPT };
        assert_eq!(progress(&paused, Some(100.0)).eta_seconds, None);
        let untouched = Swept { queued: 500, ..SWEPT };
        assert_eq!(progress(&untouched, Some(0.0)).eta_seconds, None);
        let ended = Swept { unfinished: false, queued: 0, ..SWEPT };
        assert_eq!((progress(&ended, None).remaining, progress(&ended, None).per_second), (0, None));
        let held = Swept { held: 40, ..ended };
        assert_eq!((progress(&held, None).done, progress(&held, None).remaining), (460, 0));
        let cancelled = Swept { removed: 300, ..ended };
        assert_eq!(progress(&cancelled, None).done, 200);
    }
}
