//! What the calls of a run say of its failure, when the error itself does not say
//! which of them it came from.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use crate::domain::host_call::FetchRequest;
use crate::domain::status::ErrorClass;

/// The class of a failed exchange, and how long the remote asked to wait.
pub type Failure = (ErrorClass, Option<Duration>);

/// What was asked for: the same again is a retry. Header fields do not count, for a
/// retry may bring another token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked(u64);

impl Asked {
    pub(super) fn of(request: &FetchRequest) -> Self {
        let mut hasher = DefaultHasher::new();
        (&request.method, &request.url, &request.body).hash(&mut hasher);
        Self(hasher.finish())
    }
}

#[cfg(test)]
impl Asked {
    /// To tell requests apart by their addresses.
    pub(super) fn at(url: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        url.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// What an exchange says of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Well,
    /// How something is there: 404 and its kind. Logic asks in order to be told so.
    NotAsAsked(Failure),
    Failed(Failure),
}

impl Said {
    /// By a status: what `failure` makes of it.
    pub(super) fn of_status(status: u16, failure: Option<Failure>) -> Self {
        match failure {
            None => Self::Well,
            Some(failure) if matches!(status, 404 | 409 | 410 | 412) => Self::NotAsAsked(failure),
            Some(failure) => Self::Failed(failure),
        }
    }

    pub(super) fn failure(self) -> Option<Failure> {
        match self {
            Self::Well => None,
            Self::NotAsAsked(failure) | Self::Failed(failure) => Some(failure),
        }
    }
}

/// The failures of one run so far.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Those that were not made good by the same request again; few.
    open: Vec<(Asked, Failure)>,
    /// Of the exchange that ended last.
    latest: Option<Failure>,
    /// When the remote asked to go slower, and for how long.
    slower: Option<(Instant, Duration)>,
}

impl Failures {
    pub(super) fn note(&mut self, asked: Asked, said: Said, now: Instant) {
        self.latest = said.failure();
        if let Some(failure) = self.latest {
            self.note_pace(failure, now);
        }
        if !self.open.is_empty() {
            self.open.retain(|(other, _)| *other != asked);
        }
        if let Said::Failed(failure) = said {
            self.open.push((asked, failure));
        }
    }

    fn note_pace(&mut self, (class, wait): Failure, now: Instant) {
        let asks = match class {
            ErrorClass::RateLimited => true,
            ErrorClass::Transient => wait.is_some(),
            _ => false,
        };
        let wait = wait.unwrap_or_default();
        let is_longer = self.slower.is_none_or(|(since, other)| now + wait > since + other);
        if asks && is_longer {
            self.slower = Some((now, wait));
        }
    }

    /// The worst of those that were not made good, with the longest wait that was asked
    /// for; without any, the exchange that ended last, if it failed.
    pub(super) fn worst(&self) -> Option<Failure> {
        let worst = self.open.iter().map(|(_, (class, _))| *class).max_by_key(|class| class.severity());
        let Some(class) = worst else { return self.latest };
        let waits = self.open.iter().filter_map(|(_, (_, wait))| *wait);
        Some((class, waits.max()))
    }

    /// For how much longer the remote asked to go slower, zero when it did not say or
    /// that is over; `None` when it did not ask.
    pub(super) fn slower(&self, now: Instant) -> Option<Duration> {
        self.slower.map(|(since, wait)| (since + wait).saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host_call::Redirect;
    use crate::domain::status::ErrorClass::{Auth, Permanent, RateLimited, Transient};

    fn asked(method: &str, body: &str) -> Asked {
        Asked::of(&FetchRequest {
            method: method.into(),
            url: "https://a.example/users".into(),
            headers: Vec::new(),
            body: Some(body.to_owned().into()),
            redirect: Redirect::Follow,
            effect: None,
        })
    }

    /// What calls that were answered with these statuses come to.
    fn worst(calls: &[(&str, &str, u16)]) -> Option<ErrorClass> {
        let mut failures = Failures::default();
        for (method, body, status) in calls {
            let failure = ErrorClass::of_http_status(*status).map(|class| (class, None));
            failures.note(asked(method, body), Said::of_status(*status, failure), Instant::now());
        }
        failures.worst().map(|(class, _)| class)
    }

    #[test]
    fn a_later_success_hides_no_failure() {
        for (status, class) in [
            (429, RateLimited),
            (401, Auth),
            (403, Auth),
            (407, Auth),
            (408, Transient),
            (425, Transient),
            (503, Transient),
            (400, Permanent),
            (422, Permanent),
        ] {
            assert_eq!(worst(&[("PUT", "", status), ("POST", "audit", 200)]), Some(class), "{status}");
            assert_eq!(worst(&[("POST", "audit", 200), ("PUT", "", status)]), Some(class), "{status}");
        }
    }

    #[test]
    fn what_was_made_good_is_forgotten() {
        assert_eq!(worst(&[("PUT", "", 503), ("PUT", "", 200)]), None);
        assert_eq!(worst(&[("PUT", "", 503), ("PUT", "", 400)]), Some(Permanent));
        assert_eq!(worst(&[("POST", "a", 429), ("POST", "b", 200)]), Some(RateLimited));
        assert_eq!(worst(&[("GET", "", 401), ("POST", "token", 200), ("GET", "", 200)]), None);
    }

    #[test]
    fn what_logic_asks_in_order_to_know_counts_only_at_the_end() {
        for status in [404, 409, 410, 412] {
            assert_eq!(worst(&[("GET", "", status), ("POST", "", 201)]), None, "{status}");
            assert_eq!(worst(&[("POST", "", 201), ("GET", "", status)]), Some(Permanent), "{status}");
        }
        assert_eq!(worst(&[("GET", "", 404), ("POST", "", 503), ("POST", "audit", 200)]), Some(Transient));
    }

    #[test]
    fn the_worst_counts_with_the_longest_wait() {
        let second = Duration::from_secs;
        let mut failures = Failures::default();
        let mut note =
            |body, failure| failures.note(asked("PUT", body), Said::Failed(failure), Instant::now());
        note("a", (RateLimited, Some(second(300))));
        note("b", (Transient, Some(second(5))));
        note("c", (Permanent, None));
        assert_eq!(failures.worst(), Some((RateLimited, Some(second(300)))));
        failures.note(asked("PUT", "d"), Said::Failed((Auth, None)), Instant::now());
        assert_eq!(failures.worst(), Some((Auth, Some(second(300)))));
    }

    #[test]
    fn the_pace_is_told_of_whatever_became_of_the_call() {
        let (start, second) = (Instant::now(), Duration::from_secs);
        let mut failures = Failures::default();
        failures.note(asked("PUT", ""), Said::Failed((Transient, None)), start);
        assert_eq!(failures.slower(start), None);
        failures.note(asked("PUT", ""), Said::Failed((RateLimited, Some(second(9)))), start);
        failures.note(asked("PUT", ""), Said::Well, start + second(4));
        failures.note(asked("PUT", "b"), Said::Failed((RateLimited, Some(second(2)))), start + second(4));
        assert_eq!(failures.worst(), Some((RateLimited, Some(second(2)))));
        assert_eq!(failures.slower(start + second(4)), Some(second(5)));
        assert_eq!(failures.slower(start + second(40)), Some(Duration::ZERO));
    }
}
