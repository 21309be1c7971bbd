//! A breaker shown to people, written down, and read again.

use chrono::{DateTime, Utc};

use super::saved::{Basis, BreakerState, BreakerView, Cause, Saved};
use super::sentence::sentence;
use super::{Breaker, Phase, Timing};

impl Breaker {
    /// The breaker for people.
    pub fn view(&self) -> BreakerView {
        let (state, cause, next_probe_at) = self.parts();
        let limit = match state {
            BreakerState::Closed => self.flow.limit(),
            BreakerState::Slowed | BreakerState::Probing => 1,
            BreakerState::Open => 0,
        };
        let seen = (self.window.failures(), self.window.len());
        let (failures, window) = cause.filter(|_| seen.1 == 0).map_or(seen, |c| (c.failures, c.window));
        let mut view = BreakerView {
            state,
            since: self.since,
            reason: None,
            next_probe_at,
            held_until: self.flow.hold(),
            concurrency: limit,
            cap: self.flow.cap(),
            failures,
            window,
        };
        view.reason = sentence(&view, cause);
        view
    }

    /// The reason for the daemon's log, which repeats nothing that an external
    /// system says.
    pub fn log_line(&self) -> Option<String> {
        let said_nothing = |cause: &Cause| Cause { message: String::new(), ..cause.clone() };
        sentence(&self.view(), self.parts().1.map(said_nothing).as_ref())
    }

    fn parts(&self) -> (BreakerState, Option<&Cause>, Option<DateTime<Utc>>) {
        match &self.phase {
            Phase::Closed => (BreakerState::Closed, None, None),
            Phase::Slowed(cause) => (BreakerState::Slowed, Some(cause), None),
            Phase::Open { cause, next_probe, .. } => (BreakerState::Open, Some(cause), Some(*next_probe)),
            Phase::Probing { cause, .. } => (BreakerState::Probing, Some(cause), None),
        }
    }

    /// What a restart must know; nothing when all is well.
    pub fn saved(&self, basis: Basis) -> Option<Saved> {
        let (state, cause, next_probe_at) = self.parts();
        let calm = state == BreakerState::Closed && self.flow.hold().is_none() && !self.auth_proven;
        if calm {
            return None;
        }
        let wait = match self.phase {
            Phase::Open { wait, .. } | Phase::Probing { wait: Some(wait), .. } => wait,
            _ => self.timing.first_probe,
        };
        let probing = state == BreakerState::Probing;
        Some(Saved {
            state: if probing { BreakerState::Open } else { state },
            since: self.since,
            cause: cause.cloned(),
            next_probe_at: if probing { Some(self.since) } else { next_probe_at },
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            concurrency: self.flow.limit(),
            held_until: self.flow.hold(),
            auth_proven: self.auth_proven,
            basis,
        })
    }

    /// Goes on from what was written down, unless somebody has done something
    /// about the target since.
    pub fn restore(cap: u32, timing: Timing, saved: &Saved, basis: Basis, now: DateTime<Utc>) -> Self {
        let mut breaker = Self::new(cap, timing, saved.since);
        breaker.flow.restore(saved.concurrency, saved.held_until);
        breaker.auth_proven = saved.auth_proven;
        let wait = saved.wait().clamp(timing.first_probe, timing.longest_probe);
        if let Some(cause) = saved.cause.clone() {
            breaker.phase = match saved.state {
                BreakerState::Closed => Phase::Closed,
                BreakerState::Slowed => Phase::Slowed(cause),
                BreakerState::Open | BreakerState::Probing => {
                    breaker.relapse = Some(wait);
                    Phase::Open { cause, next_probe: saved.next_probe_at.unwrap_or(now), wait }
                }
            };
        }
        if saved.basis != basis {
            breaker.reset(basis.settings_differ(saved.basis), now);
        }
        breaker
    }
}
