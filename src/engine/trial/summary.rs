//! The figures of a plan.

use serde::Serialize;
use serde_json::json;

use super::act::Act;
use super::case::Case;
use super::diff::{Change, changes};
use super::judge::{Effects, Verdict, verdict};
use crate::domain::ids::SubjectId;
use crate::domain::status::ErrorClass;
use crate::engine::dead_letter::fingerprint_of_failure;

/// Groups of failures that are told apart.
const MOST_GROUPS: usize = 50;
/// Accounts named in a group.
const EXAMPLES: usize = 5;
/// Accounts shown whose draft does something else.
const MOST_SHOWN: usize = 10;
/// Changes shown for one of them.
const MOST_CHANGES: usize = 50;

/// What a plan has found so far.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    plan: Counts,
    failures: Vec<Group>,
    /// Absent when there is no published version to compare with.
    differs: Option<Differs>,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    total: i64,
    tried: u64,
    creates: u64,
    updates: u64,
    unchanged: u64,
    deprovisions: u64,
    not_needed: u64,
    ongoing: u64,
    failures: u64,
}

/// Failures that have their message in common.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    fingerprint: String,
    error_class: Option<ErrorClass>,
    /// Of the first one.
    message: String,
    count: u64,
    examples: Vec<Account>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    id: SubjectId,
    user_name: Option<String>,
}

/// Where the draft does not do what the published version does.
#[derive(Debug, Clone, Default, Serialize)]
struct Differs {
    count: u64,
    examples: Vec<Example>,
}

#[derive(Debug, Clone, Serialize)]
struct Example {
    account: Account,
    published: Effects,
    draft: Effects,
    /// From published to draft.
    changes: Vec<Change>,
}

impl Summary {
    /// Of so many subjects; with or without a version to compare with.
    pub(super) fn new(total: i64, compares: bool) -> Self {
        let plan = Counts { total, ..Counts::default() };
        Self { plan, failures: Vec::new(), differs: compares.then(Differs::default) }
    }

    /// Notes a subject for which nothing would run.
    pub(super) fn note_idle(&mut self) {
        self.plan.tried += 1;
        self.plan.not_needed += 1;
    }

    /// Notes what the draft does for a subject, and what the published version
    /// does, if there is one.
    pub(super) fn note(&mut self, case: &Case, draft: &Act, published: Option<&Act>) {
        let plan = &mut self.plan;
        plan.tried += 1;
        *match verdict(case, draft) {
            Verdict::Create => &mut plan.creates,
            Verdict::Update => &mut plan.updates,
            Verdict::Unchanged => &mut plan.unchanged,
            Verdict::Deprovision => &mut plan.deprovisions,
            Verdict::NotNeeded => &mut plan.not_needed,
            Verdict::Ongoing => &mut plan.ongoing,
            Verdict::Failure => &mut plan.failures,
        } += 1;
        if verdict(case, draft) == Verdict::Failure {
            self.note_failure(case, draft);
        }
        if let (Some(differs), Some(published)) = (&mut self.differs, published) {
            differs.note(case, Effects::of(draft), Effects::of(published));
        }
    }

    fn note_failure(&mut self, case: &Case, act: &Act) {
        let fingerprint = fingerprint_of_failure(&case.job.claimed, &act.conclusion);
        if let Some(group) = self.failures.iter_mut().find(|group| group.fingerprint == fingerprint) {
            group.count += 1;
            if group.examples.len() < EXAMPLES {
                group.examples.push(Account::of(case));
            }
        } else if self.failures.len() < MOST_GROUPS {
            let error_class = act.conclusion.error_class;
            let (message, examples) = (act.conclusion.message.clone(), vec![Account::of(case)]);
            self.failures.push(Group { fingerprint, error_class, message, count: 1, examples });
        }
        self.failures.sort_by_key(|group| std::cmp::Reverse(group.count));
    }
}

impl Differs {
    fn note(&mut self, case: &Case, draft: Effects, published: Effects) {
        if draft.is_like(&published) {
            return;
        }
        self.count += 1;
        if self.examples.len() < MOST_SHOWN {
            let mut changes = changes(&json!(published), &json!(draft));
            changes.truncate(MOST_CHANGES);
            self.examples.push(Example { account: Account::of(case), published, draft, changes });
        }
    }
}

impl Account {
    fn of(case: &Case) -> Self {
        let subject = &case.job.claimed.subject;
        Self { id: subject.id, user_name: subject.user_name.clone() }
    }
}
