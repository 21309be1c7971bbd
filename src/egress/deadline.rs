//! When a call has to be done: by its own limit, and before its run is over.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::transient;
use crate::domain::host_call::HostCallError;

/// What logic keeps of a run after its last call, to say what became of it.
const KEPT: Duration = Duration::from_secs(1);

/// When a call is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    /// How long that was when it began.
    time: Duration,
    /// The run has no more time left for it.
    is_of_run: bool,
}

impl Deadline {
    /// Of a call that begins `now` and may take so long, in a run that is given up when
    /// it `ends`.
    pub(super) fn new(now: Instant, longest: Duration, ends: Option<Instant>) -> Self {
        let own = Self { at: now + longest, time: longest, is_of_run: false };
        match ends.map(|ends| share_of(ends.saturating_duration_since(now))) {
            Some(time) if time < longest => Self { at: now + time, time, is_of_run: true },
            _ => own,
        }
    }

    /// The call to `host` did not make it.
    pub(super) fn missed(&self, host: &str) -> HostCallError {
        let seconds = (self.time.as_secs_f64() * 10.0).round() / 10.0;
        let which = if self.is_of_run { ", which was all that the run had left for it" } else { "" };
        transient(format!("`{host}` did not answer completely within {seconds} s{which}"))
    }
}

/// What a call gets of what is left of a run.
pub(super) fn share_of(left: Duration) -> Duration {
    left - KEPT.min(left / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_ends_before_its_run() {
        let (now, second) = (Instant::now(), Duration::from_secs);
        let message = |longest, left: Option<u64>| {
            let deadline = Deadline::new(now, second(longest), left.map(|left| now + second(left)));
            assert!(left.is_none_or(|left| deadline.at <= now + second(left)));
            deadline.missed("a.example:443").message
        };
        assert_eq!(message(60, None), "`a.example:443` did not answer completely within 60 s");
        assert_eq!(message(60, Some(300)), "`a.example:443` did not answer completely within 60 s");
        let left = "s, which was all that the run had left for it";
        assert!(message(60, Some(30)).ends_with(&format!("within 29 {left}")));
        assert!(message(60, Some(1)).ends_with(&format!("within 0.9 {left}")));
        assert!(message(60, Some(0)).ends_with(&format!("within 0 {left}")));
    }
}
