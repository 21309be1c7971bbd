//! The connection pools and the one function that uses them.

use std::time::Duration;

use diesel::PgConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why the database did not do something.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It cannot be reached, is starting, stopping or out of connections; worth
    /// another try.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// It has no room left (SQLSTATE 53100).
    #[error("the database has no disk space left: {0}")]
    DiskFull(String),
    /// A statement failed; a defect as a rule.
    #[error("the database refused a statement: {0}")]
    Query(#[source] DieselError),
    /// A stored value that this version does not understand.
    #[error("the database holds a value that this version does not understand: {0}")]
    Corrupt(String),
    /// The blocking pool is gone because the daemon stops.
    #[error("the daemon is stopping")]
    Stopping,
}

impl From<DieselError> for DbError {
    fn from(error: DieselError) -> Self {
        match &error {
            DieselError::DatabaseError(DatabaseErrorKind::ClosedConnection, info) => {
                Self::Unavailable(info.message().to_owned())
            }
            DieselError::DatabaseError(_, info) => by_message(info.message()).unwrap_or(Self::Query(error)),
            DieselError::BrokenTransactionManager => Self::Unavailable(error.to_string()),
            _ => Self::Query(error),
        }
    }
}

/// Diesel hands over no SQLSTATE, so the classes that matter are told by the
/// server's words. `lc_messages` is set to C on every connection whose role may
/// set it; for others the server should speak English.
fn by_message(message: &str) -> Option<DbError> {
    const AWAY: [&str; 10] = [
        "terminating connection",
        "server closed the connection",
        "the database system is",
        "could not connect",
        "connection to server",
        "no connection to the server",
        "too many clients",
        "canceling statement due to",
        "SSL SYSCALL",
        "deadlock detected",
    ];
    if message.contains("No space left on device") {
        Some(DbError::DiskFull(message.to_owned()))
    } else if AWAY.iter().any(|words| message.contains(words)) {
        Some(DbError::Unavailable(message.to_owned()))
    } else {
        None
    }
}

/// Which of the pools to take a connection from. The API has its own, so that
/// a busy engine never blocks the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Requests of people and programs.
    Api,
    /// Claims, completions, sweeps.
    Engine,
}

type ConnectionPool = r2d2::Pool<ConnectionManager<PgConnection>>;

/// A handle on the database; cheap to clone.
#[derive(Clone)]
pub struct Db {
    api: ConnectionPool,
    engine: ConnectionPool,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").finish_non_exhaustive()
    }
}

impl Db {
    /// Makes the pools; connections are opened when they are first needed.
    pub fn connect(url: &str, api_connections: u32, engine_connections: u32) -> Self {
        Self { api: pool(url, api_connections), engine: pool(url, engine_connections) }
    }

    /// Runs blocking Diesel code with a connection of `pool`, away from the
    /// reactor. The only place that takes a connection.
    pub async fn run<T, E, F>(&self, pool: Pool, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    {
        let connections = match pool {
            Pool::Api => self.api.clone(),
            Pool::Engine => self.engine.clone(),
        };
        let task = tokio::task::spawn_blocking(move || {
            let mut connection =
                connections.get().map_err(|error| DbError::Unavailable(error.to_string()))?;
            work(&mut connection)
        });
        match task.await {
            Ok(result) => result,
            Err(failure) if failure.is_panic() => std::panic::resume_unwind(failure.into_panic()),
            Err(_) => Err(DbError::Stopping.into()),
        }
    }
}

fn pool(url: &str, connections: u32) -> ConnectionPool {
    r2d2::Pool::builder()
        .max_size(connections)
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(4))
        .connection_customizer(Box::new(Session))
        .error_handler(Box::new(LogQuietly))
        .build_unchecked(ConnectionManager::new(url))
}

/// Settings of every session: durable commits, no snapshot forgotten open, no
/// statement that runs for ever, messages that [`by_message`] can read.
#[derive(Debug)]
struct Session;

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        use diesel::connection::SimpleConnection;
        connection
            .batch_execute(
                "SET TIME ZONE 'UTC'; SET synchronous_commit TO on; \
                 SET idle_in_transaction_session_timeout TO '60s'; SET statement_timeout TO '120s'; \
                 SET lock_timeout TO '20s'; SET client_min_messages TO warning; \
                 DO $$ BEGIN PERFORM set_config('lc_messages', 'C', false); \
                 EXCEPTION WHEN insufficient_privilege THEN NULL; END $$",
            )
            .map_err(diesel::r2d2::Error::QueryError)
    }
}

/// r2d2 would log each failed attempt to connect as an error.
#[derive(Debug)]
struct LogQuietly;

impl<E: std::error::Error> r2d2::HandleError<E> for LogQuietly {
    fn handle_error(&self, error: E) {
        log::debug!("no connection to the database: {error}");
    }
}

/// A connection outside the pools, for the start and for commands.
pub fn connect(url: &str) -> Result<PgConnection, DbError> {
    let mut connection = <PgConnection as diesel::Connection>::establish(url)
        .map_err(|error| DbError::Unavailable(error.to_string()))?;
    match Session.on_acquire(&mut connection) {
        Ok(()) => Ok(connection),
        Err(error) => Err(DbError::Unavailable(error.to_string())),
    }
}
