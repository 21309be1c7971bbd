//! Names that go from one account to another, and whose the remote ids are.

use chrono::{TimeDelta, Utc};
use provisiond::domain::status::{ErrorClass, Reason, Trigger};
use provisiond::plan::{
    Conclusion, Decision, Holder, Known, Next, Place, Taking, Undone, Work, decide, taking,
};

use super::super::command::WHO;
use super::super::world::{SeenRow, Taken};
use super::{Former, Model};

impl Model {
    pub(super) fn gives_up(&mut self, who: usize, version: i64) {
        let name = self.names[who];
        self.former.retain(|former| (former.name, former.who) != (name, who));
        self.former.push(Former { name, who, version });
    }

    /// How an account stands for who takes its name.
    fn holder(&self, who: usize) -> Option<Holder> {
        let place = |row: SeenRow| match row {
            SeenRow { owned: true, .. } => Place::Running,
            SeenRow { due: true, .. } => Place::Due,
            SeenRow { waits_for: Some(_), .. } => Place::Waiting,
            _ => Place::Later,
        };
        let queued = self.rows[who].map(|row| {
            let work = Work { trigger: row.seen.trigger, deprovision: row.seen.deprovision };
            (work, place(row.seen))
        });
        let state = self.states[who];
        let known = state.map_or(Known::default(), |state| Known {
            status: Some(state.status),
            present: state.present,
            in_scope: state.in_scope,
            done_version: state.done_version,
        });
        let (taken_version, dead) = state.map_or((0, false), |state| (state.taken_version, state.dead));
        Some(Holder { scope: self.subjects[who]?, known, taken_version, dead, queued })
    }

    pub(super) fn rank(&self, who: usize) -> usize {
        self.born.iter().position(|other| *other == who).unwrap_or(usize::MAX)
    }

    /// For whom a provision waits.
    pub(super) fn waits_for(&self, taken: &Taken) -> Option<usize> {
        let Decision::Run { reason: Reason::Provision, .. } = decide(taken.work, taken.known, taken.scope)
        else {
            return None;
        };
        let mut claims: Vec<(usize, i64)> = self
            .former
            .iter()
            .filter(|former| former.name == taken.name && former.who != taken.who)
            .map(|former| (former.who, former.version))
            .collect();
        if let Some(remote) = taken.remote.filter(|_| !taken.known.present) {
            let holds = |who: &usize| {
                self.states[*who].is_some_and(|state| state.remote == Some(remote) && state.present)
            };
            claims.extend((0..WHO).filter(|who| *who != taken.who).filter(holds).map(|who| (who, i64::MAX)));
        }
        let undone = |(who, given_up): (usize, i64)| -> Option<(Undone, usize, usize)> {
            Some((self.holder(who)?.undone(given_up)?, self.rank(who), who))
        };
        claims.into_iter().filter_map(undone).min().map(|(.., who)| who)
    }

    pub(super) fn park(&mut self, who: usize, other: usize) {
        let fence = self.next();
        if let Some(row) = &mut self.rows[who] {
            row.fence = fence;
            let attempts = (row.seen.attempts - 1).max(0);
            row.seen = SeenRow { owned: false, due: false, attempts, waits_for: Some(other), ..row.seen };
        }
    }

    /// Whether the run may keep the name under which it has put the account, and
    /// who loses it then.
    pub(super) fn take_remote(&self, taken: &Taken, name: usize) -> Result<Vec<usize>, Taking> {
        let mut others: Vec<usize> = (0..WHO).filter(|who| *who != taken.who).collect();
        others.sort_by_key(|who| self.rank(*who));
        let mut losers = Vec::new();
        for who in others.iter().copied() {
            let has = self.states[who].is_some_and(|state| state.remote == Some(name));
            let Some(holder) = self.holder(who).filter(|_| has) else { continue };
            let gave_up =
                |former: &Former| former.who == who && former.name == name && holder.may_hold(former.version);
            let moves_on = self.names[taken.who] == name
                && self.names[who] != name
                && self.former.iter().any(gave_up)
                && holder.queued.is_some();
            match taking(&holder, self.ended[who] > taken.fence, moves_on) {
                Taking::Free if moves_on || !holder.known.present => losers.push(who),
                Taking::Free => {}
                other => return Err(other),
            }
        }
        let at_work = |former: &Former| {
            former.name == name
                && former.who != taken.who
                && (self.ended[former.who] > taken.fence
                    || self
                        .holder(former.who)
                        .is_some_and(|holder| holder.is_running() && holder.may_hold(former.version)))
        };
        if self.former.iter().any(at_work) { Err(Taking::Again) } else { Ok(losers) }
    }
}

/// What is recorded when the name belongs to another.
pub(super) fn instead(taken: &Taken, refused: Conclusion, why: Taking) -> Conclusion {
    if why == Taking::Refused {
        return refused;
    }
    let next = Next {
        at: Utc::now() + TimeDelta::seconds(60),
        trigger: Trigger::Retry,
        deprovision: false,
        attempts: taken.attempt.saturating_sub(1),
    };
    Conclusion { error_class: Some(ErrorClass::Transient), dead: false, next: Some(next), ..refused }
}
