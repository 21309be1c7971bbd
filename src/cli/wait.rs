//! `provisiond target wait`: until a target has done what it had to do, and what
//! it has not done.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::Failure;
use super::client::Client;
use super::print::show_on;

/// How often the target is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How long, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Also for what is ongoing, is to be tried again or waits for other targets.
    pub settled: bool,
    /// No longer than that.
    pub most: Option<Duration>,
}

/// Shows a bar until nothing is due and no sweep makes more work; answers with
/// the last status.
pub async fn until_done(client: &Client, id: &str, patience: Patience) -> Result<Value, Failure> {
    let template = "{wide_bar} {pos}/{len} {per_sec} {eta} left {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    let begin = Instant::now();
    loop {
        let status = client.get(&format!("/targets/{id}/status")).await?;
        let left = Left::of(&status);
        let outstanding = if patience.settled { left.unsettled() } else { left.now() };
        bar.set_length(bar.length().unwrap_or(0).max(outstanding));
        bar.set_position(bar.length().unwrap_or(0) - outstanding);
        show_on(&bar, status["breaker"]["reason"].as_str().unwrap_or_default());
        if outstanding == 0 || left.stands_still.is_some() {
            bar.finish_and_clear();
            return Ok(status);
        }
        if patience.most.is_some_and(|most| begin.elapsed() >= most) {
            bar.abandon();
            return Err(Failure::Failed(format!(
                "{outstanding} accounts are left after the time that was given"
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Fails unless all is done; `target` as commands name it.
pub fn all_done(status: &Value, target: &str) -> Result<(), Failure> {
    Left::of(status).verdict(target)
}

/// What a target has still to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Left {
    /// Due or claimed.
    due: u64,
    /// A sweep has not come to them yet.
    unswept: u64,
    /// They asked to be run again before they are done.
    ongoing: u64,
    /// Those whose last run failed …
    failed: u64,
    /// … and is not tried again.
    dead: u64,
    /// Waiting for other targets.
    blocked: u64,
    /// Removals that wait for a person.
    held: u64,
    /// Why nothing will happen.
    stands_still: Option<&'static str>,
}

impl Left {
    fn of(status: &Value) -> Self {
        let count = |value: &Value| value.as_u64().unwrap_or(0);
        Self {
            due: count(&status["backlog"]),
            unswept: unswept(&status["sweep"]),
            ongoing: count(&status["counts"]["provisionOngoing"]),
            failed: count(&status["counts"]["provisionFailed"]),
            dead: count(&status["deadLetters"]),
            blocked: count(&status["blocked"]),
            held: count(&status["held"]["waiting"]),
            stands_still: standstill(status),
        }
    }

    fn now(&self) -> u64 {
        self.due + self.unswept
    }

    /// A failure that is due again stands in both; nobody is counted too few.
    fn unsettled(&self) -> u64 {
        self.now() + self.ongoing + self.failed.saturating_sub(self.dead) + self.blocked
    }

    fn verdict(&self, target: &str) -> Result<(), Failure> {
        let mut sentences = Vec::new();
        let mut hints = Vec::new();
        if let Some(why) = self.stands_still.filter(|why| *why == DISABLED || self.unsettled() > 0) {
            sentences.push(format!("the target is {why} with {} accounts to go", self.unsettled()));
        }
        if self.failed > 0 {
            let retried = self.failed.saturating_sub(self.dead);
            sentences.push(format!("{} accounts failed, {retried} of them are tried again", self.failed));
            hints.push(format!("`provisiond target dead {target}` shows what is not tried again"));
        }
        if self.ongoing > 0 {
            sentences.push(format!("{} accounts are ongoing", self.ongoing));
        }
        if self.blocked > 0 {
            sentences.push(format!("{} accounts wait for other targets", self.blocked));
        }
        if self.held > 0 {
            sentences.push(format!("{} removals wait for someone to approve or reject them", self.held));
            hints.push(format!("see `provisiond target held {target}`"));
        }
        if self.unsettled() > 0 && self.stands_still.is_none() {
            hints.push(format!("`provisiond target wait --settled {target}` waits for them"));
        }
        let message =
            sentences.join("; ") + &hints.iter().map(|hint| format!("\nhint: {hint}")).collect::<String>();
        match (sentences.is_empty(), self.stands_still.is_none() && self.failed > 0) {
            (true, _) => Ok(()),
            (_, true) => Err(Failure::Failed(message)),
            _ => Err(Failure::Conflict(message)),
        }
    }
}

const DISABLED: &str = "disabled";

/// `disabled`, `paused` or nothing.
pub fn standstill(status: &Value) -> Option<&'static str> {
    match () {
        () if status["enabled"] != true || status["mode"] == DISABLED => Some(DISABLED),
        () if status["paused"] == true => Some("paused"),
        () => None,
    }
}

/// What an open sweep has not come to. A paused one may stay so.
fn unswept(sweep: &Value) -> u64 {
    let moves = matches!(sweep["state"].as_str(), Some("running" | "resuming" | "cancelling"));
    if !moves || !sweep["finishedAt"].is_null() {
        return 0;
    }
    let count = |name: &str| sweep[name].as_u64().unwrap_or(0);
    count("total").saturating_sub(count("enqueued")).max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Exit code and message; a status that says nothing is that of a target
    /// with nothing to do.
    fn verdict(more: Value) -> (u8, String) {
        let mut status = json!({ "enabled": true, "mode": "immediate", "paused": false });
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match all_done(&status, "crm") {
            Ok(()) => (0, String::new()),
            Err(Failure::Failed(message)) => (1, message),
            Err(Failure::Conflict(message)) => (4, message),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_left_is_said() {
        for (status, code, said) in [
            (json!({ "counts": { "provisioned": 9 }, "scheduled": 9 }), 0, ""),
            (json!({ "enabled": false }), 4, "the target is disabled with 0 accounts to go"),
            (json!({ "mode": "disabled", "backlog": 3 }), 4, "the target is disabled with 3 accounts to go"),
            (json!({ "paused": true }), 0, ""),
            (json!({ "paused": true, "backlog": 3 }), 4, "the target is paused with 3 accounts to go"),
            (json!({ "counts": { "provisionOngoing": 1200 } }), 4, "1200 accounts are ongoing"),
            (json!({ "blocked": 2 }), 4, "2 accounts wait for other targets"),
            (json!({ "held": { "waiting": 5 } }), 4, "5 removals wait for someone to approve or reject them"),
            (
                json!({ "counts": { "provisionFailed": 7 }, "deadLetters": 4 }),
                1,
                "7 accounts failed, 3 of them are tried again",
            ),
            (
                json!({ "counts": { "provisionFailed": 1, "provisionOngoing": 1 }, "deadLetters": 1 }),
                1,
                "1 accounts failed, 0 of them are tried again; 1 accounts are ongoing",
            ),
        ] {
            let (exit, message) = verdict(status.clone());
            assert_eq!((exit, message.lines().next().unwrap_or_default()), (code, said), "{status}");
        }
        let (_, message) = verdict(json!({ "counts": { "provisionOngoing": 1 } }));
        assert!(
            message.ends_with("\nhint: `provisiond target wait --settled crm` waits for them"),
            "{message}"
        );
    }

    #[test]
    fn what_a_sweep_has_not_come_to_is_due() {
        let sweep = |state: &str, finished: Value| {
            unswept(&json!({ "state": state, "finishedAt": finished, "total": 10, "enqueued": 4 }))
        };
        assert_eq!(sweep("running", Value::Null), 6);
        assert_eq!(sweep("paused", Value::Null), 0);
        assert_eq!(sweep("running", json!("2026-11-28T12:00:00Z")), 0);
        assert_eq!(unswept(&Value::Null), 0);
    }
}
