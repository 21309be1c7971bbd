//! PostgreSQL through Diesel. Functions here are plain `fn(&mut PgConnection, …)`;
//! the only way to a connection is [`Db::run`], which keeps blocking work off
//! the reactor. One file per table family.

mod db;
pub mod embedded;
pub mod filter_sql;
pub mod import;
pub mod memberships;
pub mod migrate;
pub mod queue;
#[allow(missing_docs)]
pub mod schema;
pub mod stores;
pub mod subject_list;
mod subject_row;
pub mod subjects;
pub mod tokens;

pub use db::{Db, DbError, Pool};
pub use diesel::PgConnection as Connection;
