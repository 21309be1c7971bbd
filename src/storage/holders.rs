//! Who had a name at a target before: in the transaction of a claim, a provision
//! is put back that takes what another subject may still hold there, until that
//! one's removal is done; and a removal is settled that would hit a subject which
//! has its place by now.
//!
//! No wake is missed, by the same means as in [`super::gate`]: a row is parked only
//! while this transaction keeps the other's work and state from being written, so
//! the completion that frees the name sees the parked row.

mod facts;
mod removals;

use std::collections::{HashMap, HashSet};

use diesel::sql_types::{Array, BigInt, Bool, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::DbError;
use super::former_names::{self, Former, folded};
use super::gate::{self, DUE_AGAIN};
use super::guard::Judged;
use super::prepared::prepared;
use super::subjects::numbers;
use crate::domain::ids::{HeldId, SubjectId, TargetId};
use crate::domain::status::Reason;
use crate::domain::subject::Subject;
use crate::domain::target::Target;
use crate::plan::Field;
pub use facts::Blocker;
pub(super) use facts::{Fact, Facts};
pub(super) use removals::lock_remote_ids;

/// Settles removals that would hit another subject, then parks provisions that
/// wait for one.
pub(super) fn admit<T: Judged>(
    connection: &mut PgConnection,
    target: &Target,
    rows: &mut Vec<T>,
) -> Result<(), DbError> {
    removals::settle(connection, target, rows)?;
    let mut names: Vec<Names<'_>> = rows.iter().filter_map(Names::of).collect();
    // Whoever goes first of those that swap names, it is always the same.
    names.sort_by_key(|row| row.subject.id);
    let claims = claims(connection, target, &names)?;
    if claims.is_empty() {
        return Ok(());
    }
    let stopped = stop(connection, target, &names, &claims)?;
    let out: HashSet<SubjectId> = stopped.iter().map(|row| row.subject).collect();
    rows.retain(|row| row.candidate().is_none_or(|candidate| !out.contains(&candidate.subject.id)));
    let (parked, postponed): (Vec<Stopped>, Vec<Stopped>) = stopped.into_iter().partition(|row| row.safe);
    park(connection, target, &parked)?;
    let postponed: Vec<(i64, i64)> = postponed.iter().map(|row| (row.subject.0, row.fence)).collect();
    gate::postpone(connection, target, &postponed)
}

/// What a provision takes at the target.
struct Names<'a> {
    subject: &'a Subject,
    fence: i64,
    returning: Option<&'a str>,
}

impl<'a> Names<'a> {
    fn of<T: Judged>(row: &'a T) -> Option<Self> {
        let candidate = row.candidate().filter(|candidate| candidate.reason == Reason::Provision)?;
        let gate::Candidate { subject, fence, returning, .. } = candidate;
        Some(Self { subject, fence, returning })
    }
}

/// Something that a subject takes and another one had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    field: Field,
    other: SubjectId,
    /// The version with which the other gave it up.
    given_up: i64,
}

/// By subject, what it takes that others had.
type Claims = HashMap<SubjectId, Vec<Claim>>;

fn claims(connection: &mut PgConnection, target: &Target, rows: &[Names<'_>]) -> Result<Claims, DbError> {
    let mut claims = Claims::new();
    if rows.is_empty() {
        return Ok(claims);
    }
    let user_names: Vec<String> =
        rows.iter().filter_map(|row| row.subject.user_name.as_deref()).map(folded).collect();
    let external_ids: Vec<&str> = rows.iter().filter_map(|row| row.subject.external_id.as_deref()).collect();
    let former = former_names::of_names(connection, target.id, &user_names, &external_ids)?;
    let mut by_name: HashMap<(Field, &str), Vec<&Former>> = HashMap::new();
    for former in &former {
        by_name.entry((former.field, &former.name)).or_default().push(former);
    }
    for row in rows.iter().filter(|_| !former.is_empty()) {
        let user_name = row.subject.user_name.as_deref().map(folded);
        let taken = [
            (Field::UserName, user_name.as_deref()),
            (Field::ExternalId, row.subject.external_id.as_deref()),
        ];
        let former = taken.iter().filter_map(|(field, name)| by_name.get(&(*field, (*name)?))).flatten();
        let of_others = former.filter(|former| former.subject != row.subject.id);
        let found: Vec<Claim> = of_others
            .map(|former| Claim { field: former.field, other: former.subject, given_up: former.version })
            .collect();
        if !found.is_empty() {
            claims.insert(row.subject.id, found);
        }
    }
    for (subject, other) in returning(connection, target.id, rows)? {
        let claim = Claim { field: Field::RemoteId, other, given_up: i64::MAX };
        claims.entry(subject).or_default().push(claim);
    }
    Ok(claims)
}

#[derive(QueryableByName)]
struct Pair {
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
    #[diesel(sql_type = BigInt)]
    other_id: i64,
}

/// Subjects that come back to a remote id, and who may hold it now.
fn returning(
    connection: &mut PgConnection,
    target: TargetId,
    rows: &[Names<'_>],
) -> Result<Vec<(SubjectId, SubjectId)>, DbError> {
    let (ids, remote_ids): (Vec<i64>, Vec<&str>) =
        rows.iter().filter_map(|row| Some((row.subject.id.0, row.returning?))).unzip();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let pairs: Vec<Pair> = sql_query(
        "SELECT i.subject_id, o.subject_id AS other_id FROM unnest($2, $3) AS i(subject_id, remote_id) \
         JOIN provision_state o ON o.target_id = $1 \
            AND hashtextextended(o.remote_id, 0) = hashtextextended(i.remote_id, 0) \
            AND o.remote_id = i.remote_id AND o.subject_id <> i.subject_id AND o.present",
    )
    .bind::<BigInt, _>(target.0)
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Text>, _>(remote_ids)
    .load(connection)?;
    Ok(pairs.into_iter().map(|pair| (SubjectId(pair.subject_id), SubjectId(pair.other_id))).collect())
}

/// A row that does not run now.
struct Stopped {
    subject: SubjectId,
    fence: i64,
    by: SubjectId,
    /// What it waits for cannot be written before it is parked.
    safe: bool,
}

/// The candidates that have to wait. Only for those is anything locked, and read
/// again under the lock. They are looked at one after the other: who is to wait
/// already keeps nobody waiting by a rename.
fn stop(
    connection: &mut PgConnection,
    target: &Target,
    rows: &[Names<'_>],
    claims: &Claims,
) -> Result<Vec<Stopped>, DbError> {
    let others = others(claims);
    let mut facts = Facts::load(connection, target, &others)?;
    if !claims.values().flatten().any(|claim| facts.undone(claim.other, claim.given_up).is_some()) {
        return Ok(Vec::new());
    }
    let seized = facts::seize(connection, target.id, &others)?;
    facts = Facts::load(connection, target, &others)?;
    let mut stopped = Vec::new();
    for row in rows {
        let claims = claims.get(&row.subject.id).into_iter().flatten();
        let undone = |claim: &Claim| Some((facts.undone(claim.other, claim.given_up)?, claim.other));
        let Some((_, by)) = claims.filter_map(undone).min() else { continue };
        facts.waits(row.subject.id);
        let safe = facts.get(by).is_some_and(|fact| seized.holds(by, fact));
        stopped.push(Stopped { subject: row.subject.id, fence: row.fence, by, safe });
    }
    Ok(stopped)
}

fn others(claims: &Claims) -> Vec<SubjectId> {
    let others: HashSet<SubjectId> = claims.values().flatten().map(|claim| claim.other).collect();
    let mut others: Vec<SubjectId> = others.into_iter().collect();
    others.sort_unstable();
    others
}

fn park(connection: &mut PgConnection, target: &Target, rows: &[Stopped]) -> Result<(), DbError> {
    if rows.is_empty() {
        return Ok(());
    }
    let column = |pick: fn(&Stopped) -> i64| rows.iter().map(pick).collect::<Vec<_>>();
    sql_query(
        "UPDATE pending p SET owner = NULL, fence = nextval('fence_seq'), due_at = 'infinity', \
            attempts = greatest(p.attempts - 1, 0), waits_for = i.waits_for, blocked_at = now() \
         FROM unnest($2, $3, $4) AS i(subject_id, fence, waits_for) \
         WHERE p.target_id = $1 AND p.subject_id = i.subject_id AND p.fence = i.fence",
    )
    .bind::<BigInt, _>(target.id.0)
    .bind::<Array<BigInt>, _>(column(|row| row.subject.0))
    .bind::<Array<BigInt>, _>(column(|row| row.fence))
    .bind::<Array<BigInt>, _>(column(|row| row.by.0))
    .execute(connection)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Freed {
    #[diesel(sql_type = Bool)]
    freed: bool,
}

struct Free;

/// Makes work of the target due that waits for one of these subjects, since
/// something was written about them. Returns whether there was some. A row that
/// somebody has locked is being made due, or looked at, by whoever did.
pub(super) fn free(
    connection: &mut PgConnection,
    target: TargetId,
    about: &[SubjectId],
) -> Result<bool, DbError> {
    let query = sql_query(format!(
        "WITH due AS MATERIALIZED (SELECT target_id, subject_id FROM pending \
            WHERE target_id = $1 AND waits_for = ANY($2) ORDER BY 1, 2 FOR NO KEY UPDATE SKIP LOCKED), \
         freed AS ({DUE_AGAIN}) \
         SELECT EXISTS (SELECT FROM freed) AS freed"
    ))
    .bind::<BigInt, _>(target.0)
    .bind::<Array<BigInt>, _>(numbers(about));
    Ok(prepared::<Free, _>(query).get_result::<Freed>(connection)?.freed)
}

/// Makes work due that waits for removals of a lot: they have been rejected, and
/// will not happen.
pub(super) fn free_from_lot(connection: &mut PgConnection, lot: HeldId) -> Result<(), DbError> {
    sql_query(format!(
        "WITH due AS MATERIALIZED (SELECT w.target_id, w.subject_id FROM pending h \
            JOIN pending w ON w.target_id = h.target_id AND w.waits_for = h.subject_id \
            WHERE h.held_id = $1 AND h.departure = 'held' ORDER BY 1, 2 FOR NO KEY UPDATE OF w SKIP LOCKED) \
         {DUE_AGAIN}"
    ))
    .bind::<BigInt, _>(lot.0)
    .execute(connection)?;
    Ok(())
}

/// Whom a provision of the subject waits for at the target, as people are told
/// about it.
pub fn waited_for(
    connection: &mut PgConnection,
    target: &Target,
    subject: &Subject,
    returning: Option<&str>,
) -> Result<Vec<Blocker>, DbError> {
    let names = [Names { subject, fence: 0, returning }];
    let claims = claims(connection, target, &names)?;
    let facts = Facts::load(connection, target, &others(&claims))?;
    let mut blockers: Vec<Blocker> = claims
        .into_values()
        .flatten()
        .filter_map(|claim| facts.blocker(claim.other, claim.field, claim.given_up))
        .collect();
    blockers.sort_by_key(|blocker| (blocker.undone, blocker.subject, blocker.field));
    blockers.dedup_by_key(|blocker| blocker.subject);
    Ok(blockers)
}
