//! From due work to a decision.

use crate::domain::status::{ProvisionStatus, Reason, Trigger};

/// What is known of a subject at a target from earlier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Known {
    /// How the last run ended, `None` before the first.
    pub status: Option<ProvisionStatus>,
    /// The external system may hold something for the subject.
    pub present: bool,
    /// It was in scope when last looked at.
    pub in_scope: bool,
    /// The newest version that a run has finished.
    pub done_version: i64,
}

/// The due work, as the queue holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Why it is due.
    pub trigger: Trigger,
    /// A deprovision was called for, and must run even if the subject has come
    /// back into scope since.
    pub deprovision: bool,
}

/// The subject as it stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Its version.
    pub version: i64,
    /// It is a tombstone.
    pub deleted: bool,
    /// It matches the target's filter.
    pub matches: bool,
}

impl Scope {
    /// Whether the external system should hold it.
    pub fn is_wanted(&self) -> bool {
        self.matches && !self.deleted
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Run logic.
    Run {
        /// With this reason.
        reason: Reason,
        /// And this trigger, more exact than the queue's.
        trigger: Trigger,
    },
    /// Out of scope and nothing to remove: record that, run nothing.
    NotNeeded,
    /// This version was done before: drop the work.
    Settled,
}

/// Decides what to do about due work.
pub fn decide(work: Work, known: Known, scope: Scope) -> Decision {
    let asked_by_logic = work.trigger == Trigger::Logic;
    if work.deprovision && (known.present || asked_by_logic) {
        return Decision::Run { reason: Reason::Deprovision, trigger: leaving(work, scope) };
    }
    if !scope.is_wanted() {
        return if known.present {
            Decision::Run { reason: Reason::Deprovision, trigger: leaving(work, scope) }
        } else {
            Decision::NotNeeded
        };
    }
    let settled = known.in_scope && known.done_version >= scope.version;
    if settled && !work.trigger.must_run() {
        return Decision::Settled;
    }
    Decision::Run { reason: Reason::Provision, trigger: entering(work, known) }
}

fn leaving(work: Work, scope: Scope) -> Trigger {
    match work.trigger {
        kept @ (Trigger::Retry | Trigger::Logic | Trigger::Schedule | Trigger::FilterChanged) => kept,
        _ if scope.deleted => Trigger::Deleted,
        Trigger::LeftFilter | Trigger::Manual => work.trigger,
        _ if !scope.matches || work.deprovision => Trigger::LeftFilter,
        other => other,
    }
}

fn entering(work: Work, known: Known) -> Trigger {
    let comes_back = known.status.is_some() && !known.in_scope;
    match work.trigger {
        Trigger::Updated | Trigger::MembershipChanged | Trigger::LeftFilter if comes_back => {
            Trigger::EnteredFilter
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn work(trigger: Trigger) -> Work {
        Work { trigger, deprovision: false }
    }

    const HERE: Scope = Scope { version: 3, deleted: false, matches: true };
    const HELD: Known =
        Known { status: Some(ProvisionStatus::Provisioned), present: true, in_scope: true, done_version: 3 };

    #[test]
    fn a_new_subject_is_provisioned() {
        let decision = decide(work(Trigger::Created), Known::default(), HERE);
        assert_eq!(decision, Decision::Run { reason: Reason::Provision, trigger: Trigger::Created });
    }

    #[test]
    fn a_version_is_done_once_unless_a_person_asks() {
        assert_eq!(decide(work(Trigger::Updated), HELD, HERE), Decision::Settled);
        let forced = decide(work(Trigger::Force), HELD, HERE);
        assert_eq!(forced, Decision::Run { reason: Reason::Provision, trigger: Trigger::Force });
    }

    #[test]
    fn leaving_and_deleting_deprovision_what_is_present() {
        let outside = Scope { matches: false, ..HERE };
        let left = decide(work(Trigger::Updated), HELD, outside);
        assert_eq!(left, Decision::Run { reason: Reason::Deprovision, trigger: Trigger::LeftFilter });
        let gone = Scope { deleted: true, ..HERE };
        let deleted = decide(work(Trigger::Deleted), HELD, gone);
        assert_eq!(deleted, Decision::Run { reason: Reason::Deprovision, trigger: Trigger::Deleted });
        assert_eq!(decide(work(Trigger::Deleted), Known::default(), gone), Decision::NotNeeded);
    }

    #[test]
    fn a_deprovision_called_for_runs_although_the_subject_came_back() {
        let sticky = Work { trigger: Trigger::EnteredFilter, deprovision: true };
        let decision = decide(sticky, HELD, HERE);
        assert!(matches!(decision, Decision::Run { reason: Reason::Deprovision, .. }));
        let nothing_there = Known { present: false, ..HELD };
        let decision = decide(sticky, Known { in_scope: false, ..nothing_there }, HERE);
        assert!(matches!(decision, Decision::Run { reason: Reason::Provision, .. }));
    }

    proptest! {
        /// What is present and unwanted is always deprovisioned, and nothing
        /// unwanted is ever provisioned.
        #[test]
        fn unwanted_subjects_are_never_provisioned(
            trigger in proptest::sample::select(Trigger::ALL),
            deprovision: bool, present: bool, in_scope: bool, done in 0_i64..5, version in 1_i64..5,
            deleted: bool, matches: bool,
        ) {
            let known = Known { status: None, present, in_scope, done_version: done };
            let scope = Scope { version, deleted, matches };
            let decision = decide(Work { trigger, deprovision }, known, scope);
            let runs = |wanted| matches!(decision, Decision::Run { reason, .. } if reason == wanted);
            if !scope.is_wanted() {
                prop_assert!(!runs(Reason::Provision));
                prop_assert!(!present || runs(Reason::Deprovision));
            } else if done < version && !deprovision {
                prop_assert!(runs(Reason::Provision));
            }
        }
    }
}
