//! The queue: a change becomes due work in the change's own transaction.
//!
//! One row per (target, subject). Work for the same pair coalesces: the row's
//! `change_seq` rises, which is how a completion sees that something came in
//! while it ran. A leased row is never pulled forward.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

mod returned;

use super::DbError;
use super::held::{Departure, Verdicts};
use crate::domain::filter::Filter;
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::status::Trigger;
use crate::domain::subject::{Subject, SubjectKind, changes};

pub(super) use returned::take_back_removals;

/// Work that a person waits for.
pub const PRIORITY_MANUAL: i16 = 0;
/// Work from a change.
pub const PRIORITY_CHANGE: i16 = 1;
/// Work from a sweep over many subjects.
pub const PRIORITY_SWEEP: i16 = 2;
/// Work of a paused sweep: nobody claims it, and any other work for the pair
/// makes it that work.
pub const PRIORITY_PARKED: i16 = 3;

/// A committed-to change of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The subject before, `None` when it is new.
    pub before: Option<Subject>,
    /// The subject after; a tombstone when deleted.
    pub after: Subject,
    /// What happened.
    pub trigger: Trigger,
}

const STORE_LOCK: i32 = 7_002;

/// Taken by every transaction that changes subjects, before it reads them. A
/// filter edit takes the same lock exclusively, so that no change is judged by
/// the old filter after the sweep for the new one has passed.
pub fn lock_store_shared(connection: &mut PgConnection, store: StoreId) -> Result<(), DbError> {
    lock_store(connection, store, "pg_advisory_xact_lock_shared")
}

/// The exclusive side of [`lock_store_shared`].
pub fn lock_store_exclusive(connection: &mut PgConnection, store: StoreId) -> Result<(), DbError> {
    lock_store(connection, store, "pg_advisory_xact_lock")
}

fn lock_store(connection: &mut PgConnection, store: StoreId, function: &str) -> Result<(), DbError> {
    sql_query(format!("SELECT {function}($1, hashint8($2))"))
        .bind::<diesel::sql_types::Integer, _>(STORE_LOCK)
        .bind::<BigInt, _>(store.0)
        .execute(connection)?;
    Ok(())
}

#[derive(QueryableByName)]
struct FollowingTarget {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    filter: String,
}

fn following_targets(
    connection: &mut PgConnection,
    store: StoreId,
    skip: Option<TargetId>,
) -> Result<Vec<(TargetId, Filter)>, DbError> {
    let rows: Vec<FollowingTarget> = sql_query(
        "SELECT id, filter FROM targets WHERE store_id = $1 AND enabled AND mode = 'immediate' \
         AND deleted_at IS NULL AND id IS DISTINCT FROM $2",
    )
    .bind::<BigInt, _>(store.0)
    .bind::<Nullable<BigInt>, _>(skip.map(|target| target.0))
    .load(connection)?;
    rows.into_iter()
        .map(|row| {
            let filter = Filter::parse(&row.filter)
                .map_err(|error| DbError::Corrupt(format!("filter of target {}: {error}", row.id)))?;
            Ok((TargetId(row.id), filter))
        })
        .collect()
}

/// One row to insert.
struct Entry {
    target: TargetId,
    subject: SubjectId,
    trigger: Trigger,
    deprovision: bool,
    /// Only if the target may hold something for the subject.
    only_if_present: bool,
    /// The subject is out of scope: a removal, if the target holds something.
    gone: bool,
    changes: String,
}

/// Makes due work of changes for every target of the store that follows them,
/// except `skip` (the target whose write-back this is). Returns the targets
/// that got work, to be woken after the commit.
pub fn enqueue(
    connection: &mut PgConnection,
    store: StoreId,
    changes: &[Change],
    skip: Option<TargetId>,
) -> Result<Vec<TargetId>, DbError> {
    enqueue_judged(connection, store, changes, skip, &Verdicts::default())
}

/// The same for a part of something larger, whose removals the guard has judged
/// as a whole.
pub(in crate::storage) fn enqueue_judged(
    connection: &mut PgConnection,
    store: StoreId,
    changes: &[Change],
    skip: Option<TargetId>,
    verdicts: &Verdicts,
) -> Result<Vec<TargetId>, DbError> {
    let targets = following_targets(connection, store, skip)?;
    let now = Utc::now();
    let mut entries = Vec::new();
    for change in changes.iter().filter(|change| change.after.kind == SubjectKind::Account) {
        let names = changed_names(change);
        for (target, filter) in &targets {
            entries.push(entry(*target, filter, change, &names, now));
        }
    }
    insert(connection, &entries, verdicts)?;
    let mut woken: Vec<TargetId> = entries.iter().map(|entry| entry.target).collect();
    woken.sort_unstable();
    woken.dedup();
    Ok(woken)
}

fn changed_names(change: &Change) -> String {
    let names = change.before.as_ref().map(|before| changes(&before.draft(), &change.after.draft()));
    names.unwrap_or_default().into_iter().collect::<Vec<_>>().join("\n")
}

fn entry(target: TargetId, filter: &Filter, change: &Change, names: &str, now: DateTime<Utc>) -> Entry {
    let matched = change
        .before
        .as_ref()
        .is_some_and(|before| before.deleted_at.is_none() && filter.matches(before, now));
    let matches = change.after.deleted_at.is_none() && filter.matches(&change.after, now);
    let trigger = match (matched, matches) {
        (true, false) if change.trigger != Trigger::Deleted => Trigger::LeftFilter,
        (false, true) if change.before.is_some() => Trigger::EnteredFilter,
        _ => change.trigger,
    };
    Entry {
        target,
        subject: change.after.id,
        trigger,
        deprovision: matched && !matches,
        only_if_present: !matched && !matches,
        gone: !matches,
        changes: names.to_owned(),
    }
}

/// A removal that waits for a person goes on waiting when what comes in leaves
/// the subject out of scope.
macro_rules! keeps_waiting {
    () => {
        "(pending.departure = 'held' AND excluded.departure = 'due' AND EXISTS (SELECT FROM held h \
            WHERE h.id = pending.held_id AND h.state = 'open' AND h.expires_at > now()))"
    };
}

/// A removal that may run stays so, as long as nothing brings the subject back.
macro_rules! stays_cleared {
    () => {
        "(pending.departure = 'cleared' AND (excluded.departure IS NOT NULL OR excluded.trigger = 'manual'))"
    };
}

/// What happens when work comes in for a pair that has some already. A
/// deprovision that was called for stays called for, unless it has run and
/// waits for its next look (`schedule`), or was held and so never ran, while
/// the subject comes back. A row of a sweep that gets another reason is the
/// sweep's no more, so that cancelling the sweep leaves it; only a newer sweep of
/// the same kind takes it over.
const COALESCE: &str = concat!(
    "ON CONFLICT (target_id, subject_id) DO UPDATE SET \
    change_seq = excluded.change_seq, \
    reason = CASE WHEN pending.departure = 'held' AND excluded.departure IS NULL THEN excluded.reason \
        WHEN excluded.reason IS NULL AND excluded.trigger = 'enteredFilter' \
            AND pending.trigger = 'schedule' AND pending.owner IS NULL THEN NULL \
        ELSE coalesce(excluded.reason, pending.reason) END, \
    trigger = CASE WHEN pending.owner IS NULL AND pending.trigger IN ('manual', 'force', 'created', 'dependency') \
        THEN pending.trigger ELSE excluded.trigger END, \
    priority = least(pending.priority, excluded.priority), \
    changes = CASE WHEN excluded.changes <@ pending.changes THEN pending.changes \
        ELSE ARRAY(SELECT DISTINCT unnest(pending.changes || excluded.changes)) END, \
    attempts = 0, \
    sweep_id = CASE WHEN pending.trigger = excluded.trigger AND pending.sweep_id IS NOT NULL \
        THEN excluded.sweep_id END, \
    due_at = CASE WHEN pending.owner IS NOT NULL OR ",
    keeps_waiting!(),
    " THEN pending.due_at WHEN excluded.departure = 'held' AND NOT coalesce(",
    stays_cleared!(),
    ", false) THEN 'infinity' ELSE least(pending.due_at, excluded.due_at) END, \
    departure = CASE WHEN ",
    stays_cleared!(),
    " OR ",
    keeps_waiting!(),
    " THEN pending.departure ELSE excluded.departure END, \
    held_id = CASE WHEN ",
    stays_cleared!(),
    " OR ",
    keeps_waiting!(),
    " THEN pending.held_id ELSE excluded.held_id END"
);

fn insert(connection: &mut PgConnection, entries: &[Entry], verdicts: &Verdicts) -> Result<(), DbError> {
    if entries.is_empty() {
        return Ok(());
    }
    let column = |pick: fn(&Entry) -> i64| entries.iter().map(pick).collect::<Vec<_>>();
    let flags = |pick: fn(&Entry) -> bool| entries.iter().map(pick).collect::<Vec<_>>();
    let triggers: Vec<&str> = entries.iter().map(|entry| entry.trigger.as_str()).collect();
    let changes: Vec<&str> = entries.iter().map(|entry| entry.changes.as_str()).collect();
    let departures: Vec<Option<Departure>> = entries
        .iter()
        .map(|entry| entry.gone.then(|| verdicts.get(&entry.target).copied().unwrap_or(Departure::Due)))
        .collect();
    let words: Vec<Option<&str>> = departures.iter().map(|d| d.map(Departure::as_str)).collect();
    let lots: Vec<Option<i64>> = departures.iter().map(|d| d.and_then(Departure::lot)).collect();
    sql_query(format!(
        "INSERT INTO pending (target_id, subject_id, trigger, reason, priority, changes, due_at, departure, held_id) \
         SELECT i.target_id, i.subject_id, i.trigger, CASE WHEN i.deprovision THEN 'deprovision' END, $7, \
            CASE WHEN i.changes = '' THEN '{{}}' ELSE string_to_array(i.changes, E'\\n') END, \
            CASE WHEN i.departure = 'held' AND st.present THEN 'infinity' ELSE now() END, \
            CASE WHEN st.present THEN i.departure END, CASE WHEN st.present THEN i.held_id END \
         FROM unnest($1, $2, $3, $4, $5, $6, $8, $9) \
            AS i(target_id, subject_id, trigger, deprovision, only_if_present, changes, departure, held_id) \
         LEFT JOIN LATERAL (SELECT true AS present FROM provision_state st WHERE i.departure IS NOT NULL \
            AND st.target_id = i.target_id AND st.subject_id = i.subject_id AND st.present) st ON true \
         WHERE NOT i.only_if_present OR st.present {COALESCE}"
    ))
    .bind::<Array<BigInt>, _>(column(|entry| entry.target.0))
    .bind::<Array<BigInt>, _>(column(|entry| entry.subject.0))
    .bind::<Array<Text>, _>(triggers)
    .bind::<Array<Bool>, _>(flags(|entry| entry.deprovision))
    .bind::<Array<Bool>, _>(flags(|entry| entry.only_if_present))
    .bind::<Array<Text>, _>(changes)
    .bind::<SmallInt, _>(PRIORITY_CHANGE)
    .bind::<Array<Nullable<Text>>, _>(words)
    .bind::<Array<Nullable<BigInt>>, _>(lots)
    .execute(connection)?;
    Ok(())
}

/// Puts one subject ahead of the queue of a target.
pub fn enqueue_manual(
    connection: &mut PgConnection,
    target: TargetId,
    subject: SubjectId,
) -> Result<(), DbError> {
    sql_query(format!(
        "INSERT INTO pending (target_id, subject_id, trigger, priority) VALUES ($1, $2, 'manual', $3) \
         {COALESCE}"
    ))
    .bind::<BigInt, _>(target.0)
    .bind::<BigInt, _>(subject.0)
    .bind::<SmallInt, _>(PRIORITY_MANUAL)
    .execute(connection)?;
    Ok(())
}

/// The clause that sweeps use to insert beside changes.
pub(super) const fn coalesce_clause() -> &'static str {
    COALESCE
}
