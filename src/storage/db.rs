//! The connection pools and the one function that uses them.

use std::time::{Duration, Instant};

use diesel::r2d2::{ConnectionManager, CustomizeConnection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{Connection as _, PgConnection};

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

type ConnectionPool = r2d2::Pool<Manager>;

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
        Self {
            api: pool(url, api_connections, Session { engine: false }),
            engine: pool(url, engine_connections, Session { engine: true }),
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
        };
        let task = tokio::task::spawn_blocking(move || {
            let mut connection =
                connections.get().map_err(|error| DbError::Unavailable(error.to_string()))?;
            connection.good_at = None;
            let result = work(&mut connection.inner);
            connection.good_at = result.is_ok().then(Instant::now);
            result
        });
        match task.await {
            Ok(result) => result,
            Err(failure) if failure.is_panic() => std::panic::resume_unwind(failure.into_panic()),
            Err(_) => Err(DbError::Stopping.into()),
        }
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

/// How long a connection that did its work counts as alive without a test: a
/// test is a round trip, as dear as many a statement.
const TRUSTED: Duration = Duration::from_secs(1);

/// A connection, and when it last did what it was asked for.
struct Pooled {
    inner: PgConnection,
    good_at: Option<Instant>,
}

/// Tests connections that rested or failed before they are handed out.
struct Manager(ConnectionManager<PgConnection>);

impl r2d2::ManageConnection for Manager {
    type Connection = Pooled;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Pooled, Self::Error> {
        Ok(Pooled { inner: self.0.connect()?, good_at: None })
    }

    fn is_valid(&self, connection: &mut Pooled) -> Result<(), Self::Error> {
        match connection.good_at {
            Some(at) if at.elapsed() < TRUSTED => Ok(()),
            _ => self.0.is_valid(&mut connection.inner),
        }
    }

    fn has_broken(&self, connection: &mut Pooled) -> bool {
        self.0.has_broken(&mut connection.inner)
    }
}

fn pool(url: &str, connections: u32, session: Session) -> ConnectionPool {
    r2d2::Pool::builder()
        .max_size(connections)
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(4))
        .connection_customizer(Box::new(session))
        .error_handler(Box::new(LogQuietly))
        .build_unchecked(Manager(ConnectionManager::new(url)))
}

/// Settings of every session: durable commits, no snapshot forgotten open, no
/// statement that runs for ever, messages that [`by_message`] can read.
#[derive(Debug)]
struct Session {
    engine: bool,
}

/// The engine's statements find few rows by their keys, whatever the statistics
/// say of tables that were empty a moment ago. They are parsed once and planned
/// each time: a plan that was made for an empty queue is a disaster for a full
/// one.
const BY_KEY: &str = "SET plan_cache_mode TO force_custom_plan; SET enable_seqscan TO off; \
    SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET enable_material TO off";

impl CustomizeConnection<Pooled, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, connection: &mut Pooled) -> Result<(), diesel::r2d2::Error> {
        self.set(&mut connection.inner).map_err(diesel::r2d2::Error::QueryError)
    }
}

impl Session {
    fn set(&self, connection: &mut PgConnection) -> diesel::QueryResult<()> {
        use diesel::connection::SimpleConnection;
        connection.batch_execute(
            "SET TIME ZONE 'UTC'; SET synchronous_commit TO on; \
             SET idle_in_transaction_session_timeout TO '60s'; SET statement_timeout TO '120s'; \
             SET lock_timeout TO '20s'; SET client_min_messages TO warning; \
             DO $$ BEGIN PERFORM set_config('lc_messages', 'C', false); \
             EXCEPTION WHEN insufficient_privilege THEN NULL; END $$",
        )?;
        if self.engine { connection.batch_execute(BY_KEY) } else { Ok(()) }
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
    match (Session { engine: false }).set(&mut connection) {
        Ok(()) => Ok(connection),
        Err(error) => Err(DbError::Unavailable(error.to_string())),
    }
}
