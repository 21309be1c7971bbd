//! PostgreSQL through Diesel. Functions here are plain `fn(&mut PgConnection, …)`;
//! the only way to a connection is [`Db::run`], which keeps blocking work off
//! the reactor. One file per table family.

mod db;
pub mod embedded;
pub mod filter_sql;
pub mod migrate;
#[allow(missing_docs)]
pub mod schema;

pub use db::{Db, DbError, Pool};
