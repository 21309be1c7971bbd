//! The queue as its rules say it is.

use provisiond::domain::status::{ProvisionStatus, Trigger};
use provisiond::plan::{Conclusion, Known, Scope, Work};

use super::command::WHO;
use super::world::{Queue, Seen, SeenRow, SeenState, Taken, has_come};

#[derive(Debug, Default)]
pub struct Model {
    subjects: [Option<Scope>; WHO],
    rows: [Option<Row>; WHO],
    states: [Option<SeenState>; WHO],
    /// Change counters and fences.
    serial: i64,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    seen: SeenRow,
    change_seq: i64,
    fence: i64,
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
        let fresh = SeenRow { owned: false, due: true, deprovision, attempts: 0, priority, trigger };
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
        };
    }

    fn may_be_present(&mut self, who: usize) {
        let unknown = SeenState {
            status: ProvisionStatus::Pending,
            present: true,
            in_scope: true,
            done_version: 0,
            dead: false,
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
        row.seen = SeenRow { owned: true, due: false, attempts: row.seen.attempts + 1, ..row.seen };
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
    };
    Some(Row { seen, ..row })
}

impl Queue for Model {
    fn write(&mut self, who: usize, member: bool) {
        let before = self.subjects[who];
        let version = before.map_or(0, |before| before.version) + 1;
        let trigger = if before.is_none() { Trigger::Created } else { Trigger::Updated };
        self.change(who, Scope { version, deleted: false, matches: member }, trigger);
    }

    fn delete(&mut self, who: usize) {
        if let Some(before) = self.subjects[who] {
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
        (0..WHO).filter_map(|who| self.take(who)).collect()
    }

    fn complete(&mut self, taken: &Taken, conclusion: Conclusion) {
        let Some(row) = self.rows[taken.who].filter(|row| row.fence == taken.fence && row.seen.owned) else {
            return;
        };
        self.rows[taken.who] = remains(row, taken, &conclusion);
        let before = self.states[taken.who].map_or(0, |state| state.done_version);
        let version = if conclusion.done { taken.scope.version } else { 0 };
        let is_undone = conclusion.status == ProvisionStatus::Deprovisioned && !conclusion.done;
        self.states[taken.who] = Some(SeenState {
            status: conclusion.status,
            present: conclusion.present,
            in_scope: taken.scope.is_wanted(),
            done_version: if is_undone { 0 } else { before.max(version) },
            dead: conclusion.dead,
        });
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
