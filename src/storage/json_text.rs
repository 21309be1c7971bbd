//! JSON that is written once and stored as it is.

use std::io::Write as _;

use diesel::pg::Pg;
use diesel::serialize::{IsNull, Output, Result, ToSql};
use diesel::sql_types::Jsonb;
use serde::Serialize;

/// The text of a JSON value on its way to a `jsonb` column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(String);

impl JsonText {
    /// The text of a value; an empty list if it cannot be written.
    pub fn of(value: &impl Serialize) -> Self {
        Self(serde_json::to_string(value).unwrap_or_else(|error| {
            log::error!("a value cannot be written as JSON: {error}");
            "[]".to_owned()
        }))
    }

    /// An empty list.
    pub fn empty_list() -> Self {
        Self("[]".to_owned())
    }
}

impl ToSql<Jsonb, Pg> for JsonText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Result {
        // The version of the binary format.
        out.write_all(&[1])?;
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}
