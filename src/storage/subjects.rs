//! stub
use super::DbError; use crate::domain::{ids::*, subject::Subject}; use diesel::PgConnection; use serde_json::{Map, Value};
pub fn store_of(_: &mut PgConnection, _: SubjectId) -> Result<Option<StoreId>, DbError> { Ok(None) }
pub fn load_for_update(_: &mut PgConnection, _: SubjectId) -> Result<Option<Subject>, DbError> { Ok(None) }
pub fn set_attributes(_: &mut PgConnection, b: &Subject, _: Map<String, Value>) -> Result<Subject, DbError> { Ok(b.clone()) }
