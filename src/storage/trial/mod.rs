//! What a run that is not real needs to know: subjects as a claim would find
//! them, without claiming them, and which subjects a plan is about. Only reads.

mod cohort;

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use serde_json::Value;

use super::gate::{self, Dependency};
use super::subject_row::SubjectRow;
use super::{DbError, subjects};
use crate::domain::ids::{StoreId, SubjectId};
use crate::domain::status::{ProvisionStatus, UnknownWord};
use crate::domain::subject::{Container, Subject, SubjectDraft, SubjectKind};
use crate::domain::target::Target;
use crate::plan::Known;
pub use cohort::{Concerned, count, page, sample};

/// A subject, and how it stands at a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    /// The subject as it is now; its id is 0 when it is made up.
    pub subject: Subject,
    /// What earlier runs left.
    pub known: Known,
    /// The id in the external system.
    pub remote_id: Option<String>,
    /// What logic kept.
    pub metadata: Option<Value>,
    /// When logic last ran.
    pub last_run_at: Option<DateTime<Utc>>,
    /// Names of what changed since the version last done, as far as work is due.
    pub changes: Vec<String>,
    /// When work is due.
    pub next_run_at: Option<DateTime<Utc>>,
    /// What the targets have left that the target depends on.
    pub dependencies: Vec<Dependency>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(embed)]
    subject: SubjectRow,
    #[diesel(sql_type = Nullable<Text>)]
    known_status: Option<String>,
    #[diesel(sql_type = Bool)]
    present: bool,
    #[diesel(sql_type = Bool)]
    in_scope: bool,
    #[diesel(sql_type = BigInt)]
    done_version: i64,
    #[diesel(sql_type = Nullable<Text>)]
    remote_id: Option<String>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    metadata: Option<Value>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_run_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Array<Text>)]
    changes: Vec<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    next_run_at: Option<DateTime<Utc>>,
}

impl Row {
    fn read(self) -> Result<Situation, DbError> {
        let corrupt = |error: UnknownWord| DbError::Corrupt(error.to_string());
        let status =
            self.known_status.map(|word| word.parse::<ProvisionStatus>()).transpose().map_err(corrupt)?;
        let known =
            Known { status, present: self.present, in_scope: self.in_scope, done_version: self.done_version };
        Ok(Situation {
            subject: self.subject.read()?,
            known,
            remote_id: self.remote_id,
            metadata: self.metadata,
            last_run_at: self.last_run_at,
            changes: self.changes,
            next_run_at: self.next_run_at,
            dependencies: Vec::new(),
        })
    }
}

/// Accounts of the target's store with these ids, by id, deleted ones included;
/// others are left out.
///
/// # Errors
/// Those of the database.
pub fn situations(
    connection: &mut PgConnection,
    target: &Target,
    ids: &[SubjectId],
) -> Result<Vec<Situation>, DbError> {
    let rows: Vec<Row> = sql_query(format!(
        "SELECT {}, st.status AS known_status, coalesce(st.present, false) AS present, \
            coalesce(st.in_scope, false) AS in_scope, coalesce(st.done_version, 0) AS done_version, \
            st.remote_id, st.metadata, st.last_run_at, coalesce(p.changes, '{{}}') AS changes, \
            nullif(p.due_at, 'infinity') AS next_run_at \
         FROM subjects s \
         LEFT JOIN provision_state st ON st.target_id = $1 AND st.subject_id = s.id \
         LEFT JOIN pending p ON p.target_id = $1 AND p.subject_id = s.id \
         WHERE s.id = ANY($2) AND s.store_id = $3 AND s.kind = 'account' ORDER BY s.id",
        SubjectRow::COLUMNS
    ))
    .bind::<BigInt, _>(target.id.0)
    .bind::<Array<BigInt>, _>(subjects::numbers(ids))
    .bind::<BigInt, _>(target.store.0)
    .load(connection)?;
    let mut found = rows.into_iter().map(Row::read).collect::<Result<Vec<_>, _>>()?;
    inform(connection, target, &mut found)?;
    Ok(found)
}

fn inform(connection: &mut PgConnection, target: &Target, about: &mut [Situation]) -> Result<(), DbError> {
    let known: Vec<&Subject> = about.iter().map(|situation| &situation.subject).collect();
    let dependencies = gate::dependencies(connection, target, &known)?;
    for (situation, dependencies) in about.iter_mut().zip(dependencies) {
        situation.dependencies = dependencies;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct ContainerRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    display_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    external_id: Option<String>,
}

/// An account that nobody has stored, and that nothing is known of. Groups and
/// the organization are those of the store where there are such, by external id
/// or name; others are made up as well.
///
/// # Errors
/// Those of the database.
pub fn made_up(
    connection: &mut PgConnection,
    target: &Target,
    draft: SubjectDraft,
) -> Result<Situation, DbError> {
    let now = Utc::now();
    let mut containers = Vec::new();
    for name in &draft.groups {
        containers.push(container(connection, target.store, SubjectKind::Group, name)?);
    }
    if let Some(name) = &draft.organization {
        containers.push(container(connection, target.store, SubjectKind::Organization, name)?);
    }
    let subject = Subject {
        id: SubjectId(0),
        store: target.store,
        kind: SubjectKind::Account,
        external_id: draft.external_id,
        user_name: draft.user_name,
        display_name: draft.display_name,
        status: draft.status,
        attributes: draft.attributes,
        version: 1,
        created_at: now,
        updated_at: now,
        deleted_at: None,
        containers,
    };
    let mut situation = Situation {
        subject,
        known: Known::default(),
        remote_id: None,
        metadata: None,
        last_run_at: None,
        changes: Vec::new(),
        next_run_at: None,
        dependencies: Vec::new(),
    };
    inform(connection, target, std::slice::from_mut(&mut situation))?;
    Ok(situation)
}

fn container(
    connection: &mut PgConnection,
    store: StoreId,
    kind: SubjectKind,
    name: &str,
) -> Result<Container, DbError> {
    let found: Vec<ContainerRow> = sql_query(
        "SELECT id, display_name, external_id FROM subjects WHERE store_id = $1 AND kind = $2 \
         AND deleted_at IS NULL AND (external_id = $3 OR lower(display_name COLLATE \"C\") = lower($3 COLLATE \"C\")) \
         ORDER BY (external_id IS NOT DISTINCT FROM $3) DESC LIMIT 1",
    )
    .bind::<BigInt, _>(store.0)
    .bind::<Text, _>(kind.as_str())
    .bind::<Text, _>(name)
    .load(connection)?;
    Ok(match found.into_iter().next() {
        Some(row) => Container {
            id: SubjectId(row.id),
            kind,
            display_name: row.display_name,
            external_id: row.external_id,
        },
        None => Container { id: SubjectId(0), kind, display_name: name.to_owned(), external_id: None },
    })
}
