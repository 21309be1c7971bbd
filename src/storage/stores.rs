//! Identity stores. A store is named in paths by its id or by its name, so a
//! name that is all digits is refused.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

use super::DbError;
use super::schema::stores;
use crate::domain::ids::StoreId;
use crate::domain::subject::FieldError;

/// Longest name of a store, in characters.
pub const MAX_STORE_NAME: usize = 64;

/// An identity store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Its id.
    pub id: StoreId,
    /// Unique without regard to the case of ASCII letters.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// A record whose external id a deleted subject had restores that one; else it
    /// makes another.
    pub restore_on_return: bool,
}

/// Why a store could not be made or found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No store has this id or name.
    #[error("there is no store `{0}`")]
    NotFound(String),
    /// Another store has the name.
    #[error("a store `{0}` exists already")]
    Conflict(String),
    /// The name breaks a rule.
    #[error("`{}` {}", .0.field, .0.rule)]
    Invalid(FieldError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        Self::Db(error.into())
    }
}

type Row = (i64, String, DateTime<Utc>, bool);

fn from_row((id, name, created_at, restore_on_return): Row) -> Store {
    Store { id: StoreId(id), name, created_at, restore_on_return }
}

/// Makes a store.
///
/// # Errors
/// [`StoreError::Invalid`] for a bad name, [`StoreError::Conflict`] for a taken one.
pub fn create(connection: &mut PgConnection, name: &str) -> Result<Store, StoreError> {
    if let Some(rule) = name_error(name) {
        return Err(StoreError::Invalid(FieldError::new("name", rule)));
    }
    diesel::insert_into(stores::table)
        .values(stores::name.eq(name))
        .returning(stores::all_columns)
        .get_result::<Row>(connection)
        .map(from_row)
        .map_err(|error| match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
                StoreError::Conflict(name.to_owned())
            }
            error => error.into(),
        })
}

/// Changes a store's settings; `None` leaves one as it is.
///
/// # Errors
/// [`StoreError::NotFound`] when there is no such store.
pub fn change(
    connection: &mut PgConnection,
    id_or_name: &str,
    restore_on_return: Option<bool>,
) -> Result<Store, StoreError> {
    let store = find(connection, id_or_name)?;
    let Some(restore_on_return) = restore_on_return else { return Ok(store) };
    let row = diesel::update(stores::table.find(store.id.0))
        .set(stores::restore_on_return.eq(restore_on_return))
        .returning(stores::all_columns)
        .get_result::<Row>(connection)?;
    Ok(from_row(row))
}

/// Stores after the id `after`, at most `limit`, in the order of their ids.
pub fn list(connection: &mut PgConnection, after: i64, limit: i64) -> Result<Vec<Store>, DbError> {
    let rows =
        stores::table.filter(stores::id.gt(after)).order(stores::id).limit(limit).load::<Row>(connection)?;
    Ok(rows.into_iter().map(from_row).collect())
}

/// The store with this id or name.
///
/// # Errors
/// [`StoreError::NotFound`] when there is none.
pub fn find(connection: &mut PgConnection, id_or_name: &str) -> Result<Store, StoreError> {
    let missing = || StoreError::NotFound(id_or_name.chars().take(MAX_STORE_NAME).collect());
    let row = if let Ok(StoreId(id)) = id_or_name.parse::<StoreId>() {
        stores::table.find(id).first::<Row>(connection).optional()?
    } else if name_error(id_or_name).is_some() {
        None
    } else {
        let same = diesel::dsl::sql::<diesel::sql_types::Bool>("lower(name COLLATE \"C\") = ")
            .bind::<diesel::sql_types::Text, _>(id_or_name.to_ascii_lowercase());
        stores::table.filter(same).first::<Row>(connection).optional()?
    };
    row.map(from_row).ok_or_else(missing)
}

fn name_error(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        Some("must not be empty".into())
    } else if name.trim() != name || name.chars().any(char::is_control) {
        Some("must not begin or end with white space nor contain control characters".into())
    } else if name.chars().count() > MAX_STORE_NAME {
        Some(format!("must not be longer than {MAX_STORE_NAME} characters"))
    } else if name.chars().all(|letter| letter.is_ascii_digit()) {
        Some("must not be all digits: these are ids".into())
    } else if name.contains(['/', '\\']) || name == "." || name == ".." {
        Some("must not contain `/` or `\\`, nor be `.` or `..`: it stands in paths".into())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_stand_in_a_path_are_refused() {
        for bad in ["", " ", " a", "a\n", "12", "a/b", "..", &"x".repeat(65), "a\0"] {
            assert!(name_error(bad).is_some(), "{bad:?}");
        }
        for good in ["people", "Ångström 2", "a.b", "1a"] {
            assert_eq!(name_error(good), None, "{good:?}");
        }
    }
}
