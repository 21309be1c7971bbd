//! Subjects: reading them, and the writes that make due work of a change in
//! its own transaction.
//!
//! Every writer takes its locks in this order: the store's advisory locks
//! (`lock_for_write`), rows of subjects (a container before its members,
//! members by id), rows of the queue. A group's version counts what is said
//! of the group itself; accounts that name it do not touch its row, or every
//! account of a large group would queue behind the others.

mod conflict;
mod names;
mod patch;
mod remove;
mod restore;
mod rows;
mod same;
mod save;
mod touch;
mod write;
mod written_back;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use serde_json::{Map, Value};

use self::conflict::Wanted;
use super::{DbError, queue};
use crate::domain::ids::{StoreId, SubjectId, TargetId};
use crate::domain::json::Path;
use crate::domain::subject::{FieldError, Subject, SubjectDraft, SubjectKind};
use crate::plan::WriteBacks;

pub use patch::SubjectPatch;
pub use remove::delete;
pub(super) use remove::remove;
pub(super) use restore::deleted;
pub use restore::restore;
pub use rows::{load, load_for_update, store_of};
pub(super) use rows::{lock, numbers};
pub(super) use save::{Edit, Outcome, save};
pub(super) use touch::{note_members_changed, touch};
pub(super) use written_back::keep_written_back;

/// Why a subject was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// There never was such a subject of this kind.
    #[error("there is no such {0}")]
    NotFound(SubjectKind),
    /// There never was a subject with this id.
    #[error("there is no subject with this id")]
    Unknown,
    /// There was one.
    #[error("the {kind} was deleted at {}", .at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))]
    Deleted {
        /// Which kind it was.
        kind: SubjectKind,
        /// When.
        at: DateTime<Utc>,
    },
    /// Rules that fields break.
    #[error("{} of the fields cannot be stored", .0.len())]
    Invalid(Vec<FieldError>),
    /// Another live subject of the store and kind has the same value.
    #[error("{} has the same `{field}`", holder_text(.holder.as_ref()))]
    Conflict {
        /// The field.
        field: &'static str,
        /// Which one, if it still could be found.
        holder: Option<(SubjectKind, SubjectId)>,
    },
    /// The caller expected another version.
    #[error("the version is {current} by now")]
    VersionMismatch {
        /// The version that the store holds.
        current: i64,
    },
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

fn holder_text(holder: Option<&(SubjectKind, SubjectId)>) -> String {
    holder.map_or("another one".into(), |(kind, id)| format!("{kind} {id}"))
}

impl From<DieselError> for SubjectError {
    fn from(error: DieselError) -> Self {
        let field = match &error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info) => {
                match info.constraint_name() {
                    Some("subjects_user_name") => "userName",
                    Some("subjects_external_id") => "externalId",
                    Some("subjects_display_name") => "displayName",
                    _ => return Self::Db(error.into()),
                }
            }
            _ => return Self::Db(error.into()),
        };
        Self::Conflict { field, holder: None }
    }
}

/// What a write did.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The subject before, `None` when it was created.
    pub before: Option<Subject>,
    /// The subject after.
    pub subject: Subject,
    /// The targets that got work, to be nudged after the commit.
    pub nudge: Vec<TargetId>,
}

/// The subject of this kind with this id.
///
/// # Errors
/// [`SubjectError::NotFound`], [`SubjectError::Deleted`].
pub fn find(
    connection: &mut PgConnection,
    kind: SubjectKind,
    id: SubjectId,
) -> Result<Subject, SubjectError> {
    live(load(connection, &[id])?.pop(), kind)
}

fn live(subject: Option<Subject>, kind: SubjectKind) -> Result<Subject, SubjectError> {
    let subject = subject.filter(|subject| subject.kind == kind).ok_or(SubjectError::NotFound(kind))?;
    match subject.deleted_at {
        Some(at) => Err(SubjectError::Deleted { kind, at }),
        None => Ok(subject),
    }
}

/// Stores a new subject, or restores the deleted one that had the external id.
/// Groups and the organization that the draft names and that do not exist are made.
///
/// # Errors
/// [`SubjectError::Invalid`], [`SubjectError::Conflict`]; nothing is written then.
pub fn create(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
    draft: SubjectDraft,
) -> Result<Written, SubjectError> {
    refuse(errors(&draft, kind))?;
    let wanted = Wanted::of(store, kind, &draft);
    let created = connection.transaction(|connection| {
        lock_for_write(connection, store, kind)?;
        if let Some(restored) = restore::returning(connection, store, kind, &draft)? {
            return Ok(restored);
        }
        save(connection, store, kind, vec![Edit { before: None, draft }])?.only()
    });
    created.map_err(|error| wanted.explain(connection, error))
}

/// Replaces the record of a subject. An equal record changes nothing, not even
/// the version. Attributes that logic wrote and the record leaves out stay.
/// `if_match` lists the versions that the caller expects.
///
/// # Errors
/// Every one of [`SubjectError`]; nothing is written then.
pub fn replace(
    connection: &mut PgConnection,
    kind: SubjectKind,
    id: SubjectId,
    draft: SubjectDraft,
    if_match: Option<&[i64]>,
) -> Result<Written, SubjectError> {
    edit(connection, kind, id, if_match, |connection, before| {
        let mut edits = [Edit { before: Some(before), draft }];
        keep_written_back(connection, &mut edits)?;
        let [edit] = edits;
        Ok(edit)
    })
}

/// Applies a merge patch (RFC 7396) to a subject; otherwise like [`replace`].
///
/// # Errors
/// Every one of [`SubjectError`]; nothing is written then.
pub fn patch(
    connection: &mut PgConnection,
    kind: SubjectKind,
    id: SubjectId,
    patch: &SubjectPatch,
    if_match: Option<&[i64]>,
) -> Result<Written, SubjectError> {
    edit(connection, kind, id, if_match, |_, before| {
        let draft = patch.apply(before.draft());
        Ok(Edit { before: Some(before), draft })
    })
}

fn edit(
    connection: &mut PgConnection,
    kind: SubjectKind,
    id: SubjectId,
    if_match: Option<&[i64]>,
    change: impl FnOnce(&mut PgConnection, Subject) -> Result<Edit, DbError>,
) -> Result<Written, SubjectError> {
    let mut wanted = None;
    let edited = connection.transaction(|connection| {
        let before = lock_live(connection, kind, id, if_match)?;
        let store = before.store;
        let edit = change(connection, before)?;
        refuse(errors(&edit.draft, kind))?;
        wanted = Some(Wanted::of(store, kind, &edit.draft));
        let mut nudge = match &edit.before {
            Some(before) => touch::rename(connection, before, &edit.draft)?,
            None => Vec::new(),
        };
        let mut written = save(connection, store, kind, vec![edit])?.only()?;
        written.nudge.append(&mut nudge);
        Ok(written)
    });
    edited.map_err(|error| match wanted {
        Some(wanted) => wanted.explain(connection, error),
        None => error,
    })
}

/// Locks a live subject for a write and checks what the caller expected of it.
pub(super) fn lock_live(
    connection: &mut PgConnection,
    kind: SubjectKind,
    id: SubjectId,
    if_match: Option<&[i64]>,
) -> Result<Subject, SubjectError> {
    let store = store_of(connection, id)?.ok_or(SubjectError::NotFound(kind))?;
    lock_for_write(connection, store, kind)?;
    let subject = live(load_for_update(connection, id)?, kind)?;
    expect_version(&subject, if_match)?;
    Ok(subject)
}

fn expect_version(subject: &Subject, if_match: Option<&[i64]>) -> Result<(), SubjectError> {
    match if_match {
        Some(versions) if !versions.contains(&subject.version) => {
            Err(SubjectError::VersionMismatch { current: subject.version })
        }
        _ => Ok(()),
    }
}

/// The advisory locks of a writer: filters stay as they are, and a container
/// is not renamed or deleted while an account joins it.
pub(super) fn lock_for_write(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
) -> Result<(), DbError> {
    queue::lock_store_shared(connection, store)?;
    let function = match kind {
        SubjectKind::Account => "pg_advisory_xact_lock_shared",
        _ => "pg_advisory_xact_lock",
    };
    diesel::sql_query(format!("SELECT {function}(hashtext('containers'), hashint8($1))"))
        .bind::<diesel::sql_types::BigInt, _>(store.0)
        .execute(connection)?;
    Ok(())
}

/// Replaces the attributes of a subject that the caller has locked and holds
/// as `before`, with what is known of write-backs from then on; makes no work.
/// Returns the subject after.
///
/// # Errors
/// Only what the database itself does.
pub fn set_attributes(
    connection: &mut PgConnection,
    before: &Subject,
    attributes: Map<String, Value>,
    written_back: &[Path],
    known: &WriteBacks,
) -> Result<Subject, DbError> {
    let written_back: Vec<String> = written_back.iter().map(written_back::text).collect();
    let stamp = write::set_attributes(connection, before.id, &attributes, &written_back, known)?;
    Ok(Subject { attributes, version: stamp.version, updated_at: stamp.updated_at, ..before.clone() })
}

/// Every rule that a draft of this kind breaks.
pub(super) fn errors(draft: &SubjectDraft, kind: SubjectKind) -> Vec<FieldError> {
    let mut errors = draft.errors(kind);
    if kind != SubjectKind::Account {
        let mut forbid = |given: bool, field: &str| {
            if given {
                errors.push(FieldError::new(field, "belongs to accounts only"));
            }
        };
        forbid(draft.user_name.is_some(), "userName");
        forbid(!draft.groups.is_empty(), "groups");
        forbid(draft.organization.is_some(), "organization");
    }
    errors
}

fn refuse(errors: Vec<FieldError>) -> Result<(), SubjectError> {
    if errors.is_empty() { Ok(()) } else { Err(SubjectError::Invalid(errors)) }
}
