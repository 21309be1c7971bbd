//! Who belongs to what, from the side of the container.

mod named;
mod pairs;

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Timestamptz};

use super::DbError;
use super::schema::{memberships, subjects};
use super::subjects::{SubjectError, Written, lock, lock_live, note_members_changed, touch};
use crate::domain::ids::{SubjectId, TargetId};
use crate::domain::subject::{Container, Subject, SubjectKind};

pub(super) use pairs::{Pair, join, leave};

/// A member of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The account.
    pub id: SubjectId,
    /// Its log-in name.
    pub user_name: String,
    /// Its name for people.
    pub display_name: Option<String>,
}

/// Live members of a container, whose membership is in force, after the id
/// `after`, at most `limit`, in the order of their ids.
///
/// # Errors
/// Only what the database itself does.
pub fn page(
    connection: &mut PgConnection,
    container: SubjectId,
    after: i64,
    limit: i64,
) -> Result<Vec<Member>, DbError> {
    let now = diesel::dsl::now.into_sql::<Nullable<Timestamptz>>();
    let rows: Vec<(i64, Option<String>, Option<String>)> = memberships::table
        .inner_join(subjects::table.on(subjects::id.eq(memberships::member_id)))
        .filter(memberships::container_id.eq(container.0).and(memberships::member_id.gt(after)))
        .filter(subjects::deleted_at.is_null())
        .filter(memberships::valid_from.is_null().or(memberships::valid_from.le(now)))
        .filter(memberships::valid_through.is_null().or(memberships::valid_through.gt(now)))
        .order(memberships::member_id)
        .limit(limit)
        .select((subjects::id, subjects::user_name, subjects::display_name))
        .load(connection)?;
    let member = |(id, user_name, display_name): (i64, Option<String>, _)| Member {
        id: SubjectId(id),
        user_name: user_name.unwrap_or_default(),
        display_name,
    };
    Ok(rows.into_iter().map(member).collect())
}

/// Runs a write of a container and then makes `members`, if given, its only
/// members, all in one transaction.
///
/// # Errors
/// What `write` and [`set`] say; nothing is written then.
pub fn with_members(
    connection: &mut PgConnection,
    members: Option<&[String]>,
    write: impl FnOnce(&mut PgConnection) -> Result<Written, SubjectError>,
) -> Result<Written, SubjectError> {
    connection.transaction(|connection| {
        let mut written = write(connection)?;
        if let Some(members) = members {
            let after = set(connection, written.subject.kind, written.subject.id, members)?;
            written.subject = after.subject;
            written.nudge.extend(after.nudge);
        }
        Ok(written)
    })
}

/// Makes the accounts that `members` names by id or user name the only members
/// of a container.
///
/// # Errors
/// [`SubjectError::Invalid`] when a name stands for no account or for two.
pub fn set(
    connection: &mut PgConnection,
    kind: SubjectKind,
    container: SubjectId,
    members: &[String],
) -> Result<Written, SubjectError> {
    connection.transaction(|connection| {
        let container = lock_live(connection, kind, container, None)?;
        let current = member_ids(connection, container.id)?;
        let wanted = named::accounts(connection, container.store, "members", members)?;
        let joining = wanted.difference(&current).copied().collect();
        let leaving = current.difference(&wanted).copied().collect();
        change(connection, container, joining, leaving)
    })
}

/// Adds one account to a container; an account leaves its organization when
/// it joins another one.
///
/// # Errors
/// [`SubjectError::Invalid`] when there is no such account.
pub fn add(
    connection: &mut PgConnection,
    kind: SubjectKind,
    container: SubjectId,
    account: SubjectId,
) -> Result<Written, SubjectError> {
    connection.transaction(|connection| {
        let container = lock_live(connection, kind, container, None)?;
        named::account(connection, container.store, "accountId", account)?;
        let joining = if is_member(connection, container.id, account)? { vec![] } else { vec![account] };
        change(connection, container, joining, Vec::new())
    })
}

/// Takes one account out of a container.
///
/// # Errors
/// [`SubjectError::NotFound`] of an account that is no member.
pub fn remove(
    connection: &mut PgConnection,
    kind: SubjectKind,
    container: SubjectId,
    account: SubjectId,
) -> Result<Written, SubjectError> {
    connection.transaction(|connection| {
        let container = lock_live(connection, kind, container, None)?;
        if !is_member(connection, container.id, account)? {
            return Err(SubjectError::NotFound(SubjectKind::Account));
        }
        change(connection, container, Vec::new(), vec![account])
    })
}

fn member_ids(connection: &mut PgConnection, container: SubjectId) -> Result<BTreeSet<SubjectId>, DbError> {
    let ids: Vec<i64> = memberships::table
        .inner_join(subjects::table.on(subjects::id.eq(memberships::member_id)))
        .filter(memberships::container_id.eq(container.0))
        .filter(subjects::deleted_at.is_null())
        .select(memberships::member_id)
        .load(connection)?;
    Ok(ids.into_iter().map(SubjectId).collect())
}

fn is_member(
    connection: &mut PgConnection,
    container: SubjectId,
    account: SubjectId,
) -> Result<bool, DbError> {
    let row = memberships::table.find((account.0, container.0)).select(memberships::member_id);
    Ok(row.first::<i64>(connection).optional()?.is_some())
}

/// Lets accounts join and leave a locked container. Both lists are sorted.
fn change(
    connection: &mut PgConnection,
    before: Subject,
    joining: Vec<SubjectId>,
    leaving: Vec<SubjectId>,
) -> Result<Written, SubjectError> {
    if joining.is_empty() && leaving.is_empty() {
        return Ok(Written { before: Some(before.clone()), subject: before, nudge: Vec::new() });
    }
    let everyone: BTreeSet<SubjectId> = joining.iter().chain(&leaving).copied().collect();
    lock(connection, &everyone.into_iter().collect::<Vec<_>>())?;
    let mut nudge = admit(connection, &before, &joining)?;
    nudge.extend(dismiss(connection, &before, &leaving)?);
    let (subject, targets) = note_members_changed(connection, &before)?;
    nudge.extend(targets);
    Ok(Written { before: Some(before), subject, nudge })
}

fn admit(
    connection: &mut PgConnection,
    container: &Subject,
    members: &[SubjectId],
) -> Result<Vec<TargetId>, DbError> {
    let joined = as_container(container);
    let exclusive = container.kind == SubjectKind::Organization;
    let nudge = touch(connection, container.store, members, |containers| {
        containers.retain(|other| !(exclusive && other.kind == joined.kind) && other.id != joined.id);
        containers.push(joined.clone());
    })?;
    if exclusive {
        pairs::leave_organizations(connection, members)?;
    }
    join(connection, &pairs_of(container, members))?;
    Ok(nudge)
}

fn dismiss(
    connection: &mut PgConnection,
    container: &Subject,
    members: &[SubjectId],
) -> Result<Vec<TargetId>, DbError> {
    let nudge = touch(connection, container.store, members, |containers| {
        containers.retain(|other| other.id != container.id);
    })?;
    leave(connection, &pairs_of(container, members))?;
    Ok(nudge)
}

fn as_container(subject: &Subject) -> Container {
    Container {
        id: subject.id,
        kind: subject.kind,
        display_name: subject.display_name.clone().unwrap_or_default(),
        external_id: subject.external_id.clone(),
    }
}

fn pairs_of(container: &Subject, members: &[SubjectId]) -> Vec<Pair> {
    members.iter().map(|member| Pair { member: *member, container: container.id }).collect()
}
