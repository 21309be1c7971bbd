//! Who has the name that a write was refused for.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::SubjectError;
use crate::domain::ids::{StoreId, SubjectId};
use crate::domain::subject::{SubjectDraft, SubjectKind};

/// The names that a write wants, each one of a kind in its store.
#[derive(Debug)]
pub(super) struct Wanted {
    store: StoreId,
    kind: SubjectKind,
    external_id: Option<String>,
    user_name: Option<String>,
    display_name: Option<String>,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

impl Wanted {
    /// Those of a draft.
    pub(super) fn of(store: StoreId, kind: SubjectKind, draft: &SubjectDraft) -> Self {
        let SubjectDraft { external_id, user_name, display_name, .. } = draft.clone();
        Self { store, kind, external_id, user_name, display_name }
    }

    /// Adds to a conflict who has the name. The write was rolled back.
    pub(super) fn explain(&self, connection: &mut PgConnection, error: SubjectError) -> SubjectError {
        match error {
            SubjectError::Conflict { field, .. } => {
                let holder = self.holder(connection, field).unwrap_or_default();
                SubjectError::Conflict { field, holder: holder.map(|id| (self.kind, id)) }
            }
            other => other,
        }
    }

    fn holder(&self, connection: &mut PgConnection, field: &str) -> QueryResult<Option<SubjectId>> {
        let (condition, name) = match field {
            "externalId" => ("external_id = $3", &self.external_id),
            "userName" => ("lower(user_name COLLATE \"C\") = lower($3 COLLATE \"C\")", &self.user_name),
            _ => ("lower(display_name COLLATE \"C\") = lower($3 COLLATE \"C\")", &self.display_name),
        };
        let holder: Option<Id> = diesel::sql_query(format!(
            "SELECT id FROM subjects WHERE store_id = $1 AND kind = $2 AND deleted_at IS NULL AND {condition}"
        ))
        .bind::<BigInt, _>(self.store.0)
        .bind::<Text, _>(self.kind.as_str())
        .bind::<Nullable<Text>, _>(name.as_deref())
        .get_result(connection)
        .optional()?;
        Ok(holder.map(|row| SubjectId(row.id)))
    }
}
