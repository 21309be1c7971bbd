//! The queue as its rules say it is.

mod names;

use provisiond::domain::status::{ProvisionStatus, Reason, Trigger};
use provisiond::plan::{Conclusion, Decision, Known, Scope, Work, decide};

use super::command::WHO;
use super::world::{Queue, Seen, SeenRow, SeenState, Taken, has_come, name_from};
use names::instead;

#[derive(Debug, Default)]
pub struct Model {
    subjects: [Option<Scope>; WHO],
    rows: [Option<Row>; WHO],
    states: [Option<SeenState>; WHO],
    names: [usize; WHO],
    /// In the order in which they were made.
    born: Vec<usize>,
    /// Names that were given up, by whom, and the first version without them.
    former: Vec<Former>,
    /// When the last run of each ended.
    ended: [i64; WHO],
    /// Change counters and fences.
    serial: i64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    seen: SeenRow,
    change_seq: i64,
    fence: i64,
}

#[derive(Debug, Clone, Copy)]
struct Former {
    name: usize,
    who: usize,
    version: i64,
}

/// What comes in.
struct Entry {
    trigger: Trigger,
    deprovision: bool,
    priority: i16,
}

impl Model {
    fn next(&mut self) -> i64 {
        self.serial += 1;
        self.serial
    }

    fn is_present(&self, who: usize) -> bool {
        self.states[who].is_some_and(|state| state.present)
    }

    fn change(&mut self, who: usize, after: Scope, trigger: Trigger) {
        let before = self.subjects[who].replace(after);
        let matched = before.is_some_and(|before| before.is_wanted());
        let matches = after.is_wanted();
        let trigger = match (matched, matches) {
            (true, false) if !after.deleted => Trigger::LeftFilter,
            (false, true) if before.is_some() => Trigger::EnteredFilter,
            _ => trigger,
        };
        if matched || matches || self.is_present(who) {
            self.insert(who, Entry { trigger, deprovision: matched && !matches, priority: 1 });
        }
    }

    fn insert(&mut self, who: usize, entry: Entry) {
        let change_seq = self.next();
        let Entry { trigger, deprovision, priority } = entry;
        let fresh =
            SeenRow { owned: false, due: true, deprovision, attempts: 0, priority, trigger, waits_for: None };
        let Some(row) = &mut self.rows[who] else {
            self.rows[who] = Some(Row { seen: fresh, change_seq, fence: 0 });
            return;
        };
        row.change_seq = change_seq;
        let old = row.seen;
        let looks_again = old.trigger == Trigger::Schedule && !old.owned;
        let came_back = !deprovision && trigger == Trigger::EnteredFilter && looks_again;
        let stays = !old.owned && matches!(old.trigger, Trigger::Manual | Trigger::Force | Trigger::Created);
        row.seen = SeenRow {
            owned: old.owned,
            due: old.due || !old.owned,
            deprovision: !came_back && (deprovision || old.deprovision),
            attempts: 0,
            priority: old.priority.min(priority),
            trigger: if stays { old.trigger } else { trigger },
            waits_for: old.waits_for,
        };
    }

    fn may_be_present(&mut self, who: usize) {
        let unknown = SeenState {
            status: ProvisionStatus::Pending,
            present: true,
            in_scope: true,
            done_version: 0,
            dead: false,
            taken_version: 0,
            remote: None,
        };
        self.states[who].get_or_insert(unknown).present = true;
    }

    fn free(&mut self, who: usize, attempts: i32) {
        let fence = self.next();
        if let Some(row) = self.rows[who].as_mut().filter(|row| row.seen.owned) {
            row.fence = fence;
            let attempts = (row.seen.attempts - attempts).max(0);
            row.seen = SeenRow { owned: false, due: true, attempts, ..row.seen };
        }
    }

    fn take(&mut self, who: usize) -> Option<Taken> {
        let fence = self.next();
        let row = self.rows[who].as_mut().filter(|row| row.seen.due)?;
        let lapsed = row.seen.owned;
        row.fence = fence;
        row.seen =
            SeenRow { owned: true, due: false, attempts: row.seen.attempts + 1, waits_for: None, ..row.seen };
        let row = *row;
        if lapsed {
            self.may_be_present(who);
        }
        let known = self.states[who].map_or(Known::default(), |state| Known {
            status: Some(state.status),
            present: state.present,
            in_scope: state.in_scope,
            done_version: state.done_version,
        });
        Some(Taken {
            who,
            scope: self.subjects[who]?,
            work: Work { trigger: row.seen.trigger, deprovision: row.seen.deprovision },
            known,
            attempt: row.seen.attempts as u32,
            change_seq: row.change_seq,
            fence,
            name: self.names[who],
            remote: self.states[who].and_then(|state| state.remote),
        })
    }
}

/// What stays in the queue.
fn remains(row: Row, taken: &Taken, conclusion: &Conclusion) -> Option<Row> {
    let old = row.seen;
    if row.change_seq > taken.change_seq {
        return Some(Row { seen: SeenRow { owned: false, due: true, attempts: 0, ..old }, ..row });
    }
    let next = conclusion.next.as_ref()?;
    let seen = SeenRow {
        owned: false,
        due: has_come(next.at),
        deprovision: next.deprovision,
        attempts: next.attempts as i32,
        priority: old.priority.max(1),
        trigger: next.trigger,
        waits_for: None,
    };
    Some(Row { seen, ..row })
}

impl Model {
    fn store(&mut self, row: Row, taken: &Taken, conclusion: &Conclusion) {
        let who = taken.who;
        self.rows[who] = remains(row, taken, conclusion);
        let before = self.states[who];
        let version = if conclusion.done { taken.scope.version } else { 0 };
        let is_undone = conclusion.status == ProvisionStatus::Deprovisioned && !conclusion.done;
        let ran = match decide(taken.work, taken.known, taken.scope) {
            Decision::Run { reason, .. } => Some(reason),
            _ => None,
        };
        let takes = ran == Some(Reason::Provision) && conclusion.status == ProvisionStatus::Provisioned;
        let taken_version = if takes || !conclusion.present { taken.scope.version } else { 0 };
        let named = conclusion.remote_id.as_deref().map(name_from);
        self.states[who] = Some(SeenState {
            status: conclusion.status,
            present: conclusion.present,
            in_scope: taken.scope.is_wanted(),
            done_version: if is_undone {
                0
            } else {
                before.map_or(0, |state| state.done_version).max(version)
            },
            dead: conclusion.dead,
            taken_version: before.map_or(0, |state| state.taken_version).max(taken_version),
            remote: named.or(before.and_then(|state| state.remote)),
        });
        if ran.is_some() {
            self.ended[who] = self.next();
        }
    }
}

impl Queue for Model {
    fn write(&mut self, who: usize, member: bool, name: usize) {
        let before = self.subjects[who];
        let version = before.map_or(0, |before| before.version) + 1;
        if before.is_none() {
            self.born.push(who);
        } else if self.names[who] != name {
            self.gives_up(who, version);
        }
        self.names[who] = name;
        let trigger = if before.is_none() { Trigger::Created } else { Trigger::Updated };
        self.change(who, Scope { version, deleted: false, matches: member }, trigger);
    }

    fn delete(&mut self, who: usize) {
        if let Some(before) = self.subjects[who] {
            self.gives_up(who, before.version + 1);
            self.change(
                who,
                Scope { version: before.version + 1, deleted: true, ..before },
                Trigger::Deleted,
            );
        }
    }

    fn force(&mut self) {
        for who in 0..WHO {
            if self.subjects[who].is_some_and(|subject| subject.is_wanted() || self.is_present(who)) {
                self.insert(who, Entry { trigger: Trigger::Force, deprovision: false, priority: 2 });
            }
        }
    }

    fn sync(&mut self, who: usize) {
        self.insert(who, Entry { trigger: Trigger::Manual, deprovision: false, priority: 0 });
    }

    fn claim(&mut self) -> Vec<Taken> {
        let mut taken: Vec<Taken> = (0..WHO).filter_map(|who| self.take(who)).collect();
        taken.sort_by_key(|taken| self.rank(taken.who));
        taken.retain(|taken| match self.waits_for(taken) {
            Some(other) => {
                self.park(taken.who, other);
                false
            }
            None => true,
        });
        taken.sort_by_key(|taken| taken.who);
        taken
    }

    fn complete(&mut self, taken: &Taken, conclusion: Conclusion, refused: Option<Conclusion>) {
        let who = taken.who;
        let is_live = self.rows[who].is_some_and(|row| row.fence == taken.fence && row.seen.owned);
        let named = conclusion.remote_id.as_deref().map(name_from);
        let judged = match (&refused, named) {
            (Some(_), Some(name)) if is_live => self.take_remote(taken, name),
            _ => Ok(Vec::new()),
        };
        let (conclusion, losers) = match (judged, refused) {
            (Err(why), Some(refused)) => (instead(taken, refused, why), Vec::new()),
            (losers, _) => (conclusion, losers.unwrap_or_default()),
        };
        if let Some(row) = self.rows[who].filter(|_| is_live) {
            self.store(row, taken, &conclusion);
            for loser in losers.into_iter().filter(|_| conclusion.present) {
                self.states[loser].iter_mut().for_each(|state| state.remote = None);
            }
        }
        let waiting = self.rows.iter_mut().flatten().filter(|row| row.seen.waits_for == Some(who));
        waiting.for_each(|row| row.seen = SeenRow { due: true, waits_for: None, ..row.seen });
    }

    fn release(&mut self, taken: &[Taken]) {
        taken.iter().for_each(|taken| self.free(taken.who, 1));
    }

    fn release_unknown(&mut self, known: &[usize]) {
        (0..WHO).filter(|who| !known.contains(who)).for_each(|who| self.free(who, 1));
    }

    fn take_over(&mut self) {
        for who in 0..WHO {
            if self.rows[who].is_some_and(|row| row.seen.owned) {
                self.free(who, 0);
                self.may_be_present(who);
            }
        }
    }

    fn lapse(&mut self) {
        let owned = self.rows.iter_mut().flatten().filter(|row| row.seen.owned);
        owned.for_each(|row| row.seen.due = true);
    }

    fn tick(&mut self) {
        self.rows.iter_mut().flatten().filter(|row| !row.seen.owned).for_each(|row| row.seen.due = true);
    }

    fn seen(&mut self, who: usize) -> Seen {
        Seen { row: self.rows[who].map(|row| row.seen), state: self.states[who] }
    }
}
