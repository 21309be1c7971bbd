//! Removals that would hit another subject: it has adopted the same remote id, or
//! has taken the name where there is no remote id to tell them apart.

use std::collections::HashMap;

use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};

use super::Facts;
use crate::domain::ids::{SubjectId, TargetId};
use crate::domain::target::Target;
use crate::plan::Shared;
use crate::storage::DbError;
use crate::storage::guard::Judged;

const REMOTE_IDS_LOCK: i32 = 7_010;

/// Has removals and the taking of remote ids at a target come one after the other,
/// so that neither is judged by what the other is changing. To be taken before
/// rows of the queue, or by a claim, which locks rows that nobody waits for.
pub(in crate::storage) fn lock_remote_ids(
    connection: &mut PgConnection,
    target: TargetId,
) -> Result<(), DbError> {
    sql_query("SELECT pg_advisory_xact_lock($1, hashint8($2))")
        .bind::<diesel::sql_types::Integer, _>(REMOTE_IDS_LOCK)
        .bind::<BigInt, _>(target.0)
        .execute(connection)?;
    Ok(())
}

/// Settles those of the rows that would remove what belongs to another subject by
/// now.
pub(super) fn settle<T: Judged>(
    connection: &mut PgConnection,
    target: &Target,
    rows: &mut [T],
) -> Result<(), DbError> {
    let leaving: Vec<(SubjectId, Option<&str>)> =
        rows.iter().filter_map(Judged::leaver).map(|leaver| (leaver.subject, leaver.remote_id)).collect();
    if leaving.is_empty() {
        return Ok(());
    }
    lock_remote_ids(connection, target.id)?;
    let pairs = pairs(connection, target, &leaving)?;
    if pairs.is_empty() {
        return Ok(());
    }
    let others: Vec<SubjectId> = pairs.iter().map(|pair| SubjectId(pair.other_id)).collect();
    let facts = Facts::load(connection, target, &others)?;
    let mut whys: HashMap<SubjectId, String> = HashMap::new();
    for pair in pairs {
        let other = facts.get(SubjectId(pair.other_id)).filter(|fact| fact.holder.stays());
        let Some(other) = other else { continue };
        let staying = other.remote_id.as_deref();
        let shared = Shared { leaving: pair.remote_id.as_deref(), staying, name: pair.name.is_some() };
        if shared.is_the_same() {
            let what = match (&pair.remote_id, &pair.name) {
                (Some(remote_id), _) if shared.leaving == staying => format!("the remote id `{remote_id}`"),
                (_, name) => format!("the name `{}`", name.as_deref().unwrap_or_default()),
            };
            let (name, id) = (other.name(), other.subject.id);
            let why = format!("not removed: {what} belongs to `{name}` (account {id}) here by now");
            whys.insert(SubjectId(pair.subject_id), why);
        }
    }
    for row in rows {
        let why = row.leaver().and_then(|leaver| whys.remove(&leaver.subject));
        if let Some(why) = why {
            row.settle(target.id, why);
        }
    }
    Ok(())
}

/// Two links that may mean the same thing at the target.
#[derive(QueryableByName)]
struct Pair {
    #[diesel(sql_type = BigInt)]
    subject_id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    remote_id: Option<String>,
    #[diesel(sql_type = BigInt)]
    other_id: i64,
    /// The name that the other one has taken.
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
}

/// By the name that the removal would go by. It counts as taken when the other has
/// no name left that the target may know it by as well.
macro_rules! by_name {
    ($leaving:literal, $staying:literal) => {
        concat!(
            "SELECT i.subject_id, i.remote_id, o.subject_id, ",
            $leaving,
            " FROM unnest($3, $4) AS i(subject_id, remote_id) \
             JOIN subjects l ON l.id = i.subject_id \
             JOIN subjects s ON s.store_id = $2 AND s.kind = 'account' AND s.deleted_at IS NULL \
                AND s.id <> i.subject_id AND ",
            $staying,
            " = ",
            $leaving,
            " JOIN provision_state o ON o.target_id = $1 AND o.subject_id = s.id AND o.present \
                AND NOT EXISTS (SELECT FROM former_names n WHERE n.subject_id = s.id AND n.version > o.taken_version)"
        )
    };
}

const PAIRS: &str = concat!(
    "SELECT i.subject_id, i.remote_id, o.subject_id AS other_id, NULL AS name \
     FROM unnest($3, $4) AS i(subject_id, remote_id) \
     JOIN provision_state o ON o.target_id = $1 \
        AND hashtextextended(o.remote_id, 0) = hashtextextended(i.remote_id, 0) \
        AND o.remote_id = i.remote_id AND o.subject_id <> i.subject_id AND o.present UNION ALL ",
    by_name!("lower(l.user_name COLLATE \"C\")", "lower(s.user_name COLLATE \"C\")"),
    " UNION ALL ",
    by_name!("l.external_id", "s.external_id"),
    " ORDER BY 1, 3"
);

fn pairs(
    connection: &mut PgConnection,
    target: &Target,
    leaving: &[(SubjectId, Option<&str>)],
) -> Result<Vec<Pair>, DbError> {
    let ids: Vec<i64> = leaving.iter().map(|(subject, _)| subject.0).collect();
    let remote_ids: Vec<Option<&str>> = leaving.iter().map(|(_, remote_id)| *remote_id).collect();
    let pairs = sql_query(PAIRS)
        .bind::<BigInt, _>(target.id.0)
        .bind::<BigInt, _>(target.store.0)
        .bind::<Array<BigInt>, _>(ids)
        .bind::<Array<Nullable<Text>>, _>(remote_ids)
        .load(connection)?;
    Ok(pairs)
}
