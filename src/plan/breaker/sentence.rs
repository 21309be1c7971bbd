//! The reason in one sentence.

use chrono::{DateTime, Utc};

use super::saved::{BreakerState, BreakerView, Cause};
use crate::domain::status::ErrorClass;

/// Longest part of a failure's message that a sentence repeats, in characters.
const MOST: usize = 200;

/// The first line of a message: the rest is a stack.
pub(super) fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim().replace('`', "'");
    if line.chars().count() <= MOST { line } else { line.chars().take(MOST - 1).chain(['…']).collect() }
}

/// What to tell people; nothing when all is well.
pub(super) fn sentence(view: &BreakerView, cause: Option<&Cause>) -> Option<String> {
    let since = clock(view.since, view.since);
    let (why, last) = cause.map(told).unwrap_or_default();
    // What the system asked for counts in every state.
    let held = view.held_until.filter(|until| view.next_probe_at.is_none_or(|probe| *until > probe));
    let held = held.map_or(String::new(), |until| {
        format!("; the system asked for no calls before {} (Retry-After)", clock(until, view.since))
    });
    match view.state {
        BreakerState::Closed => calm(view),
        BreakerState::Slowed => Some(format!("slowed to one run at a time since {since}: {why}{last}{held}")),
        BreakerState::Open => {
            let probe = match view.next_probe_at {
                Some(at) => format!("; next probe at {}", clock(at, view.since)),
                None => String::new(),
            };
            Some(format!("quarantined since {since}: {why}{last}{probe}{held}"))
        }
        BreakerState::Probing => {
            Some(format!("quarantined since {since}: {why}{last}; the next run decides{held}"))
        }
    }
}

fn told(cause: &Cause) -> (String, String) {
    let said = if cause.message.is_empty() { cause.class.as_str() } else { &cause.message };
    if cause.class == ErrorClass::Auth && cause.failures <= 1 {
        return ("the credentials were refused".into(), format!(" with `{said}`"));
    }
    let why = format!("{} of the last {} runs failed", cause.failures, cause.window);
    (why, format!(", last with `{said}`"))
}

fn calm(view: &BreakerView) -> Option<String> {
    if let Some(until) = view.held_until {
        let until = clock(until, view.since);
        return Some(format!("the system asked for no calls before {until} (Retry-After)"));
    }
    (view.concurrency < view.cap).then(|| {
        let (now, cap) = (view.concurrency, view.cap);
        format!("runs {now} at a time instead of {cap}, and more as they succeed")
    })
}

/// The time of day in UTC, with the date when it is another day than `day`'s.
fn clock(at: DateTime<Utc>, day: DateTime<Utc>) -> String {
    let same = at.date_naive() == day.date_naive();
    at.format(if same { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S UTC" }).to_string()
}
