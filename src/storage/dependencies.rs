//! `dependsOn`: which target waits for which other one of its store. Stored by
//! id, so that a renamed target keeps its place; shown by name.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Nullable, SmallInt, Text};
use diesel::{QueryableByName, sql_query};
use serde_json::Value;

use super::DbError;
use super::complete::Completion;
use super::queue::{PRIORITY_CHANGE, PRIORITY_SWEEP, coalesce_clause, lock_store_shared};
use super::schema::{target_dependencies, targets};
use super::subjects;
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::status::Trigger;
use crate::domain::target::Target;
use crate::plan::{Links, Node, cycle};

/// Why a target cannot depend on what was named.
#[derive(Debug, thiserror::Error)]
pub enum DependencyError {
    /// The store has no such target.
    #[error("names `{0}`, which is no target of this store")]
    Unknown(String),
    /// The target itself.
    #[error("must not name the target itself")]
    Itself,
    /// The way round, by names.
    #[error("would make targets wait for each other for ever: {0}")]
    Cycle(String),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for DependencyError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Tells targets what they depend on, in the order in which those are listed.
pub(super) fn fill(connection: &mut PgConnection, found: &mut [Target]) -> Result<(), DbError> {
    let ids: Vec<i64> = found.iter().map(|target| target.id.0).collect();
    let pairs: Vec<(i64, i64, String)> = target_dependencies::table
        .inner_join(targets::table.on(targets::id.eq(target_dependencies::needs_id)))
        .filter(target_dependencies::target_id.eq_any(&ids))
        .order((targets::ordering, targets::id))
        .select((target_dependencies::target_id, target_dependencies::needs_id, targets::name))
        .load(connection)?;
    for target in found {
        for (_, needs, name) in pairs.iter().filter(|(id, ..)| *id == target.id.0) {
            target.needs.push(TargetId(*needs));
            target.settings.depends_on.push(name.clone());
        }
    }
    Ok(())
}

/// Replaces what a target depends on. The caller holds the lock of the store, or
/// has just made the target.
pub(super) fn save(
    connection: &mut PgConnection,
    store: StoreId,
    target: TargetId,
    wanted: &[String],
) -> Result<(), DependencyError> {
    let known: Vec<(i64, String)> = targets::table
        .filter(targets::store_id.eq(store.0))
        .filter(targets::deleted_at.is_null())
        .select((targets::id, targets::name))
        .load(connection)?;
    let mut needs =
        wanted.iter().map(|wanted| resolve(&known, target, wanted)).collect::<Result<Vec<_>, _>>()?;
    needs.sort_unstable();
    needs.dedup();
    refuse_cycle(connection, &known, target, &needs)?;
    diesel::delete(target_dependencies::table.filter(target_dependencies::target_id.eq(target.0)))
        .execute(connection)?;
    let row = |needs: &TargetId| {
        (target_dependencies::target_id.eq(target.0), target_dependencies::needs_id.eq(needs.0))
    };
    let rows: Vec<_> = needs.iter().map(row).collect();
    diesel::insert_into(target_dependencies::table).values(rows).execute(connection)?;
    Ok(())
}

fn resolve(known: &[(i64, String)], target: TargetId, wanted: &str) -> Result<TargetId, DependencyError> {
    let same = |(id, name): &&(i64, String)| name.eq_ignore_ascii_case(wanted) || id.to_string() == wanted;
    match known.iter().find(same) {
        Some((id, _)) if *id == target.0 => Err(DependencyError::Itself),
        Some((id, _)) => Ok(TargetId(*id)),
        None => Err(DependencyError::Unknown(wanted.to_owned())),
    }
}

fn refuse_cycle(
    connection: &mut PgConnection,
    known: &[(i64, String)],
    target: TargetId,
    needs: &[TargetId],
) -> Result<(), DependencyError> {
    let names: HashMap<i64, &str> = known.iter().map(|(id, name)| (*id, name.as_str())).collect();
    let ids: Vec<i64> = known.iter().map(|(id, _)| *id).collect();
    let pairs: Vec<(i64, i64)> = target_dependencies::table
        .filter(target_dependencies::target_id.eq_any(&ids))
        .select((target_dependencies::target_id, target_dependencies::needs_id))
        .load(connection)?;
    let needs_of = |id: i64| match id == target.0 {
        true => needs.to_vec(),
        false => pairs.iter().filter(|(of, _)| *of == id).map(|(_, needs)| TargetId(*needs)).collect(),
    };
    let node = |id: &i64| Node { id: TargetId(*id), order: 0, served: true, needs: needs_of(*id) };
    let nodes: Vec<Node> = ids.iter().map(node).collect();
    let Some(way) = cycle(target, &nodes) else { return Ok(()) };
    let named: Vec<&str> = way.iter().map(|id| names.get(&id.0).copied().unwrap_or("?")).collect();
    Err(DependencyError::Cycle(named.join(" → ")))
}

/// A sentence about those that depend on a target, `None` when nobody does.
pub(super) fn needed_by(connection: &mut PgConnection, target: TargetId) -> Result<Option<String>, DbError> {
    let names: Vec<String> = target_dependencies::table
        .inner_join(targets::table.on(targets::id.eq(target_dependencies::target_id)))
        .filter(target_dependencies::needs_id.eq(target.0))
        .filter(targets::deleted_at.is_null())
        .order(targets::id)
        .select(targets::name)
        .load(connection)?;
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    Ok((!names.is_empty()).then(|| {
        let depend = if names.len() == 1 { "depends" } else { "depend" };
        format!("{} {depend} on the target: take it out of their `dependsOn` first", quoted.join(", "))
    }))
}

#[derive(QueryableByName)]
struct Changed {
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
}

/// The subjects of a batch at whose dependents something must run again: what
/// the run leaves is not what those were given. Locks what the enqueuing will
/// touch, in the order of every writer: so it comes first in a transaction.
pub(super) fn changed(
    connection: &mut PgConnection,
    batch: &[Completion],
    links: &Links,
) -> Result<Vec<SubjectId>, DbError> {
    let (Some(first), dependents) = (batch.first(), numbers(&links.dependents())) else {
        return Ok(Vec::new());
    };
    if dependents.is_empty() {
        return Ok(Vec::new());
    }
    let column = |pick: fn(&Completion) -> i64| batch.iter().map(pick).collect::<Vec<_>>();
    let remotes: Vec<Option<&str>> = batch.iter().map(|c| c.conclusion.remote_id.as_deref()).collect();
    let metadata: Vec<Option<&Value>> = batch.iter().map(|c| c.conclusion.metadata.as_ref()).collect();
    let statuses: Vec<&str> = batch.iter().map(|c| c.conclusion.status.as_str()).collect();
    let changed: Vec<Changed> = sql_query(
        "SELECT DISTINCT i.subject_id FROM unnest($2, $3, $4, $5, $6) \
            AS i(subject_id, fence, remote_id, metadata, status) \
         JOIN pending p ON p.target_id = $1 AND p.subject_id = i.subject_id AND p.fence = i.fence \
            AND p.owner IS NOT NULL \
         LEFT JOIN provision_state st ON st.target_id = $1 AND st.subject_id = i.subject_id \
         WHERE (i.remote_id <> coalesce(st.remote_id, '') OR i.metadata IS DISTINCT FROM st.metadata \
                AND i.metadata IS NOT NULL OR i.status = 'deprovisioned' AND st.provisioned) \
            AND EXISTS (SELECT FROM unnest($7) AS d(target_id) WHERE \
                EXISTS (SELECT FROM provision_state ds WHERE ds.target_id = d.target_id \
                    AND ds.subject_id = i.subject_id AND ds.provisioned) \
                OR EXISTS (SELECT FROM pending dp WHERE dp.target_id = d.target_id \
                    AND dp.subject_id = i.subject_id AND dp.owner IS NOT NULL)) \
         ORDER BY 1",
    )
    .bind::<BigInt, _>(first.target.0)
    .bind::<Array<BigInt>, _>(column(|c| c.subject.0))
    .bind::<Array<BigInt>, _>(column(|c| c.fence))
    .bind::<Array<Nullable<Text>>, _>(remotes)
    .bind::<Array<Nullable<Jsonb>>, _>(metadata)
    .bind::<Array<Text>, _>(statuses)
    .bind::<Array<BigInt>, _>(dependents)
    .load(connection)?;
    let changed: Vec<SubjectId> = changed.into_iter().map(|row| SubjectId(row.subject_id)).collect();
    if !changed.is_empty() {
        lock(connection, batch, &changed)?;
    }
    Ok(changed)
}

/// Also what `write_back` will lock, or the two would take them out of order.
fn lock(connection: &mut PgConnection, batch: &[Completion], changed: &[SubjectId]) -> Result<(), DbError> {
    let written_back = batch.iter().filter(|c| c.conclusion.attributes.is_some()).map(|c| c.subject);
    let all: Vec<SubjectId> = written_back.chain(changed.iter().copied()).collect();
    if let Some(store) = subjects::store_of(connection, all[0])? {
        lock_store_shared(connection, store)?;
    }
    subjects::lock(connection, &all)
}

#[derive(QueryableByName)]
struct Woken {
    #[diesel(sql_type = BigInt)]
    target_id: i64,
}

/// Makes work for those that depend on the target of a batch and have provisioned
/// these subjects of it, or are about to have; their removals stay as they are.
/// What a sweep has changed stands behind what a change has. Returns who got
/// some.
pub(super) fn enqueue(
    connection: &mut PgConnection,
    batch: &[Completion],
    links: &Links,
    changed: &[SubjectId],
) -> Result<Vec<TargetId>, DbError> {
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let by_sweep = |completion: &&Completion| {
        let trigger = completion.run.as_ref().map(|run| run.trigger);
        matches!(trigger, Some(Trigger::Force | Trigger::Enabled | Trigger::FilterChanged))
    };
    let swept: HashSet<SubjectId> =
        batch.iter().filter(by_sweep).map(|completion| completion.subject).collect();
    let (swept, fresh): (Vec<SubjectId>, Vec<SubjectId>) =
        changed.iter().copied().partition(|subject| swept.contains(subject));
    let mut woken = insert(connection, links, &fresh, PRIORITY_CHANGE)?;
    woken.extend(insert(connection, links, &swept, PRIORITY_SWEEP)?);
    Ok(woken)
}

fn insert(
    connection: &mut PgConnection,
    links: &Links,
    changed: &[SubjectId],
    priority: i16,
) -> Result<Vec<TargetId>, DbError> {
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    let woken: Vec<Woken> = sql_query(format!(
        "INSERT INTO pending (target_id, subject_id, trigger, priority) \
         SELECT t.id, s.id, $3, $4 FROM targets t CROSS JOIN unnest($2) AS s(id) \
         WHERE t.id = ANY($1) AND t.enabled AND t.mode = 'immediate' AND t.deleted_at IS NULL \
            AND (EXISTS (SELECT FROM provision_state st WHERE st.target_id = t.id AND st.subject_id = s.id \
                AND st.provisioned) \
            OR EXISTS (SELECT FROM pending p WHERE p.target_id = t.id AND p.subject_id = s.id)) \
         ORDER BY 1, 2 {} WHERE pending.departure IS NULL RETURNING target_id",
        coalesce_clause()
    ))
    .bind::<Array<BigInt>, _>(numbers(&links.dependents()))
    .bind::<Array<BigInt>, _>(subjects::numbers(changed))
    .bind::<Text, _>(Trigger::Dependency.as_str())
    .bind::<SmallInt, _>(priority)
    .load(connection)?;
    Ok(woken.into_iter().map(|row| TargetId(row.target_id)).collect())
}

/// The bare numbers of ids, as a bind.
pub(super) fn numbers(ids: &[TargetId]) -> Vec<i64> {
    ids.iter().map(|id| id.0).collect()
}
