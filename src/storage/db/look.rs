//! A look at the database that ends when nobody waits for it any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Bool, Integer};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query};

use super::pool::ConnectionPool;

/// How long after a statement was told to stop it is told again: it may have
/// ended by itself, and another one of the same look begun.
const AGAIN: Duration = Duration::from_millis(100);

/// A look that goes on. When it is dropped before it is over, PostgreSQL is told.
pub(super) struct Look {
    stage: Stage,
    is_over: bool,
    /// Where PostgreSQL can be told so.
    others: ConnectionPool,
}

/// How far it is, for both who works and who waits.
#[derive(Clone)]
pub(super) struct Stage(Arc<Mutex<State>>);

#[derive(Clone, Copy)]
enum State {
    /// It waits for a thread or a connection.
    Before,
    /// It runs in this process of PostgreSQL.
    Running(i32),
    Over,
}

impl Look {
    pub(super) fn new(others: ConnectionPool) -> Self {
        Self { stage: Stage(Arc::new(Mutex::new(State::Before))), is_over: false, others }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.clone()
    }

    /// There is nothing to be told any more.
    pub(super) fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if self.is_over || !self.stage.abandon() {
            return;
        }
        let (stage, others) = (self.stage.clone(), self.others.clone());
        // Without a runtime the daemon is ending, and its connections with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || stage.cancel(&others));
        }
    }
}

impl Stage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins; `None` when nobody waits any more.
    pub(super) fn begin(&self, backend: i32) -> Option<Running> {
        let mut state = self.state();
        match *state {
            State::Before => *state = State::Running(backend),
            State::Running(_) | State::Over => return None,
        }
        Some(Running(self.clone()))
    }

    /// Nobody waits any more. What has not begun will not; true when it runs.
    fn abandon(&self) -> bool {
        let mut state = self.state();
        match *state {
            State::Running(_) => true,
            State::Before | State::Over => {
                *state = State::Over;
                false
            }
        }
    }

    fn cancel(&self, others: &ConnectionPool) {
        while matches!(*self.state(), State::Running(_)) {
            let Ok(mut connection) = others.get() else { return };
            // Held meanwhile, so that the connection is not given to another.
            let state = self.state();
            let State::Running(backend) = *state else { return };
            if let Err(error) = tell(&mut connection.inner, backend) {
                log::warn!("a query that nobody waits for could not be cancelled: {error}");
                return;
            }
            drop(state);
            drop(connection);
            std::thread::sleep(AGAIN);
        }
    }
}

/// It runs until this is dropped.
pub(super) struct Running(Stage);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.state() = State::Over;
    }
}

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = Bool)]
    #[allow(dead_code)]
    told: bool,
}

fn tell(connection: &mut PgConnection, backend: i32) -> QueryResult<Told> {
    sql_query("SELECT pg_cancel_backend($1) AS told").bind::<Integer, _>(backend).get_result(connection)
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    backend: i32,
}

/// The process that serves a connection.
pub(super) fn backend(connection: &mut PgConnection) -> QueryResult<i32> {
    let found: Backend = sql_query("SELECT pg_backend_pid() AS backend").get_result(connection)?;
    Ok(found.backend)
}

/// Until the end of the transaction.
pub(super) fn limit(connection: &mut PgConnection, longest: Duration) -> QueryResult<()> {
    connection.batch_execute(&format!("SET LOCAL statement_timeout TO {}", longest.as_millis().max(1)))
}
