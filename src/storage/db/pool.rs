//! The pools, and how a session is set up.

use std::time::{Duration, Instant};

use diesel::PgConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection};

use super::{look, told};

/// Connections that are open and wait for work.
pub(super) type ConnectionPool = r2d2::Pool<Manager>;

/// How long a connection that did its work counts as alive without a test: a
/// test is a round trip, as dear as many a statement.
const TRUSTED: Duration = Duration::from_secs(1);

/// A connection, and when it last did what it was asked for.
pub(super) struct Pooled {
    pub(super) inner: PgConnection,
    pub(super) good_at: Option<Instant>,
    /// The process that serves it, by which its statement can be cancelled.
    pub(super) backend: i32,
}

/// Tests connections that rested or failed before they are handed out.
pub(super) struct Manager {
    inner: ConnectionManager<PgConnection>,
    url: String,
}

impl r2d2::ManageConnection for Manager {
    type Connection = Pooled;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Pooled, Self::Error> {
        let inner = self.inner.connect().map_err(|error| match error {
            diesel::r2d2::Error::ConnectionError(error) => {
                diesel::r2d2::Error::ConnectionError(told(error, &self.url))
            }
            other => other,
        })?;
        Ok(Pooled { inner, good_at: None, backend: 0 })
    }

    fn is_valid(&self, connection: &mut Pooled) -> Result<(), Self::Error> {
        match connection.good_at {
            Some(at) if at.elapsed() < TRUSTED => Ok(()),
            _ => self.inner.is_valid(&mut connection.inner),
        }
    }

    fn has_broken(&self, connection: &mut Pooled) -> bool {
        self.inner.has_broken(&mut connection.inner)
    }
}

/// Makes a pool; connections are opened when they are first needed.
pub(super) fn pool(url: &str, connections: u32, session: Session) -> ConnectionPool {
    r2d2::Pool::builder()
        .max_size(connections)
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(4))
        .connection_customizer(Box::new(session))
        .error_handler(Box::new(LogQuietly))
        .build_unchecked(Manager { inner: ConnectionManager::new(url), url: url.to_owned() })
}

/// Settings of every session: durable commits, no snapshot forgotten open, no
/// statement that runs for ever, messages that [`by_message`] can read.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) engine: bool,
}

/// The engine's statements find few rows by their keys, whatever the statistics
/// say of tables that were empty a moment ago. They are parsed once and planned
/// each time: a plan that was made for an empty queue is a disaster for a full
/// one.
const BY_KEY: &str = "SET plan_cache_mode TO force_custom_plan; SET enable_seqscan TO off; \
    SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET enable_material TO off";

impl CustomizeConnection<Pooled, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, connection: &mut Pooled) -> Result<(), diesel::r2d2::Error> {
        self.set(&mut connection.inner).map_err(diesel::r2d2::Error::QueryError)?;
        connection.backend = look::backend(&mut connection.inner).map_err(diesel::r2d2::Error::QueryError)?;
        Ok(())
    }
}

impl Session {
    pub(super) fn set(&self, connection: &mut PgConnection) -> diesel::QueryResult<()> {
        use diesel::connection::SimpleConnection;
        connection.batch_execute(
            "SET TIME ZONE 'UTC'; SET synchronous_commit TO on; SET jit TO off; \
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
