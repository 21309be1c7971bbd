//! stub
use crate::domain::filter::Filter; use chrono::{DateTime, Utc};
pub struct SqlFilter { pub sql: String, pub values: Vec<String> }
pub fn compile(_: &Filter, _: usize, _: DateTime<Utc>) -> SqlFilter { SqlFilter { sql: String::new(), values: vec![] } }
