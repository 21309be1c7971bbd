//! Whether logic may write to an account: targets whose logic answers each other's
//! write-backs would go on for ever, a hundred times a second.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Conclusion, Next};
use crate::domain::ids::TargetId;
use crate::domain::status::{Reason, Trigger};

/// How often an attribute may pass from one target to another and back, within
/// [`MEMORY`], while nobody else changes the account.
const MAX_TURNS: u32 = 3;
/// How long it is remembered that an attribute passed from target to target.
const MEMORY: TimeDelta = TimeDelta::hours(1);
/// Write-backs to one account in a row, while nobody else changes it.
const MAX_ROUNDS: i32 = 20;
/// Beyond that, one in so long.
const ROUND: TimeDelta = TimeDelta::minutes(1);

/// Which target wrote an attribute last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// The target.
    pub by: TargetId,
    /// How often it passed to another target lately.
    pub turns: u32,
    /// When it last did, in seconds since 1970.
    pub at: i64,
}

/// What is known of the write-backs to an account since somebody else changed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBacks {
    /// By attribute.
    pub writers: BTreeMap<String, Writer>,
    /// How far ahead of the clock the write-backs are, each counting a round.
    pub until: Option<DateTime<Utc>>,
}

/// Why attributes are not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Another target writes the attribute as well.
    Taken {
        /// The attribute.
        attribute: String,
        /// The other target.
        by: TargetId,
    },
    /// Too many in a row.
    TooMany {
        /// It may go on then.
        until: DateTime<Utc>,
    },
}

impl WriteBacks {
    /// The other targets that wrote these attributes last.
    pub fn rivals<'a>(&self, by: TargetId, names: impl Iterator<Item = &'a str>) -> BTreeSet<TargetId> {
        let writers = names.filter_map(|name| self.writers.get(name));
        writers.map(|writer| writer.by).filter(|other| *other != by).collect()
    }

    /// All targets that wrote attributes.
    pub fn targets(&self) -> BTreeSet<TargetId> {
        self.writers.values().map(|writer| writer.by).collect()
    }

    /// What is known after `by` has changed these attributes, if it may. `rivals`
    /// are those of [`Self::rivals`] that still have the account: what others wrote
    /// is free. Only what answers a change counts as a round: logic that runs by the
    /// clock sets its own pace.
    pub fn after<'a>(
        &self,
        by: TargetId,
        names: impl Iterator<Item = &'a str>,
        rivals: &BTreeSet<TargetId>,
        trigger: Trigger,
        now: DateTime<Utc>,
    ) -> Result<Self, Refusal> {
        let mut after = self.clone();
        for name in names {
            let before = self.writers.get(name).filter(|writer| writer.by != by);
            let turns = match before {
                None => self.writers.get(name).map_or(0, |writer| writer.lately(now)),
                Some(writer) if rivals.contains(&writer.by) => writer.lately(now) + 1,
                Some(_) => 0,
            };
            if turns > MAX_TURNS {
                let by = before.map_or(by, |writer| writer.by);
                return Err(Refusal::Taken { attribute: name.to_owned(), by });
            }
            let at = match before {
                None => self.writers.get(name).map_or(now.timestamp(), |writer| writer.at),
                Some(_) => now.timestamp(),
            };
            after.writers.insert(name.to_owned(), Writer { by, turns, at });
        }
        if answers_a_change(trigger) {
            let begin = self.until.map_or(now, |until| until.max(now));
            let free = begin - ROUND * (MAX_ROUNDS - 1);
            if free > now {
                return Err(Refusal::TooMany { until: free });
            }
            after.until = Some(begin + ROUND);
        }
        Ok(after)
    }
}

impl Writer {
    fn lately(self, now: DateTime<Utc>) -> u32 {
        if now.timestamp() - self.at > MEMORY.num_seconds() { 0 } else { self.turns }
    }
}

fn answers_a_change(trigger: Trigger) -> bool {
    match trigger {
        Trigger::Schedule | Trigger::Manual | Trigger::Force | Trigger::Enabled | Trigger::FilterChanged => {
            false
        }
        Trigger::Created
        | Trigger::Updated
        | Trigger::Deleted
        | Trigger::MembershipChanged
        | Trigger::EnteredFilter
        | Trigger::LeftFilter
        | Trigger::Retry
        | Trigger::Logic
        | Trigger::Dependency => true,
    }
}

impl Refusal {
    /// What to say; `name` tells the name of a target, and `all` are those whose
    /// write-backs met at the account.
    pub fn sentence(
        &self,
        by: TargetId,
        all: &BTreeSet<TargetId>,
        name: impl Fn(TargetId) -> String,
    ) -> String {
        match self {
            Self::Taken { attribute, by: other } => {
                let (own, other) = (name(by), name(*other));
                format!(
                    "`{attribute}` is not written back: the targets `{other}` and `{own}` both write it, and \
                     have overwritten each other {MAX_TURNS} times within an hour; let only one of them write it"
                )
            }
            Self::TooMany { until } => {
                let names: Vec<String> = all.iter().map(|target| format!("`{}`", name(*target))).collect();
                let cause = if names.len() > 1 {
                    "answer each other's write-backs"
                } else {
                    "writes something new in every run"
                };
                format!(
                    "the write-back waits until {}: logic has changed this account {MAX_ROUNDS} times in a row \
                     while nobody else did, and more than once a minute since; look whether {} {cause}",
                    until.to_rfc3339_opts(SecondsFormat::Secs, true),
                    names.join(", ")
                )
            }
        }
    }

    /// What is recorded in place of `meant`: `failed` is how a failure of that run
    /// would have been concluded. What the external system has and what is known of
    /// it stays; what waits costs no attempt.
    pub fn conclude(
        &self,
        meant: &Conclusion,
        failed: &Conclusion,
        message: String,
        (reason, attempt): (Reason, u32),
    ) -> Conclusion {
        let concluded = Conclusion {
            message,
            present: meant.present || failed.present,
            remote_id: meant.remote_id.clone(),
            metadata: meant.metadata.clone(),
            ..failed.clone()
        };
        let Self::TooMany { until } = self else { return concluded };
        let trigger = failed.next.as_ref().map_or(Trigger::Retry, |next| next.trigger);
        let next = Next {
            at: *until,
            trigger,
            deprovision: reason == Reason::Deprovision,
            attempts: attempt.saturating_sub(1),
        };
        Conclusion { dead: false, next: Some(next), ..concluded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: TargetId = TargetId(1);
    const B: TargetId = TargetId(2);

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn write(before: &WriteBacks, by: TargetId, at: i64, rivals: &[TargetId]) -> Result<WriteBacks, Refusal> {
        let rivals = rivals.iter().copied().collect();
        before.after(by, ["mail"].into_iter(), &rivals, Trigger::Updated, now() + TimeDelta::seconds(at))
    }

    #[test]
    fn two_targets_that_overwrite_each_other_are_stopped_and_named() {
        let mut known = WriteBacks::default();
        let mut by = [A, B].into_iter().cycle();
        let refused = loop {
            let next = by.next().unwrap();
            match write(&known, next, 0, &[A, B]) {
                Ok(after) => known = after,
                Err(refused) => break (next, refused),
            }
        };
        assert_eq!(refused, (A, Refusal::Taken { attribute: "mail".into(), by: B }));
        assert_eq!(known.writers["mail"].turns, 3, "it changed hands three times");
        let sentence =
            refused.1.sentence(A, &known.targets(), |id| if id == A { "hr" } else { "crm" }.into());
        assert!(sentence.starts_with("`mail` is not written back: the targets `crm` and `hr` both write it"));
        // The one that has it may go on, and the other one again after an hour.
        assert!(write(&known, B, 0, &[]).is_ok());
        assert!(write(&known, A, 3_600, &[B]).is_err());
        assert!(write(&known, A, 3_601, &[B]).is_ok());
    }

    /// Set on creation by one, cleared on removal by another; a target that was
    /// deleted or has the account no more; another attribute.
    #[test]
    fn an_attribute_may_change_hands() {
        let first = write(&WriteBacks::default(), A, 0, &[]).unwrap();
        assert_eq!(write(&first, B, 1, &[A]).unwrap().writers["mail"].turns, 1);
        let moved = write(&first, B, 1, &[]).unwrap();
        assert_eq!(moved.writers["mail"], Writer { by: B, turns: 0, at: now().timestamp() + 1 });
        let other = first.after(B, ["phone"].into_iter(), &BTreeSet::new(), Trigger::Updated, now()).unwrap();
        assert_eq!(other.targets(), BTreeSet::from([A, B]));
        assert_eq!(first.rivals(B, ["mail", "phone"].into_iter()), BTreeSet::from([A]));
        assert_eq!(first.rivals(A, ["mail"].into_iter()), BTreeSet::new());
    }

    #[test]
    fn rounds_beyond_the_first_are_a_minute_apart() {
        let mut known = WriteBacks::default();
        for _ in 0..MAX_ROUNDS {
            known = write(&known, A, 0, &[]).unwrap();
        }
        let refused = write(&known, A, 0, &[]).unwrap_err();
        assert_eq!(refused, Refusal::TooMany { until: now() + ROUND });
        assert!(write(&known, A, 59, &[]).is_err());
        assert!(write(&known, A, 60, &[]).is_ok());
        // By the clock, it sets its own pace.
        let names = || ["mail"].into_iter();
        for trigger in [Trigger::Schedule, Trigger::Manual, Trigger::Force] {
            let after = known.after(A, names(), &BTreeSet::new(), trigger, now()).unwrap();
            assert_eq!(after.until, known.until);
        }
        // Somebody else has changed the account.
        assert!(write(&WriteBacks { until: None, ..known }, A, 0, &[]).is_ok());
    }

    proptest! {
        /// However targets answer each other: in any time, so many versions and no more.
        #[test]
        fn versions_made_by_write_backs_are_bounded(
            steps in prop::collection::vec((1_i64..4, 0_i64..90, "[ab]"), 1..200),
        ) {
            let (mut known, mut at) = (WriteBacks::default(), 0);
            let mut versions = 0_i64;
            let rivals = (1..4).map(TargetId).collect();
            for (by, wait, name) in steps {
                at += wait;
                let then = now() + TimeDelta::seconds(at);
                let written = known.after(TargetId(by), [name.as_str()].into_iter(), &rivals, Trigger::Updated, then);
                if let Ok(after) = written {
                    known = after;
                    versions += 1;
                }
                prop_assert!(versions <= i64::from(MAX_ROUNDS) + at / 60);
                prop_assert!(known.writers.values().all(|writer| writer.turns <= MAX_TURNS));
            }
        }
    }
}
