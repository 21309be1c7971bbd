//! PostgreSQL through Diesel. Functions here are plain `fn(&mut PgConnection, …)`;
//! the only way to a connection is [`Db::run`], which keeps blocking work off
//! the reactor. One file per table family.

pub mod breakers;
pub mod canaries;
pub mod claim;
pub mod complete;
mod db;
pub mod dead_letters;
pub mod dependencies;
pub mod doubts;
pub mod dry_runs;
pub mod embedded;
pub mod filter_sql;
pub mod former_names;
pub mod gate;
pub mod guard;
pub mod held;
pub mod holders;
pub mod import;
mod json_text;
mod kills;
pub mod logic;
pub mod memberships;
pub mod migrate;
pub mod ownership;
mod passed;
mod prepared;
pub mod preview;
pub mod queue;
mod remote_ids;
pub mod replays;
pub mod runs;
#[allow(missing_docs)]
pub mod schema;
mod secrets;
pub mod state;
pub mod stores;
pub mod subject_list;
mod subject_row;
pub mod subjects;
pub mod sweeps;
pub mod targets;
pub mod tokens;
pub mod trial;
mod words;
mod write_back;

pub use db::{AUTH_CONNECTIONS, Db, DbError, Pool, connect};
pub use diesel::PgConnection as Connection;
pub use json_text::JsonText;
pub use passed::Passed;

/// A row of a list, by its id, and about how many bytes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, diesel::QueryableByName)]
pub struct Measured {
    /// Its id.
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub id: i64,
    /// Its size as text.
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub size: i64,
}
