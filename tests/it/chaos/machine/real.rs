//! The queue in PostgreSQL.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use provisiond::domain::ids::{SubjectId, SweepId};
use provisiond::domain::status::Trigger;
use provisiond::domain::subject::SubjectKind;
use provisiond::plan::{Conclusion, Decision, Links, decide};
use provisiond::storage::claim::{self, Claimed};
use provisiond::storage::complete::{Completion, complete};
use provisiond::storage::sweeps::{self, SweepKind};
use provisiond::storage::{ownership, queue, subjects, targets};
use serde_json::json;

use super::command::WHO;
use super::world::{Queue, Seen, SeenRow, SeenState, Taken, name_from, name_of};
use crate::support::queue as support;

pub struct Real {
    connection: PgConnection,
    queue: support::Queue,
    subjects: [Option<SubjectId>; WHO],
    /// What was claimed last, by account.
    claims: [Option<(Claimed, DateTime<Utc>)>; WHO],
    changes: u64,
}

impl Real {
    /// With a store and a target of its own.
    pub fn new(mut connection: PgConnection, number: u32) -> Self {
        let queue = support::Queue::new(&mut connection, &format!("sequence{number}"));
        Self { connection, queue, subjects: [None; WHO], claims: Default::default(), changes: 0 }
    }

    fn who(&self, subject: SubjectId) -> usize {
        self.subjects.iter().position(|other| *other == Some(subject)).unwrap()
    }

    fn execute(&mut self, statement: &str) {
        let statement = format!("{statement} AND target_id = {}", self.queue.target);
        self.connection.batch_execute(&statement).unwrap();
    }
}

impl Queue for Real {
    fn write(&mut self, who: usize, member: bool, name: usize) {
        self.changes += 1;
        let draft = support::draft(&name_of(name), &json!({ "member": member, "n": self.changes }));
        let (connection, kind) = (&mut self.connection, SubjectKind::Account);
        match self.subjects[who] {
            Some(subject) => drop(subjects::replace(connection, kind, subject, draft, None).unwrap()),
            None => {
                let made = subjects::create(connection, self.queue.store, kind, draft).unwrap();
                self.subjects[who] = Some(made.subject.id);
            }
        }
    }

    fn delete(&mut self, who: usize) {
        let subject = self.subjects[who].unwrap();
        subjects::delete(&mut self.connection, SubjectKind::Account, subject, None).unwrap();
    }

    fn force(&mut self) {
        let target = targets::find(&mut self.connection, self.queue.target).unwrap();
        let policy = support::unguarded();
        let sweep = sweeps::start(&mut self.connection, &target, SweepKind::Force, Trigger::Force).unwrap();
        while !sweeps::advance(&mut self.connection, &target, SweepId(sweep.id), &policy).unwrap() {}
    }

    fn sync(&mut self, who: usize) {
        let subject = self.subjects[who].unwrap();
        queue::enqueue_manual(&mut self.connection, self.queue.target, subject).unwrap();
    }

    fn claim(&mut self) -> Vec<Taken> {
        let mut taken: Vec<Taken> = Vec::new();
        for claimed in self.queue.claim_what_may_run(&mut self.connection) {
            let who = self.who(claimed.subject.id);
            taken.push(Taken {
                who,
                scope: support::scope(&claimed),
                work: claimed.work,
                known: claimed.known,
                attempt: claimed.attempt,
                change_seq: claimed.change_seq,
                fence: claimed.fence,
                name: name_from(claimed.subject.user_name.as_deref().unwrap()),
                remote: claimed.remote_id.as_deref().map(name_from),
            });
            self.claims[who] = Some((claimed, Utc::now()));
        }
        taken.sort_by_key(|taken| taken.who);
        taken
    }

    fn complete(&mut self, taken: &Taken, conclusion: Conclusion, refused: Option<Conclusion>) {
        let (claimed, began) = self.claims[taken.who].as_ref().unwrap();
        assert_eq!(claimed.fence, taken.fence);
        let run = match decide(taken.work, taken.known, taken.scope) {
            Decision::Run { reason, trigger } => Some(support::log(claimed, reason, trigger, *began)),
            _ => None,
        };
        let refused = refused.map(Box::new);
        let completion = support::completion(self.queue.target, claimed, conclusion);
        let completion = Completion { run, takes_remote_id: refused.is_some(), refused, ..completion };
        complete(&mut self.connection, &[completion], &Links::default()).unwrap();
        // What is soon due is not due before the next tick, however slow this is.
        self.execute(
            "UPDATE pending SET due_at = due_at + interval '1 hour' WHERE owner IS NULL AND due_at > now() \
                AND due_at < 'infinity'",
        );
    }

    fn release(&mut self, taken: &[Taken]) {
        let fences: Vec<(i64, i64)> =
            taken.iter().map(|taken| (self.subjects[taken.who].unwrap().0, taken.fence)).collect();
        claim::release(&mut self.connection, self.queue.target, &fences).unwrap();
    }

    fn release_unknown(&mut self, known: &[usize]) {
        let known: Vec<SubjectId> = known.iter().map(|who| self.subjects[*who].unwrap()).collect();
        claim::release_unknown(&mut self.connection, self.queue.target, "node", &known).unwrap();
    }

    fn take_over(&mut self) {
        ownership::take(&mut self.connection, "node", &[], 10.0).unwrap();
    }

    fn lapse(&mut self) {
        self.execute("UPDATE pending SET due_at = now() WHERE owner IS NOT NULL");
    }

    fn tick(&mut self) {
        self.execute("UPDATE pending SET due_at = now() WHERE owner IS NULL AND due_at > now()");
    }

    fn seen(&mut self, who: usize) -> Seen {
        let Some(subject) = self.subjects[who] else { return Seen::default() };
        let (row, state) = ("pending p WHERE p", "provision_state s WHERE s");
        let key = format!(".target_id = {} AND subject_id = {subject}", self.queue.target);
        let rows: Vec<Row> = sql_query(format!(
            "SELECT owner IS NOT NULL AS owned, due_at <= now() AS due, reason AS reason, attempts, priority, \
                trigger, waits_for FROM {row}{key}"
        ))
        .load(&mut self.connection)
        .unwrap();
        let states: Vec<State> = sql_query(format!(
            "SELECT status, present, in_scope, done_version, dead, taken_version, remote_id FROM {state}{key}"
        ))
        .load(&mut self.connection)
        .unwrap();
        Seen {
            row: rows.into_iter().next().map(|row| {
                let waits_for = row.waits_for.map(|subject| self.who(SubjectId(subject)));
                row.read(waits_for)
            }),
            state: states.into_iter().next().map(State::read),
        }
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Bool)]
    owned: bool,
    #[diesel(sql_type = Bool)]
    due: bool,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = SmallInt)]
    priority: i16,
    #[diesel(sql_type = Text)]
    trigger: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    waits_for: Option<i64>,
}

impl Row {
    fn read(self, waits_for: Option<usize>) -> SeenRow {
        let Self { owned, due, reason, attempts, priority, trigger, .. } = self;
        let (deprovision, trigger) = (reason.is_some(), trigger.parse().unwrap());
        SeenRow { owned, due, deprovision, attempts, priority, trigger, waits_for }
    }
}

#[derive(QueryableByName)]
struct State {
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Bool)]
    present: bool,
    #[diesel(sql_type = Bool)]
    in_scope: bool,
    #[diesel(sql_type = BigInt)]
    done_version: i64,
    #[diesel(sql_type = Bool)]
    dead: bool,
    #[diesel(sql_type = BigInt)]
    taken_version: i64,
    #[diesel(sql_type = Nullable<Text>)]
    remote_id: Option<String>,
}

impl State {
    fn read(self) -> SeenState {
        let Self { status, present, in_scope, done_version, dead, taken_version, remote_id } = self;
        let (status, remote) = (status.parse().unwrap(), remote_id.as_deref().map(name_from));
        SeenState { status, present, in_scope, done_version, dead, taken_version, remote }
    }
}
