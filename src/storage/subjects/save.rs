//! One way to write records, for one as for five hundred: what is new is
//! inserted, what differs is updated, what is equal is left alone.

use std::collections::{HashMap, HashSet};

use diesel::PgConnection;

use super::names::{self, Names};
use super::same::same_row;
use super::write::{Stamps, Taken, insert, update, vacate};
use super::{SubjectError, Written, written_back};
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::status::Trigger;
use crate::domain::subject::{Container, FieldError, Subject, SubjectDraft, SubjectKind};
use crate::storage::memberships::{Pair, join, leave};
use crate::storage::queue::{self, Change};

/// A record to write. `before` is locked by the caller.
#[derive(Debug)]
pub(in crate::storage) struct Edit {
    /// What is there, `None` for a new subject. A tombstone is restored.
    pub before: Option<Subject>,
    /// What is to be there.
    pub draft: SubjectDraft,
}

/// What became of an [`Edit`].
#[derive(Debug)]
pub(in crate::storage) enum Outcome {
    /// The subject is new.
    Created(Subject),
    /// The version rose; before, it may have been a tombstone.
    Updated(Box<Change>),
    /// There was nothing to write.
    Unchanged(Subject),
    /// The draft names a container that cannot be made; nothing was written.
    Refused(FieldError),
}

/// What became of a batch.
#[derive(Debug)]
pub(in crate::storage) struct Saved {
    /// One for each edit, in their order.
    pub outcomes: Vec<Outcome>,
    /// The targets that got work.
    pub nudge: Vec<TargetId>,
}

impl Saved {
    /// The outcome of a batch of one.
    pub(super) fn only(mut self) -> Result<Written, SubjectError> {
        let nudge = self.nudge;
        match self.outcomes.pop() {
            Some(Outcome::Created(subject)) => Ok(Written { before: None, subject, nudge }),
            Some(Outcome::Updated(change)) => {
                Ok(Written { before: change.before, subject: change.after, nudge })
            }
            Some(Outcome::Unchanged(subject)) => {
                Ok(Written { before: Some(subject.clone()), subject, nudge })
            }
            Some(Outcome::Refused(error)) => Err(SubjectError::Invalid(vec![error])),
            None => Err(SubjectError::Invalid(Vec::new())),
        }
    }
}

/// Writes records of one kind that break no rule of their own, and enqueues
/// what changed.
pub(in crate::storage) fn save(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
    edits: Vec<Edit>,
) -> Result<Saved, SubjectError> {
    let drafts: Vec<&SubjectDraft> = edits.iter().map(|edit| &edit.draft).collect();
    let (names, made) = names::resolve(connection, store, &drafts)?;
    let plans: Vec<Plan> = edits.into_iter().map(|edit| plan(edit, &names)).collect();
    vacate(connection, &handing_on(&plans))?;
    let mut created = insert_new(connection, store, kind, &plans)?;
    let stamps = update_changed(connection, &plans)?;
    let outcomes: Vec<Outcome> =
        plans.into_iter().map(|plan| conclude(plan, &mut created, &stamps)).collect();
    write_memberships(connection, &outcomes)?;
    let changes: Vec<Change> =
        made.into_iter().map(creation).chain(outcomes.iter().filter_map(change)).collect();
    queue::take_back_removals(connection, store, &changes)?;
    let nudge =
        if changes.is_empty() { Vec::new() } else { queue::enqueue(connection, store, &changes, None)? };
    Ok(Saved { outcomes, nudge })
}

/// What is to be done about an edit.
enum Plan {
    Insert(SubjectDraft, Vec<Container>),
    Update(Box<Update>),
    Leave(Subject),
    Refuse(FieldError),
}

struct Update {
    before: Subject,
    draft: SubjectDraft,
    containers: Vec<Container>,
    trigger: Trigger,
}

fn plan(Edit { before, draft }: Edit, names: &Names) -> Plan {
    let known = before.as_ref().map_or(&[][..], |before| &before.containers);
    let containers = match names.containers(&draft, known) {
        Ok(containers) => containers,
        Err(error) => return Plan::Refuse(error),
    };
    let Some(before) = before else { return Plan::Insert(draft, containers) };
    let trigger = match (same_row(&before, &draft), same_ids(&before.containers, &containers)) {
        _ if before.deleted_at.is_some() => Trigger::Updated,
        (true, true) => return Plan::Leave(before),
        (true, false) => Trigger::MembershipChanged,
        (false, _) => Trigger::Updated,
    };
    Plan::Update(Box::new(Update { before, draft, containers, trigger }))
}

fn same_ids(a: &[Container], b: &[Container]) -> bool {
    a.len() == b.len() && a.iter().all(|container| contains(b, container.id))
}

fn contains(containers: &[Container], id: SubjectId) -> bool {
    containers.iter().any(|container| container.id == id)
}

/// The accounts whose user names others of the batch take over.
fn handing_on(plans: &[Plan]) -> Vec<SubjectId> {
    let left = |plan: &Plan| match plan {
        Plan::Update(update) if update.before.deleted_at.is_none() => {
            let (old, new) = (update.before.user_name.as_ref()?, update.draft.user_name.as_ref()?);
            (!old.eq_ignore_ascii_case(new)).then(|| (update.before.id, old.to_ascii_lowercase()))
        }
        _ => None,
    };
    let left: Vec<(SubjectId, String)> = plans.iter().filter_map(left).collect();
    if left.is_empty() {
        return Vec::new();
    }
    let wanted = |plan: &Plan| match plan {
        Plan::Insert(draft, _) => draft.user_name.as_ref().map(|name| name.to_ascii_lowercase()),
        Plan::Update(update) => update.draft.user_name.as_ref().map(|name| name.to_ascii_lowercase()),
        Plan::Leave(_) | Plan::Refuse(_) => None,
    };
    let wanted: HashSet<String> = plans.iter().filter_map(wanted).collect();
    left.into_iter().filter(|(_, name)| wanted.contains(name)).map(|(id, _)| id).collect()
}

/// The name that is unique among the drafts of a batch.
fn key(kind: SubjectKind, user_name: Option<&String>, display_name: Option<&String>) -> String {
    let name = if kind == SubjectKind::Account { user_name } else { display_name };
    name.cloned().unwrap_or_default()
}

fn insert_new(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
    plans: &[Plan],
) -> Result<HashMap<String, Subject>, SubjectError> {
    let drafts: Vec<&SubjectDraft> = plans
        .iter()
        .filter_map(|plan| if let Plan::Insert(draft, _) = plan { Some(draft) } else { None })
        .collect();
    if drafts.is_empty() {
        return Ok(HashMap::new());
    }
    let subjects = insert(connection, store, kind, &drafts, Taken::Fails)?;
    let keyed =
        |subject: Subject| (key(kind, subject.user_name.as_ref(), subject.display_name.as_ref()), subject);
    Ok(subjects.into_iter().map(keyed).collect())
}

fn update_changed(connection: &mut PgConnection, plans: &[Plan]) -> Result<Stamps, SubjectError> {
    let edits: Vec<(SubjectId, &SubjectDraft)> = plans
        .iter()
        .filter_map(|plan| match plan {
            Plan::Update(update) => Some((update.before.id, &update.draft)),
            _ => None,
        })
        .collect();
    if edits.is_empty() {
        return Ok(Stamps::new());
    }
    let (stamps, written_back) = update(connection, &edits)?;
    let updated = plans.iter().filter_map(|plan| match plan {
        Plan::Update(update) => Some((&update.before, &update.draft)),
        _ => None,
    });
    written_back::forget_replaced(connection, updated, &written_back)?;
    Ok(stamps)
}

fn conclude(plan: Plan, created: &mut HashMap<String, Subject>, stamps: &Stamps) -> Outcome {
    match plan {
        Plan::Leave(subject) => Outcome::Unchanged(subject),
        Plan::Refuse(error) => Outcome::Refused(error),
        Plan::Insert(draft, containers) => {
            let name = draft.user_name.as_ref().or(draft.display_name.as_ref());
            match name.and_then(|name| created.remove(name)) {
                Some(subject) => Outcome::Created(Subject { containers, ..subject }),
                None => Outcome::Refused(FieldError::new("userName", "stands in the batch more than once")),
            }
        }
        Plan::Update(update) => Outcome::Updated(Box::new(updated(*update, stamps))),
    }
}

fn updated(update: Update, stamps: &Stamps) -> Change {
    let Update { before, draft, containers, trigger } = update;
    let stamp = stamps.get(&before.id);
    let after = Subject {
        external_id: draft.external_id,
        user_name: draft.user_name,
        display_name: draft.display_name,
        status: draft.status,
        attributes: draft.attributes,
        version: stamp.map_or(before.version, |stamp| stamp.version),
        updated_at: stamp.map_or(before.updated_at, |stamp| stamp.updated_at),
        containers,
        deleted_at: None,
        ..before
    };
    Change { before: Some(before), after, trigger }
}

fn write_memberships(connection: &mut PgConnection, outcomes: &[Outcome]) -> Result<(), SubjectError> {
    let (mut left, mut joined) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        let (before, after) = match outcome {
            Outcome::Created(after) => (&[][..], after),
            Outcome::Updated(change) => {
                (change.before.as_ref().map_or(&[][..], |before| &before.containers), &change.after)
            }
            Outcome::Unchanged(_) | Outcome::Refused(_) => continue,
        };
        let pair = |container: &Container| Pair { member: after.id, container: container.id };
        left.extend(before.iter().filter(|old| !contains(&after.containers, old.id)).map(pair));
        joined.extend(after.containers.iter().filter(|new| !contains(before, new.id)).map(pair));
    }
    leave(connection, &left)?;
    join(connection, &joined)?;
    Ok(())
}

fn creation(after: Subject) -> Change {
    Change { before: None, after, trigger: Trigger::Created }
}

fn change(outcome: &Outcome) -> Option<Change> {
    match outcome {
        Outcome::Created(after) => Some(creation(after.clone())),
        Outcome::Updated(change) => Some(Change::clone(change)),
        Outcome::Unchanged(_) | Outcome::Refused(_) => None,
    }
}
