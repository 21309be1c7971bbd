//! How a subject, with what it belongs to, is read in one row.

use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::DbError;
use crate::domain::ids::{StoreId, SubjectId};
use crate::domain::subject::{Container, Subject, SubjectKind};

/// A subject as SQL gives it; select [`SubjectRow::COLUMNS`] from `subjects s`.
#[derive(Debug, QueryableByName)]
pub struct SubjectRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    store_id: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<Text>)]
    external_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    user_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    display_name: Option<String>,
    #[diesel(sql_type = Text)]
    subject_status: String,
    #[diesel(sql_type = Jsonb)]
    attributes: Value,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    deleted_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    containers: Option<Value>,
}

#[derive(Deserialize)]
struct ContainerRow {
    id: i64,
    kind: SubjectKind,
    name: String,
    external_id: Option<String>,
}

impl SubjectRow {
    /// What to select; only live containers and memberships in force now count.
    pub const COLUMNS: &'static str = "s.id, s.store_id, s.kind, s.external_id, s.user_name, s.display_name, \
        s.status AS subject_status, s.attributes, s.version, s.created_at, s.updated_at, s.deleted_at, \
        (SELECT jsonb_agg(jsonb_build_object('id', c.id, 'kind', c.kind, 'name', c.display_name, \
            'external_id', c.external_id) ORDER BY c.kind, c.display_name COLLATE \"C\", c.id) \
         FROM memberships m JOIN subjects c ON c.id = m.container_id AND c.deleted_at IS NULL \
         WHERE m.member_id = s.id AND m.role = 'member' AND (m.valid_from IS NULL OR m.valid_from <= now()) \
            AND (m.valid_through IS NULL OR m.valid_through > now())) AS containers";

    /// The subject.
    pub fn read(self) -> Result<Subject, DbError> {
        let word = |error: crate::domain::status::UnknownWord| DbError::Corrupt(error.to_string());
        Ok(Subject {
            id: SubjectId(self.id),
            store: StoreId(self.store_id),
            kind: self.kind.parse().map_err(word)?,
            external_id: self.external_id,
            user_name: self.user_name,
            display_name: self.display_name,
            status: self.subject_status.parse().map_err(word)?,
            attributes: object(self.attributes),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
            containers: read_containers(self.containers)?,
        })
    }
}

/// The members of a JSON object; of anything else, none.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn read_containers(value: Option<Value>) -> Result<Vec<Container>, DbError> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let rows: Vec<ContainerRow> =
        serde_json::from_value(value).map_err(|error| DbError::Corrupt(error.to_string()))?;
    Ok(rows
        .into_iter()
        .map(|row| Container {
            id: SubjectId(row.id),
            kind: row.kind,
            display_name: row.name,
            external_id: row.external_id,
        })
        .collect())
}
