//! From a run's end to what is recorded and what comes next.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use super::backoff;
use super::kills::MAX_KILLS;
use crate::domain::response::{Response, RunAgain, Verdict};
use crate::domain::status::{ErrorClass, ProvisionStatus, Reason, Trigger};
use crate::domain::target::RetryPolicy;

/// What was known when the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFacts {
    /// Why logic ran.
    pub reason: Reason,
    /// What made it run.
    pub trigger: Trigger,
    /// Counts the attempts at this version, from 1.
    pub attempt: u32,
    /// The status before the run.
    pub status_before: ProvisionStatus,
    /// The external system may have held something.
    pub present_before: bool,
    /// The subject was in scope when the run began.
    pub wanted: bool,
    /// Logic made at least one host call.
    pub made_calls: bool,
    /// How often this very run has brought its host down before.
    pub kills: u32,
}

/// The settings that decide what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Attempts and waits.
    pub retry: RetryPolicy,
    /// Logic cannot schedule itself sooner than this.
    pub run_again_floor: Duration,
    /// When to look again at an ongoing operation that named no time.
    pub poll_interval: Duration,
}

/// How the run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Logic answered by the contract.
    Answered {
        /// What it said.
        response: Response,
        /// What the remote asked for, when the last call failed.
        retry_after: Option<Duration>,
    },
    /// Logic threw, answered badly or broke a limit.
    Failed {
        /// One sentence.
        message: String,
        /// Decides about the retry.
        class: ErrorClass,
        /// What the remote asked for.
        retry_after: Option<Duration>,
    },
    /// Logic brought its host down; the sentence says how.
    Killed(String),
    /// It was ended from outside through no fault of its own.
    Interrupted(String),
}

/// The next run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// Not before.
    pub at: DateTime<Utc>,
    /// With this trigger.
    pub trigger: Trigger,
    /// With the reason `deprovision`, whatever the filter says by then.
    pub deprovision: bool,
    /// Attempts to count as made.
    pub attempts: u32,
}

/// What to record.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// The new status.
    pub status: ProvisionStatus,
    /// One sentence for people.
    pub message: String,
    /// The class of a failure.
    pub error_class: Option<ErrorClass>,
    /// The external system may hold something now.
    pub present: bool,
    /// The version is finished.
    pub done: bool,
    /// A failure that nothing will retry.
    pub dead: bool,
    /// `None` leaves the one known.
    pub remote_id: Option<String>,
    /// The one known is another subject's by now.
    pub forgets_remote_id: bool,
    /// `None` leaves what is kept.
    pub metadata: Option<Value>,
    /// A merge patch for the subject.
    pub attributes: Option<Map<String, Value>>,
    /// The next run, unless a change comes first.
    pub next: Option<Next>,
    /// What the remote asked for, in answer to a call that failed.
    pub retry_after: Option<Duration>,
    /// How often this very run has brought its host down by now, 0 when it did
    /// not this time.
    pub kills: u32,
}

impl Conclusion {
    /// Makes a failure cost no attempt, since the target was the cause: due at
    /// once, and the breaker says when that is. What logic scheduled stays, and
    /// what was given up because it brings its host down.
    pub fn give_attempt_back(&mut self, reason: Reason, trigger: Trigger, attempt: u32, now: DateTime<Utc>) {
        if self.kills >= MAX_KILLS {
            return;
        }
        if self.next.as_ref().is_some_and(|next| next.attempts != attempt) {
            return;
        }
        self.dead = false;
        self.next = Some(Next {
            at: now,
            trigger: if trigger == Trigger::Logic { trigger } else { Trigger::Retry },
            deprovision: reason == Reason::Deprovision,
            attempts: attempt.saturating_sub(1),
        });
    }
}

/// Concludes a run. `jitter` lies in `0.0..=1.0`.
pub fn conclude(run: &RunFacts, end: Ending, policy: &Policy, now: DateTime<Utc>, jitter: f64) -> Conclusion {
    match end {
        Ending::Answered { response, retry_after } => {
            let conclusion = answered(run, response, retry_after, policy, now, jitter);
            Conclusion { retry_after, ..conclusion }
        }
        Ending::Failed { message, class, retry_after } => {
            let next = retry(run, class, retry_after, policy, now, jitter);
            Conclusion { retry_after, ..failed(run, message, class, next) }
        }
        Ending::Killed(message) => killed(run, message, policy, now, jitter),
        Ending::Interrupted(message) => interrupted(run, &message, now),
    }
}

/// It would do so again and again, each time at the expense of others.
fn killed(run: &RunFacts, message: String, policy: &Policy, now: DateTime<Utc>, jitter: f64) -> Conclusion {
    let kills = run.kills.saturating_add(1);
    let (message, next) = if kills < MAX_KILLS {
        (message, retry(run, ErrorClass::Logic, None, policy, now, jitter))
    } else {
        (given_up(&message), None)
    };
    Conclusion { kills, ..failed(run, message, ErrorClass::Logic, next) }
}

fn given_up(message: &str) -> String {
    format!(
        "it has brought its host down three times; not tried again until the account or the logic changes, or \
         a person asks: {message}"
    )
}

fn answered(
    run: &RunFacts,
    response: Response,
    retry_after: Option<Duration>,
    policy: &Policy,
    now: DateTime<Utc>,
    jitter: f64,
) -> Conclusion {
    let again = response.run_again.map(|again| not_before(again, policy, now));
    let mut conclusion = match response.verdict {
        Verdict::Deprovision => asks_to_deprovision(run, now),
        Verdict::Status(ProvisionStatus::ProvisionFailed) => {
            let class = response.error_class.unwrap_or(ErrorClass::Logic);
            let next = match again {
                Some(at) => Some(scheduled(run, at)),
                None => retry(run, class, retry_after, policy, now, jitter),
            };
            failed(run, String::new(), class, next)
        }
        Verdict::Status(ProvisionStatus::ProvisionOngoing) => {
            let at = again.unwrap_or_else(|| later(now, policy.poll_interval));
            ongoing(run, at)
        }
        Verdict::Status(status) => settled(run, status, again, now),
    };
    conclusion.message = response.message;
    if conclusion.message.is_empty() && conclusion.status == ProvisionStatus::ProvisionFailed {
        conclusion.message = "logic answered `provisionFailed` without a message".into();
    }
    conclusion.remote_id = response.remote_id;
    conclusion.metadata = response.metadata;
    conclusion.attributes = response.attributes;
    conclusion
}

fn plain(status: ProvisionStatus, present: bool) -> Conclusion {
    Conclusion {
        status,
        message: String::new(),
        error_class: None,
        present,
        done: false,
        dead: false,
        remote_id: None,
        forgets_remote_id: false,
        metadata: None,
        attributes: None,
        next: None,
        retry_after: None,
        kills: 0,
    }
}

fn asks_to_deprovision(run: &RunFacts, now: DateTime<Utc>) -> Conclusion {
    let next = Next { at: now, trigger: Trigger::Logic, deprovision: true, attempts: 0 };
    let present = run.present_before || run.made_calls;
    Conclusion { next: Some(next), ..plain(run.status_before, present) }
}

fn failed(run: &RunFacts, message: String, class: ErrorClass, next: Option<Next>) -> Conclusion {
    Conclusion {
        message,
        error_class: Some(class),
        dead: next.is_none(),
        next,
        ..plain(ProvisionStatus::ProvisionFailed, run.present_before || run.made_calls)
    }
}

fn ongoing(run: &RunFacts, at: DateTime<Utc>) -> Conclusion {
    let next = Some(scheduled(run, at));
    Conclusion { done: true, next, ..plain(ProvisionStatus::ProvisionOngoing, true) }
}

/// Provisioned, deprovisioned or not needed.
fn settled(
    run: &RunFacts,
    status: ProvisionStatus,
    again: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Conclusion {
    let present = match (status, run.reason) {
        (ProvisionStatus::Provisioned, _) => true,
        (_, Reason::Deprovision) => false,
        _ => run.present_before,
    };
    let came_back = run.reason == Reason::Deprovision && run.wanted && run.trigger != Trigger::Logic;
    let next = if came_back {
        Some(Next { at: now, trigger: Trigger::EnteredFilter, deprovision: false, attempts: 0 })
    } else {
        again.map(|at| Next { deprovision: false, ..scheduled(run, at) })
    };
    Conclusion { done: !came_back, next, ..plain(status, present) }
}

fn interrupted(run: &RunFacts, message: &str, now: DateTime<Utc>) -> Conclusion {
    let next = Next {
        at: now,
        trigger: run.trigger,
        deprovision: run.reason == Reason::Deprovision,
        attempts: run.attempt.saturating_sub(1),
    };
    let present = run.present_before || run.made_calls;
    Conclusion {
        message: format!("interrupted: {message}"),
        next: Some(next),
        ..plain(run.status_before, present)
    }
}

fn scheduled(run: &RunFacts, at: DateTime<Utc>) -> Next {
    let deprovision = run.reason == Reason::Deprovision;
    Next { at, trigger: continuing(run, Trigger::Schedule), deprovision, attempts: 0 }
}

/// A deprovision that logic asked for stays marked as such until it is done:
/// its end must not be followed by a provision, although the subject is in scope.
fn continuing(run: &RunFacts, trigger: Trigger) -> Trigger {
    if run.trigger == Trigger::Logic { Trigger::Logic } else { trigger }
}

fn retry(
    run: &RunFacts,
    class: ErrorClass,
    retry_after: Option<Duration>,
    policy: &Policy,
    now: DateTime<Utc>,
    jitter: f64,
) -> Option<Next> {
    if !class.is_retried() || run.attempt >= policy.retry.max_attempts {
        return None;
    }
    let wait = backoff::delay(&policy.retry, run.attempt, jitter).max(retry_after.unwrap_or_default());
    Some(Next {
        at: later(now, wait),
        trigger: continuing(run, Trigger::Retry),
        deprovision: run.reason == Reason::Deprovision,
        attempts: run.attempt,
    })
}

fn not_before(again: RunAgain, policy: &Policy, now: DateTime<Utc>) -> DateTime<Utc> {
    let floor = later(now, policy.run_again_floor);
    match again {
        RunAgain::In(delay) => later(now, delay).max(floor),
        RunAgain::At(time) => time.max(floor),
    }
}

fn later(now: DateTime<Utc>, delay: Duration) -> DateTime<Utc> {
    let delay = TimeDelta::from_std(delay).unwrap_or(TimeDelta::days(366));
    now.checked_add_signed(delay).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const RUN: RunFacts = RunFacts {
        reason: Reason::Provision,
        trigger: Trigger::Created,
        attempt: 1,
        status_before: ProvisionStatus::Pending,
        present_before: false,
        wanted: true,
        made_calls: true,
        kills: 0,
    };

    fn policy() -> Policy {
        Policy {
            retry: RetryPolicy::default(),
            run_again_floor: Duration::from_secs(10),
            poll_interval: Duration::from_secs(60),
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn after(run: &RunFacts, response: Value) -> Conclusion {
        let response = Response::read(&response, run.reason).unwrap();
        conclude(run, Ending::Answered { response, retry_after: None }, &policy(), now(), 0.5)
    }

    fn wait(conclusion: &Conclusion) -> Option<i64> {
        conclusion.next.as_ref().map(|next| (next.at - now()).num_seconds())
    }

    #[test]
    fn logic_cannot_schedule_itself_below_the_floor() {
        let soon = after(&RUN, json!({"status": "provisioned", "runAgainIn": 1}));
        assert_eq!(wait(&soon), Some(10));
        let past = after(&RUN, json!({"status": "provisioned", "runAgainAt": "2001-01-01T00:00:00Z"}));
        assert_eq!(wait(&past), Some(10));
        let ongoing = after(&RUN, json!({"status": "provisionOngoing"}));
        assert_eq!(wait(&ongoing), Some(60));
    }

    #[test]
    fn failures_are_retried_by_class() {
        let fail = |class, retry_after| {
            let end = Ending::Failed { message: "x".into(), class, retry_after };
            conclude(&RUN, end, &policy(), now(), 0.5)
        };
        assert_eq!(wait(&fail(ErrorClass::Transient, None)), Some(5));
        assert_eq!(wait(&fail(ErrorClass::RateLimited, Some(Duration::from_secs(120)))), Some(120));
        let permanent = fail(ErrorClass::Permanent, None);
        assert!(permanent.dead && permanent.next.is_none());
    }

    #[test]
    fn the_last_attempt_is_a_dead_letter() {
        let run = RunFacts { attempt: 11, ..RUN };
        let end = Ending::Failed { message: "x".into(), class: ErrorClass::Transient, retry_after: None };
        assert!(conclude(&run, end, &policy(), now(), 0.5).dead);
    }

    #[test]
    fn a_run_that_brings_its_host_down_three_times_is_given_up() {
        let kill = |kills| {
            let run = RunFacts { kills, attempt: kills + 1, ..RUN };
            conclude(&run, Ending::Killed("the CPU limit of 2 s was reached".into()), &policy(), now(), 0.5)
        };
        assert_eq!((wait(&kill(0)), kill(0).kills, kill(0).dead), (Some(5), 1, false));
        assert_eq!((wait(&kill(1)), kill(1).kills, kill(1).dead), (Some(15), 2, false));
        let mut last = kill(2);
        assert!(last.dead && last.next.is_none());
        assert!(last.message.starts_with("it has brought its host down three times; not tried again until "));
        assert!(last.message.ends_with(": the CPU limit of 2 s was reached"), "{}", last.message);
        assert!(kill(3).dead, "a person asked, and it did it again");
        last.give_attempt_back(Reason::Provision, Trigger::Retry, 3, now());
        assert!(last.dead, "no breaker revives it");
    }

    #[test]
    fn an_interrupted_run_counts_no_attempt() {
        let conclusion = conclude(&RUN, Ending::Interrupted("stopped".into()), &policy(), now(), 0.5);
        assert_eq!((conclusion.message.as_str(), conclusion.dead), ("interrupted: stopped", false));
        assert_eq!(conclusion.next.unwrap().attempts, 0);
        assert!(conclusion.present, "a call was made: something may be there");
    }

    #[test]
    fn a_subject_that_came_back_is_provisioned_again() {
        let run = RunFacts { reason: Reason::Deprovision, trigger: Trigger::LeftFilter, ..RUN };
        let conclusion = after(&run, json!({"status": "deprovisioned"}));
        assert!(!conclusion.present && !conclusion.done);
        assert_eq!(conclusion.next.unwrap().trigger, Trigger::EnteredFilter);
        let asked = RunFacts { trigger: Trigger::Logic, ..run };
        assert_eq!(after(&asked, json!({"status": "deprovisioned"})).next, None);
    }

    #[test]
    fn a_deprovision_that_logic_asked_for_is_not_undone_by_its_retry() {
        let run = RunFacts { reason: Reason::Deprovision, trigger: Trigger::Logic, ..RUN };
        let end = Ending::Failed { message: "x".into(), class: ErrorClass::Transient, retry_after: None };
        let next = conclude(&run, end, &policy(), now(), 0.5).next.unwrap();
        assert_eq!((next.trigger, next.deprovision), (Trigger::Logic, true));
        let ongoing = after(&run, json!({"status": "provisionOngoing"})).next.unwrap();
        let last = RunFacts { trigger: ongoing.trigger, ..run };
        assert_eq!(after(&last, json!({"status": "deprovisioned"})).next, None);
    }

    proptest! {
        /// Poison ends, whatever the retry policy allows; and no later than that.
        #[test]
        fn poison_ends_soon(max_attempts in 1_u32..30, jitter in 0.0_f64..1.0) {
            let retry = RetryPolicy { max_attempts, ..RetryPolicy::default() };
            let policy = Policy { retry, ..policy() };
            let (mut run, mut times) = (RUN, 0);
            loop {
                let conclusion = conclude(&run, Ending::Killed("x".into()), &policy, now(), jitter);
                times += 1;
                prop_assert_eq!(conclusion.dead, conclusion.next.is_none());
                let Some(next) = conclusion.next else { break };
                run = RunFacts { attempt: next.attempts + 1, kills: conclusion.kills, ..run };
            }
            prop_assert_eq!(times, max_attempts.min(MAX_KILLS));
        }

        /// Whatever happens, a failure either has a next run or is a dead letter.
        #[test]
        fn nothing_is_dropped_silently(
            class in proptest::sample::select(ErrorClass::ALL), attempt in 1_u32..30, jitter in 0.0_f64..1.0,
        ) {
            let run = RunFacts { attempt, ..RUN };
            let end = Ending::Failed { message: "x".into(), class, retry_after: None };
            let conclusion = conclude(&run, end, &policy(), now(), jitter);
            prop_assert_eq!(conclusion.dead, conclusion.next.is_none());
            prop_assert!(conclusion.next.is_none_or(|next| next.at > now()));
        }
    }
}
