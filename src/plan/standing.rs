//! How a subject stands at a target, in a word and a sentence for people.

use chrono::{DateTime, Utc};

use super::{Known, Scope};
use crate::domain::status::{ProvisionStatus, Trigger};
use crate::domain::target::Mode;

/// The due work of a subject at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Why it is due.
    pub trigger: Trigger,
    /// When.
    pub at: DateTime<Utc>,
    /// A node runs it now.
    pub running: bool,
}

/// Status and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The status to show.
    pub status: ProvisionStatus,
    /// One sentence.
    pub why: String,
}

/// Tells how a subject stands at a target. `dead` says that the last failure
/// will not be retried.
pub fn standing(
    mode: Mode,
    paused: bool,
    scope: Scope,
    known: Known,
    due: Option<Due>,
    dead: bool,
) -> Standing {
    let last = known.status;
    let status = match (due, last) {
        (Some(due), Some(last)) if due.trigger.continues() => last,
        (Some(_), _) => ProvisionStatus::Pending,
        (None, Some(last)) => last,
        (None, None) if scope.is_wanted() => ProvisionStatus::Pending,
        (None, None) => ProvisionStatus::ProvisionNotNeeded,
    };
    Standing { status, why: why(mode, paused, scope, known, due, dead) }
}

fn why(mode: Mode, paused: bool, scope: Scope, known: Known, due: Option<Due>, dead: bool) -> String {
    match due {
        Some(due) if due.running => format!("running now ({})", cause(due.trigger)),
        Some(due) if paused => format!("waits: the target is paused ({})", cause(due.trigger)),
        Some(due) if due.trigger == Trigger::Retry => "failed, and will be tried again".into(),
        Some(due) if due.trigger == Trigger::Schedule => "logic asked to run again".into(),
        Some(due) => format!("waits for its turn ({})", cause(due.trigger)),
        None => settled(mode, scope, known, dead),
    }
}

fn settled(mode: Mode, scope: Scope, known: Known, dead: bool) -> String {
    let behind = known.done_version < scope.version;
    let sentence = match known.status {
        _ if dead => "failed, and will not be tried again until something changes or someone syncs it",
        None if !scope.is_wanted() => "does not match the filter of the target",
        None if mode == Mode::Manual => {
            "in scope; the target is in manual mode and waits for someone to sync it"
        }
        None => "in scope; the target has not come to it yet",
        Some(_) if scope.is_wanted() && behind && mode == Mode::Manual => {
            "changed since the last run; the target is in manual mode"
        }
        Some(ProvisionStatus::Provisioned) => "up to date",
        Some(ProvisionStatus::Deprovisioned) if scope.deleted => "deleted here and removed there",
        Some(ProvisionStatus::Deprovisioned) => "out of scope and removed",
        Some(ProvisionStatus::ProvisionNotNeeded) if scope.is_wanted() => "logic says that nothing is needed",
        Some(ProvisionStatus::ProvisionNotNeeded) => "does not match the filter of the target",
        Some(_) => "see the runs",
    };
    sentence.into()
}

fn cause(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Created => "created",
        Trigger::Updated => "updated",
        Trigger::Deleted => "deleted",
        Trigger::MembershipChanged => "groups or organization changed",
        Trigger::EnteredFilter => "came into the filter",
        Trigger::LeftFilter => "left the filter",
        Trigger::FilterChanged => "the filter was edited",
        Trigger::Enabled => "the target was enabled",
        Trigger::Manual => "asked for by hand",
        Trigger::Force => "part of a force provision",
        Trigger::Schedule => "scheduled by logic",
        Trigger::Retry => "a retry",
        Trigger::Logic => "logic asked to deprovision",
        Trigger::Dependency => "a target that it depends on left something new",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Scope = Scope { version: 2, deleted: false, matches: true };
    const OUTSIDE: Scope = Scope { version: 2, deleted: false, matches: false };

    fn stand(scope: Scope, known: Known, due: Option<Trigger>) -> Standing {
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let due = due.map(|trigger| Due { trigger, at, running: false });
        standing(Mode::Immediate, false, scope, known, due, false)
    }

    #[test]
    fn a_subject_without_a_run_is_pending_or_not_needed() {
        assert_eq!(stand(WANTED, Known::default(), None).status, ProvisionStatus::Pending);
        assert_eq!(stand(OUTSIDE, Known::default(), None).status, ProvisionStatus::ProvisionNotNeeded);
    }

    #[test]
    fn a_new_change_is_pending_and_a_retry_stays_failed() {
        let failed = Known { status: Some(ProvisionStatus::ProvisionFailed), ..Known::default() };
        assert_eq!(stand(WANTED, failed, Some(Trigger::Updated)).status, ProvisionStatus::Pending);
        let retry = stand(WANTED, failed, Some(Trigger::Retry));
        assert_eq!(retry.status, ProvisionStatus::ProvisionFailed);
        assert_eq!(retry.why, "failed, and will be tried again");
    }
}
