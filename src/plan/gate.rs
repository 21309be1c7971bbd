//! Whether a run of one target may begin, or which other targets it waits for.
//!
//! `dependsOn` is strict: a subject waits until what is depended on has
//! provisioned it. `order` is not: a subject only lets the targets before it go
//! first that are about to run. Removals go the other way round.

use super::links::Tie;
use super::{Decision, Known, Scope, Work, decide};
use crate::domain::ids::TargetId;
use crate::domain::status::{ProvisionStatus, Reason, words};

/// Another target of the store, and how the same subject stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Which one.
    pub target: TargetId,
    /// How it is tied to the target that is about to run.
    pub tie: Tie,
    /// The engine serves it.
    pub served: bool,
    /// A node serves it, and it is neither paused nor slowed or quarantined.
    pub able: bool,
    /// The subject, by its filter.
    pub scope: Scope,
    /// What its runs left.
    pub known: Known,
    /// Its logic has said `provisioned`, and the subject was not removed since.
    pub provisioned: bool,
    /// Its due work.
    pub queued: Option<Queued>,
}

/// Work of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// What the queue says.
    pub work: Work,
    /// Due or running; neither waiting for its time nor for a person or another
    /// target.
    pub active: bool,
}

words!(
    /// Why one target waits for another.
    Obstacle {
        /// A change has come in there that has not run.
        Changing = "changing",
        /// Its runs have failed.
        Failed = "failed",
        /// Its external system still works on it.
        Ongoing = "ongoing",
        /// It has not provisioned the subject yet.
        Missing = "missing",
        /// It still holds a subject that it is to remove first.
        Holding = "holding",
        /// It comes first by its order.
        Order = "order",
    }
);

/// A target that another one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Which one.
    pub target: TargetId,
    /// Why.
    pub obstacle: Obstacle,
}

/// One sentence about what a subject waits for; `message` is what the last run
/// there said.
pub fn waits_for(target: &str, obstacle: Option<Obstacle>, message: &str) -> String {
    let colon = if message.is_empty() { "" } else { ": " };
    let because = match obstacle {
        Some(Obstacle::Changing) => ", which has a change to run first".into(),
        Some(Obstacle::Failed) => format!(", which failed{colon}{message}"),
        Some(Obstacle::Ongoing) => format!(", which is still at work{colon}{message}"),
        Some(Obstacle::Missing) => ", which has not provisioned it yet".into(),
        Some(Obstacle::Holding) => ", which depends on this one and still holds it".into(),
        Some(Obstacle::Order) => ", which comes first".into(),
        None => String::new(),
    };
    format!("waits for target `{target}`{because}")
}

/// What a run with this reason waits for; it may begin when that is nothing.
pub fn blocks(reason: Reason, neighbours: &[Neighbour]) -> Vec<Block> {
    let block = |neighbour: &Neighbour| {
        let obstacle = neighbour.obstacle(reason)?;
        Some(Block { target: neighbour.target, obstacle })
    };
    neighbours.iter().filter(|neighbour| neighbour.served).filter_map(block).collect()
}

impl Neighbour {
    fn obstacle(&self, reason: Reason) -> Option<Obstacle> {
        let strict = match reason {
            Reason::Provision if self.tie.needed => self.keeps_from_provisioning(),
            Reason::Deprovision if self.tie.dependent && self.is_leaving() => Some(Obstacle::Holding),
            _ => None,
        };
        strict.or_else(|| self.goes_first(reason).then_some(Obstacle::Order))
    }

    /// Out of its scope it has nothing to say.
    fn keeps_from_provisioning(&self) -> Option<Obstacle> {
        if !self.scope.is_wanted() {
            return None;
        }
        if self.queued.is_some_and(|queued| !queued.work.trigger.continues())
            && matches!(self.next(), Some(Decision::Run { .. }))
        {
            return Some(Obstacle::Changing);
        }
        match self.known.status {
            Some(ProvisionStatus::ProvisionOngoing) => Some(Obstacle::Ongoing),
            _ if self.provisioned => None,
            Some(ProvisionStatus::ProvisionFailed) => Some(Obstacle::Failed),
            // Its logic has looked at the subject and wants none of it.
            Some(ProvisionStatus::ProvisionNotNeeded | ProvisionStatus::Deprovisioned)
                if self.known.in_scope =>
            {
                None
            }
            _ => Some(Obstacle::Missing),
        }
    }

    /// It holds the subject and is to remove it. One that goes on wanting the
    /// subject never would, and is not waited for.
    fn is_leaving(&self) -> bool {
        let called_for = self.queued.is_some_and(|queued| queued.work.deprovision);
        self.known.present && (called_for || !self.scope.is_wanted())
    }

    /// By its order: only while it is about to do the same. What waits for its
    /// time, for a person or for a sick system holds nobody up.
    fn goes_first(&self, reason: Reason) -> bool {
        let before = match reason {
            Reason::Provision => self.tie.earlier,
            Reason::Deprovision => self.tie.later,
        };
        let same = matches!(self.next(), Some(Decision::Run { reason: next, .. }) if next == reason);
        before && same && self.able && self.queued.is_some_and(|queued| queued.active)
    }

    /// What its work comes to.
    fn next(&self) -> Option<Decision> {
        self.queued.map(|queued| decide(queued.work, self.known, self.scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::status::Trigger;
    use proptest::prelude::*;

    const NEEDED: Tie = Tie { needed: true, dependent: false, earlier: false, later: false };
    const DEPENDENT: Tie = Tie { needed: false, dependent: true, earlier: false, later: false };
    const EARLIER: Tie = Tie { needed: false, dependent: false, earlier: true, later: false };
    const WANTED: Scope = Scope { version: 2, deleted: false, matches: true };

    fn new(tie: Tie) -> Neighbour {
        let target = TargetId(7);
        let known = Known::default();
        Neighbour {
            target,
            tie,
            served: true,
            able: true,
            scope: WANTED,
            known,
            provisioned: false,
            queued: None,
        }
    }

    fn there(tie: Tie) -> Neighbour {
        let status = Some(ProvisionStatus::Provisioned);
        let known = Known { status, present: true, in_scope: true, done_version: 2 };
        Neighbour { known, provisioned: true, ..new(tie) }
    }

    fn queued(trigger: Trigger, active: bool) -> Option<Queued> {
        Some(Queued { work: Work { trigger, deprovision: false }, active })
    }

    fn obstacle(reason: Reason, neighbour: Neighbour) -> Option<Obstacle> {
        blocks(reason, &[neighbour]).first().map(|block| block.obstacle)
    }

    #[test]
    fn what_is_needed_has_to_be_there() {
        let provision = |neighbour| obstacle(Reason::Provision, neighbour);
        assert_eq!(provision(new(NEEDED)), Some(Obstacle::Missing));
        assert_eq!(provision(there(NEEDED)), None);
        assert_eq!(provision(Neighbour { served: false, ..new(NEEDED) }), None);
        let outside = Scope { matches: false, ..WANTED };
        assert_eq!(provision(Neighbour { scope: outside, ..new(NEEDED) }), None);
        let known =
            Known { status: Some(ProvisionStatus::ProvisionFailed), present: true, ..Known::default() };
        assert_eq!(provision(Neighbour { known, ..new(NEEDED) }), Some(Obstacle::Failed));
        assert_eq!(provision(Neighbour { known, ..there(NEEDED) }), None);
        let known = Known { status: Some(ProvisionStatus::ProvisionNotNeeded), in_scope: true, ..known };
        assert_eq!(provision(Neighbour { known, ..new(NEEDED) }), None);
    }

    #[test]
    fn a_fresh_change_goes_through_what_is_needed_first() {
        let known = Known { done_version: 1, ..there(NEEDED).known };
        let changing = Neighbour { known, queued: queued(Trigger::Updated, false), ..there(NEEDED) };
        assert_eq!(obstacle(Reason::Provision, changing), Some(Obstacle::Changing));
        let retried = Neighbour { queued: queued(Trigger::Retry, true), ..changing };
        assert_eq!(obstacle(Reason::Provision, retried), None);
        let done = Neighbour { known: there(NEEDED).known, ..changing };
        assert_eq!(obstacle(Reason::Provision, done), None);
    }

    #[test]
    fn who_depends_on_it_goes_first_when_all_go() {
        let deprovision = |neighbour| obstacle(Reason::Deprovision, neighbour);
        assert_eq!(deprovision(there(DEPENDENT)), None, "it stays there");
        let scope = Scope { deleted: true, ..WANTED };
        let leaving = Neighbour { scope, ..there(DEPENDENT) };
        assert_eq!(deprovision(leaving), Some(Obstacle::Holding));
        assert_eq!(deprovision(Neighbour { served: false, ..leaving }), None);
        assert_eq!(deprovision(Neighbour { scope, ..new(DEPENDENT) }), None);
        assert_eq!(obstacle(Reason::Provision, leaving), None);
    }

    #[test]
    fn order_waits_for_nothing_that_does_not_run_now() {
        let first = Neighbour { queued: queued(Trigger::Created, true), ..new(EARLIER) };
        assert_eq!(obstacle(Reason::Provision, first), Some(Obstacle::Order));
        assert_eq!(obstacle(Reason::Deprovision, first), None);
        assert_eq!(obstacle(Reason::Provision, Neighbour { able: false, ..first }), None);
        let later = Neighbour { queued: queued(Trigger::Created, false), ..first };
        assert_eq!(obstacle(Reason::Provision, later), None);
    }

    prop_compose! {
        /// The same subject at two targets that are tied to each other.
        fn standing()(
            trigger in proptest::sample::select(Trigger::ALL), deprovision: bool, active: bool, has_work: bool,
            status in proptest::option::of(proptest::sample::select(ProvisionStatus::ALL)),
            present: bool, in_scope: bool, done_version in 0_i64..3, provisioned: bool, matches: bool,
            able: bool, served: bool,
        ) -> Neighbour {
            let work = Work { trigger, deprovision };
            Neighbour {
                served, able, provisioned,
                scope: Scope { matches, ..WANTED },
                known: Known { status, present, in_scope, done_version },
                queued: has_work.then_some(Queued { work, active }),
                ..new(Tie::default())
            }
        }
    }

    fn reason(neighbour: &Neighbour) -> Option<Reason> {
        match neighbour.next() {
            Some(Decision::Run { reason, .. }) => Some(reason),
            _ => None,
        }
    }

    proptest! {
        /// Two targets with work for one subject never wait for each other.
        #[test]
        fn no_two_wait_for_each_other(
            first in standing(), second in standing(), deleted: bool, needs: bool, order in 0..2,
        ) {
            // The second depends on the first, or comes after it, or both.
            let first_seen = Tie { needed: needs, earlier: order == 1, ..Tie::default() };
            let second_seen = Tie { dependent: needs, later: order == 1, ..Tie::default() };
            let gone = |scope: Scope| Scope { deleted, ..scope };
            let first = Neighbour { tie: first_seen, scope: gone(first.scope), served: true, ..first };
            let second = Neighbour { tie: second_seen, scope: gone(second.scope), served: true, ..second };
            if let (Some(one), Some(two)) = (reason(&first), reason(&second)) {
                let first_waits = !blocks(one, &[second]).is_empty();
                let second_waits = !blocks(two, &[first]).is_empty();
                prop_assert!(!(first_waits && second_waits));
            }
        }

        /// Who is not tied, or not served, never stands in the way.
        #[test]
        fn strangers_do_not_block(stranger in standing(), tied: bool) {
            let tie = if tied { NEEDED } else { Tie::default() };
            let stranger = Neighbour { tie, served: stranger.served && !tied, ..stranger };
            prop_assert!(blocks(Reason::Provision, &[stranger]).is_empty());
            prop_assert!(blocks(Reason::Deprovision, &[stranger]).is_empty());
        }

        /// A needed target that is served, wants the subject and has never
        /// provisioned it always blocks, unless its logic declined.
        #[test]
        fn what_is_missing_blocks(neighbour in standing()) {
            let neighbour = Neighbour { tie: NEEDED, served: true, provisioned: false, scope: WANTED, ..neighbour };
            let declined = neighbour.known.in_scope && matches!(
                neighbour.known.status,
                Some(ProvisionStatus::ProvisionNotNeeded | ProvisionStatus::Deprovisioned)
            );
            prop_assert!(declined || !blocks(Reason::Provision, &[neighbour]).is_empty());
        }
    }
}
