//! Whether a name at a target is free, or another subject that had it may still
//! hold it there; and whom a remote id belongs to.
//!
//! Only removals are waited for as long as they take. A rename that is due goes
//! first, but nobody waits for one that waits itself, so that two subjects which
//! swap their names do not stand still.

use super::{Known, Scope, Work};
use crate::domain::ids::SubjectId;
use crate::domain::status::{ProvisionStatus, words};

words!(
    /// By what a target knows a subject.
    Field {
        /// The log-in name, whatever its case.
        UserName = "userName",
        /// The id in the source system.
        ExternalId = "externalId",
        /// The id in the external system.
        RemoteId = "remoteId",
    }
);

/// Another subject with a link at the same target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// As it stands now.
    pub scope: Scope,
    /// What its runs left.
    pub known: Known,
    /// What it had given up by this version the target does not hold any more.
    pub taken_version: i64,
    /// Its last run was a failure that nothing will retry.
    pub dead: bool,
    /// Its work in the queue.
    pub queued: Option<(Work, Place)>,
}

words!(
    /// How work stands in the queue.
    Place {
        /// A node runs it.
        Running = "running",
        /// It may be claimed.
        Due = "due",
        /// It waits for its time.
        Later = "later",
        /// A guard holds it until a person approves it.
        Held = "held",
        /// A person has said no, or nobody anything in time.
        Rejected = "rejected",
        /// It waits for another target or subject.
        Waiting = "waiting",
        /// Its sweep is paused.
        Paused = "paused",
    }
);

words!(
    /// What a holder has still to do before its name is free.
    Undone {
        /// Its removal runs.
        Running = "running",
        /// Its removal is due.
        Due = "due",
        /// Its removal has failed and is tried again.
        Retried = "retried",
        /// The external system still works on its removal.
        Ongoing = "ongoing",
        /// Its removal waits for a person.
        Held = "held",
        /// Its removal waits for another target.
        Waiting = "waiting",
        /// Its removal belongs to a sweep that is paused.
        Paused = "paused",
        /// Its removal has failed for good.
        Dead = "dead",
        /// Nobody has asked for its removal.
        Unasked = "unasked",
        /// It is about to be renamed.
        Renaming = "renaming",
    }
);

impl Holder {
    /// It is to be removed.
    pub fn leaves(&self) -> bool {
        !self.scope.is_wanted() || self.queued.is_some_and(|(work, _)| work.deprovision)
    }

    /// A node runs it now: until that has ended nobody knows what it leaves.
    pub fn is_running(&self) -> bool {
        self.place() == Some(Place::Running)
    }

    fn place(&self) -> Option<Place> {
        self.queued.map(|(_, place)| place)
    }

    /// The target may hold a name that the subject has not had since `given_up`.
    /// What runs now does not bring it back once it was taken away: versions never
    /// go back. Whatever is there of one that is deleted goes by its last name.
    pub fn may_hold(&self, given_up: i64) -> bool {
        let is_last = self.scope.deleted && given_up >= self.scope.version;
        (self.is_running() || self.known.present) && (is_last || self.taken_version < given_up)
    }

    /// What keeps a name, given up with the version `given_up`, from being free;
    /// `None` when another subject may take it. A removal that was rejected keeps
    /// nobody waiting: the person has decided that it does not happen.
    pub fn undone(&self, given_up: i64) -> Option<Undone> {
        if !self.may_hold(given_up) {
            return None;
        }
        if !self.leaves() {
            let soon = matches!(self.place(), Some(Place::Running | Place::Due));
            return soon.then_some(Undone::Renaming);
        }
        match self.place() {
            Some(Place::Rejected) => None,
            Some(Place::Running) => Some(Undone::Running),
            Some(Place::Due) => Some(Undone::Due),
            Some(Place::Held) => Some(Undone::Held),
            Some(Place::Waiting) => Some(Undone::Waiting),
            Some(Place::Paused) => Some(Undone::Paused),
            Some(Place::Later) if self.known.status == Some(ProvisionStatus::ProvisionOngoing) => {
                Some(Undone::Ongoing)
            }
            Some(Place::Later) => Some(Undone::Retried),
            None if self.dead => Some(Undone::Dead),
            None => Some(Undone::Unasked),
        }
    }

    /// What it holds there is its own and stays so.
    pub fn stays(&self) -> bool {
        self.known.present && !self.leaves()
    }
}

/// What a subject that is to be removed may be known by at the target, beside
/// what one that stays there is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared<'a> {
    /// The remote id of the one that leaves.
    pub leaving: Option<&'a str>,
    /// The remote id of the one that stays.
    pub staying: Option<&'a str>,
    /// The one that stays has taken a name that the other had.
    pub name: bool,
}

impl Shared<'_> {
    /// Whether the removal would hit the one that stays: by the remote id, or by
    /// the name where one of them has no remote id.
    pub fn is_the_same(&self) -> bool {
        match (self.leaving, self.staying) {
            (Some(leaving), Some(staying)) => leaving == staying,
            _ => self.name,
        }
    }
}

/// What another link with the remote id that a run has answered means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// The remote id may be taken over.
    Free,
    /// It belongs to another living subject.
    Refused,
    /// The other one was at work on it at the same time: run again.
    Again,
}

/// Whether a run may keep a remote id that another link has. `since` says that the
/// other's last run ended after this one had begun; `moves_on` that the other has
/// another name by now, that its run for it is to come, and that the remote id is
/// the name that it gave up.
pub fn taking(other: &Holder, since: bool, moves_on: bool) -> Taking {
    let gives_up = !other.known.present || other.scope.deleted || moves_on;
    let removed_since = since && !other.known.present;
    match gives_up {
        // What runs was told the remote id, and may remove what is there.
        true if removed_since || other.is_running() => Taking::Again,
        true => Taking::Free,
        false => Taking::Refused,
    }
}

/// A subject that keeps another one waiting, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waited<'a> {
    /// Which one.
    pub subject: SubjectId,
    /// Its log-in name.
    pub user_name: &'a str,
    /// What both are known by.
    pub field: Field,
    /// What it has still to do.
    pub undone: Undone,
    /// The lot that holds it.
    pub lot: Option<i64>,
    /// What its last run said.
    pub message: &'a str,
}

impl Waited<'_> {
    /// What is waited for, why, and what to do, in one sentence.
    pub fn why(&self) -> String {
        let Self { subject, user_name, field, undone, .. } = self;
        let what = match undone {
            Undone::Renaming => "rename",
            _ => "removal",
        };
        let name = match field {
            Field::UserName => "user name",
            Field::ExternalId => "external id",
            Field::RemoteId => "remote id",
        };
        let (id, state) = (subject.0, self.state());
        format!(
            "waits for the {what} of `{user_name}` (account {id}), which may still hold the {name} here: {state}"
        )
    }

    fn state(&self) -> String {
        let id = self.subject.0;
        let said = if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        match self.undone {
            Undone::Running => "it runs now".into(),
            Undone::Due | Undone::Renaming => "it is due".into(),
            Undone::Retried => format!("it has failed and will be tried again{said}"),
            Undone::Ongoing => format!("the external system is still at work on it{said}"),
            Undone::Held => {
                let lot = self.lot.map_or_else(|| "the guard".into(), |lot| lot.to_string());
                format!("it is held as {lot}, which someone has to approve or reject")
            }
            Undone::Waiting => format!("it waits itself, see the provisions of account {id}"),
            Undone::Paused => "its sweep is paused, and has to be resumed or cancelled".into(),
            Undone::Dead => format!(
                "it has failed for good (mend it, then retry the dead letter or sync account {id}){said}"
            ),
            Undone::Unasked => format!("nobody has asked for it; sync account {id} here"),
        }
    }
}

#[cfg(test)]
#[path = "holder/tests.rs"]
mod tests;
