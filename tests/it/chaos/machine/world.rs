//! A source, an external system and a node between them, over any queue.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use provisiond::domain::response::Response;
use provisiond::domain::status::{ErrorClass, ProvisionStatus, Reason, Trigger};
use provisiond::domain::target::RetryPolicy;
use provisiond::plan::{
    Conclusion, Decision, Ending, Known, Policy, RunFacts, Scope, Work, conclude, decide,
};
use serde_json::json;

use super::command::{Command, End, NAMES, WHO};
use crate::support::queue::done;

/// What a claim says.
#[derive(Debug, Clone)]
pub struct Taken {
    pub who: usize,
    pub scope: Scope,
    pub work: Work,
    pub known: Known,
    pub attempt: u32,
    pub change_seq: i64,
    pub fence: i64,
    /// The name that it had when it was claimed.
    pub name: usize,
    /// The name under which the external system has it, as far as is known.
    pub remote: Option<usize>,
}

/// A row of the queue and the state beside it, as far as they decide anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub row: Option<SeenRow>,
    pub state: Option<SeenState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenRow {
    pub owned: bool,
    pub due: bool,
    pub deprovision: bool,
    pub attempts: i32,
    pub priority: i16,
    pub trigger: Trigger,
    /// For whom it waits.
    pub waits_for: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenState {
    pub status: ProvisionStatus,
    pub present: bool,
    pub in_scope: bool,
    pub done_version: i64,
    pub dead: bool,
    pub taken_version: i64,
    pub remote: Option<usize>,
}

/// What storage does, for real or as a model.
pub trait Queue {
    fn write(&mut self, who: usize, member: bool, name: usize);
    fn delete(&mut self, who: usize);
    fn force(&mut self);
    fn sync(&mut self, who: usize);
    /// All that is due and may run, by account.
    fn claim(&mut self) -> Vec<Taken>;
    /// With what is recorded instead when the remote id is another's.
    fn complete(&mut self, taken: &Taken, conclusion: Conclusion, refused: Option<Conclusion>);
    fn release(&mut self, taken: &[Taken]);
    fn release_unknown(&mut self, known: &[usize]);
    /// The node starts again after it died.
    fn take_over(&mut self);
    fn lapse(&mut self);
    fn tick(&mut self);
    fn seen(&mut self, who: usize) -> Seen;
}

/// The source's record of an account.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    version: i64,
    member: bool,
    deleted: bool,
    name: usize,
}

impl Source {
    const fn is_wanted(self) -> bool {
        self.version > 0 && self.member && !self.deleted
    }
}

pub struct World<Q> {
    pub queue: Q,
    source: [Source; WHO],
    /// What the external system has by name: whose it is, and its version. It does
    /// what it is told about a name, whoever bears it by now.
    remote: [Option<(usize, i64)>; NAMES],
    newest_call: [i64; WHO],
    /// It left while the external system had it.
    must_leave: [bool; WHO],
    hand: Vec<Taken>,
}

fn policy() -> Policy {
    let hour = Duration::from_secs(3_600);
    let retry = RetryPolicy { first_delay_secs: 3_600, max_delay_secs: 3_600, max_attempts: 1_000 };
    Policy { retry, run_again_floor: hour, poll_interval: hour }
}

impl<Q: Queue> World<Q> {
    pub fn new(queue: Q) -> Self {
        Self {
            queue,
            source: Default::default(),
            remote: Default::default(),
            newest_call: Default::default(),
            must_leave: Default::default(),
            hand: Vec::new(),
        }
    }

    pub fn step(&mut self, command: Command) -> TestCaseResult {
        match command {
            Command::Write(who, member) if !self.source[who].deleted => {
                let free = (0..NAMES).find(|name| self.is_free(*name)).unwrap_or(0);
                let name = if self.lives(who) { self.source[who].name } else { free };
                self.write(who, member, name);
            }
            Command::Rename(who, name) if self.lives(who) && self.is_free(name) => {
                self.write(who, self.source[who].member, name);
            }
            Command::Delete(who) if self.lives(who) => self.delete(who),
            Command::Sync(who) if self.lives(who) => self.queue.sync(who),
            Command::Write(..) | Command::Rename(..) | Command::Delete(_) | Command::Sync(_) => {}
            Command::Force => self.queue.force(),
            Command::Claim => self.claim()?,
            Command::Finish(which, end) if !self.hand.is_empty() => {
                let taken = self.hand.remove(which % self.hand.len());
                self.finish(&taken, end)?;
            }
            Command::Finish(..) => {}
            Command::Die(called) => {
                self.break_off(called)?;
                self.queue.take_over();
            }
            Command::Lapse(called) => {
                self.break_off(called)?;
                self.queue.lapse();
            }
            Command::Lost => {
                self.queue.claim();
                let known: Vec<usize> = self.hand.iter().map(|taken| taken.who).collect();
                self.queue.release_unknown(&known);
            }
            Command::GiveBack => self.queue.release(&std::mem::take(&mut self.hand)),
            Command::Tick => self.queue.tick(),
        }
        Ok(())
    }

    fn lives(&self, who: usize) -> bool {
        self.source[who].version > 0 && !self.source[who].deleted
    }

    fn is_free(&self, name: usize) -> bool {
        !(0..WHO).any(|who| self.lives(who) && self.source[who].name == name)
    }

    fn has(&self, who: usize) -> bool {
        self.remote.iter().flatten().any(|(other, _)| *other == who)
    }

    fn write(&mut self, who: usize, member: bool, name: usize) {
        self.queue.write(who, member, name);
        self.becomes(who, Source { version: self.source[who].version + 1, member, deleted: false, name });
    }

    fn delete(&mut self, who: usize) {
        self.queue.delete(who);
        let before = self.source[who];
        self.becomes(who, Source { version: before.version + 1, deleted: true, ..before });
    }

    fn becomes(&mut self, who: usize, after: Source) {
        let leaves = self.source[who].is_wanted() && !after.is_wanted();
        self.must_leave[who] |= leaves && self.has(who);
        self.source[who] = after;
    }

    fn claim(&mut self) -> TestCaseResult {
        for taken in self.queue.claim() {
            let twice = self.hand.iter().any(|other| other.who == taken.who);
            prop_assert!(!twice, "account {} runs twice at once", taken.who);
            self.hand.push(taken);
        }
        Ok(())
    }

    fn break_off(&mut self, called: bool) -> TestCaseResult {
        for taken in std::mem::take(&mut self.hand) {
            if let Decision::Run { reason, .. } = decide(taken.work, taken.known, taken.scope)
                && called
            {
                self.call(&taken, reason)?;
            }
        }
        Ok(())
    }

    fn call(&mut self, taken: &Taken, reason: Reason) -> TestCaseResult {
        let who = taken.who;
        prop_assert!(taken.scope.version >= self.newest_call[who], "account {who} goes back");
        self.newest_call[who] = taken.scope.version;
        for held in &mut self.remote {
            *held = held.filter(|(other, _)| *other != who);
        }
        self.remote[taken.remote.unwrap_or(taken.name)] = None;
        match reason {
            Reason::Provision => self.remote[taken.name] = Some((who, taken.scope.version)),
            Reason::Deprovision => self.must_leave[who] = false,
        }
        Ok(())
    }

    fn finish(&mut self, taken: &Taken, end: End) -> TestCaseResult {
        let record = |status| done(status, taken.known.present);
        let kept = taken.known.status;
        let mut refused = None;
        let conclusion = match decide(taken.work, taken.known, taken.scope) {
            Decision::NotNeeded => {
                let kept = kept.filter(|status| *status == ProvisionStatus::Deprovisioned);
                record(kept.unwrap_or(ProvisionStatus::ProvisionNotNeeded))
            }
            Decision::Settled => record(kept.unwrap_or(ProvisionStatus::Provisioned)),
            Decision::Run { reason, trigger } => {
                let (conclusion, instead) = self.run(taken, reason, trigger, end)?;
                let is_new = taken.remote != Some(taken.name) || !taken.known.present;
                refused = Some(instead).filter(|_| is_new && conclusion.remote_id.is_some());
                conclusion
            }
        };
        self.queue.complete(taken, conclusion, refused);
        Ok(())
    }

    fn run(
        &mut self,
        taken: &Taken,
        reason: Reason,
        trigger: Trigger,
        end: End,
    ) -> Result<(Conclusion, Conclusion), TestCaseError> {
        let called = match end {
            End::Done | End::Again | End::Ongoing => true,
            End::Transient(called) | End::Interrupted(called) => called,
            End::Permanent => false,
        };
        if called {
            self.call(taken, reason)?;
        }
        if matches!(end, End::Permanent) && reason == Reason::Deprovision {
            // A dead letter, for a person to see.
            self.must_leave[taken.who] = false;
        }
        let facts = RunFacts {
            reason,
            trigger,
            attempt: taken.attempt,
            status_before: taken.known.status.unwrap_or(ProvisionStatus::Pending),
            present_before: taken.known.present,
            wanted: taken.scope.is_wanted(),
            made_calls: called,
            kills: 0,
        };
        let conclude = |end| conclude(&facts, end, &policy(), Utc::now(), 0.5);
        Ok((conclude(ending(end, reason, taken.name)), conclude(failed(ErrorClass::Logic))))
    }

    /// Dead letters are retried, everything comes to rest and is as it should be.
    pub fn judge(&mut self) -> TestCaseResult {
        for who in 0..WHO {
            let seen = self.queue.seen(who);
            if seen.row.is_none() && seen.state.is_some_and(|state| state.dead) {
                self.queue.sync(who);
            }
        }
        for _ in 0..40 {
            while let Some(taken) = self.hand.pop() {
                self.finish(&taken, End::Done)?;
            }
            self.queue.tick();
            self.claim()?;
        }
        for who in 0..WHO {
            let (seen, source) = (self.queue.seen(who), self.source[who]);
            prop_assert_eq!(seen.row, None, "account {} does not come to rest", who);
            let wanted = source.is_wanted().then_some((source.name, source.version));
            let held = self.remote.iter().enumerate().filter_map(|(name, held)| Some((name, (*held)?)));
            let mut held =
                held.filter(|(_, (other, _))| *other == who).map(|(name, (_, version))| (name, version));
            prop_assert_eq!(held.next(), wanted, "account {}: {:?}", who, seen);
            prop_assert!(!self.must_leave[who], "account {who} left and was not deprovisioned");
        }
        Ok(())
    }
}

fn ending(end: End, reason: Reason, name: usize) -> Ending {
    let fine = if reason == Reason::Provision { "provisioned" } else { "deprovisioned" };
    let mut answer = match end {
        End::Done => json!({ "status": fine }),
        End::Again => json!({ "status": fine, "runAgainIn": 3_600 }),
        End::Ongoing => json!({ "status": "provisionOngoing" }),
        End::Transient(_) => return failed(ErrorClass::Transient),
        End::Permanent => return failed(ErrorClass::Permanent),
        End::Interrupted(_) => return Ending::Interrupted("stopped".into()),
    };
    if reason == Reason::Provision {
        answer["remoteId"] = json!(name_of(name));
    }
    Ending::Answered { response: Response::read(&answer, reason).unwrap(), retry_after: None }
}

fn failed(class: ErrorClass) -> Ending {
    Ending::Failed { message: "as the test wants it".into(), class, retry_after: None }
}

/// A name as accounts bear it.
pub fn name_of(name: usize) -> String {
    format!("name{name}")
}

/// The other way round.
pub fn name_from(text: &str) -> usize {
    text.trim_start_matches("name").parse().unwrap()
}

/// Whether a time has come.
pub fn has_come(at: DateTime<Utc>) -> bool {
    at <= Utc::now()
}
