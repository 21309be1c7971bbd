//! The connection pools and the one function that uses them.

mod look;
mod pool;

use std::time::{Duration, Instant};

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{Connection as _, ConnectionError, PgConnection};

use super::words;

use self::look::Look;
use self::pool::{ConnectionPool, Session, pool};

/// Why the database did not do something.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It cannot be reached, is starting, stopping or out of connections; worth
    /// another try.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// A statement took longer than it may (SQLSTATE 57014).
    #[error("the database took too long: {0}")]
    TooSlow(String),
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
    } else if message.contains("canceling statement due to statement timeout") {
        Some(DbError::TooSlow(message.to_owned()))
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
    /// Who is calling, and whether the database answers: never behind what
    /// somebody asked for.
    Auth,
}

/// Connections for authentication and health, beside those that are configured.
pub const AUTH_CONNECTIONS: u32 = 2;

/// A handle on the database; cheap to clone.
#[derive(Clone)]
pub struct Db {
    api: ConnectionPool,
    engine: ConnectionPool,
    auth: ConnectionPool,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").finish_non_exhaustive()
    }
}

impl Db {
    /// Makes the pools; connections are opened when they are first needed.
    pub fn connect(url: &str, api_connections: u32, engine_connections: u32) -> Self {
        Self {
            api: pool(url, api_connections, Session { engine: false }),
            engine: pool(url, engine_connections, Session { engine: true }),
            auth: pool(url, AUTH_CONNECTIONS, Session { engine: false }),
        }
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
            Pool::Auth => self.auth.clone(),
        };
        blocking(move || with(&connections, |connection| work(&mut connection.inner))).await
    }

    /// The same on a connection of the API for work that only reads, and may be
    /// dear: no statement of it runs longer than `longest`, and PostgreSQL is told
    /// to stop when nobody waits any more.
    pub async fn look<T, E, F>(&self, longest: Duration, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    {
        let look = Look::new(self.auth.clone());
        let (connections, stage) = (self.api.clone(), look.stage());
        let looked = blocking(move || {
            with(&connections, |connection| {
                let _running = stage.begin(connection.backend).ok_or(DbError::Stopping)?;
                let mut read = connection.inner.build_transaction().read_only();
                read.run(|connection| {
                    look::limit(connection, longest)?;
                    work(connection).map_err(Undone::Work)
                })
                .map_err(Undone::into)
            })
        });
        let result = looked.await;
        look.end();
        result
    }

    /// The same for work that only reads: in a transaction in which PostgreSQL
    /// refuses to write.
    pub async fn read<T, E, F>(&self, pool: Pool, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    {
        self.run(pool, move |connection| {
            let mut read = connection.build_transaction().read_only();
            read.run(|connection| work(connection).map_err(Undone::Work)).map_err(Undone::into)
        })
        .await
    }

    /// The same in one transaction: all of the work is done, or nothing.
    pub async fn change<T, E, F>(&self, pool: Pool, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    {
        self.run(pool, move |connection| {
            connection.transaction(|connection| work(connection).map_err(Undone::Work)).map_err(Undone::into)
        })
        .await
    }
}

/// Work with a connection, whose health is noted.
fn with<T, E: From<DbError>>(
    connections: &ConnectionPool,
    work: impl FnOnce(&mut pool::Pooled) -> Result<T, E>,
) -> Result<T, E> {
    let mut connection = connections.get().map_err(|error| DbError::Unavailable(error.to_string()))?;
    connection.good_at = None;
    let result = work(&mut connection);
    connection.good_at = result.is_ok().then(Instant::now);
    result
}

/// Work away from the reactor.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failure) if failure.is_panic() => std::panic::resume_unwind(failure.into_panic()),
        Err(_) => Err(DbError::Stopping.into()),
    }
}

/// Why work in a transaction was not done.
enum Undone<E> {
    Work(E),
    Db(DieselError),
}

impl<E> From<DieselError> for Undone<E> {
    fn from(error: DieselError) -> Self {
        Self::Db(error)
    }
}

impl<E: From<DbError>> Undone<E> {
    fn into(self) -> E {
        match self {
            Self::Work(error) => error,
            Self::Db(error) => DbError::from(error).into(),
        }
    }
}

/// A failure to connect, told without parts of the URL.
fn told(error: ConnectionError, url: &str) -> ConnectionError {
    match error {
        ConnectionError::BadConnection(message) => {
            ConnectionError::BadConnection(words::without_parts_of(url, &message))
        }
        ConnectionError::InvalidConnectionUrl(message) => {
            ConnectionError::InvalidConnectionUrl(words::without_parts_of(url, &message))
        }
        other => other,
    }
}

/// A connection outside the pools, for the start and for commands.
pub fn connect(url: &str) -> Result<PgConnection, DbError> {
    let mut connection = <PgConnection as diesel::Connection>::establish(url)
        .map_err(|error| DbError::Unavailable(told(error, url).to_string()))?;
    match (Session { engine: false }).set(&mut connection) {
        Ok(()) => Ok(connection),
        Err(error) => Err(DbError::Unavailable(error.to_string())),
    }
}
