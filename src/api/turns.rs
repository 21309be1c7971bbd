//! Turns at dear work, for handlers: reading much, and making logic.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};

use super::{ApiState, EngineState};
use crate::domain::ids::{TargetId, TokenId};
use crate::http::queue::{Queue, QueueLimits, Share};
use crate::http::{Caller, Client, Problem};
use crate::storage::{Connection, DbError};

/// The queue of reads that may be dear: half of the connections that the API has,
/// so that the others are there for whatever is quick.
pub fn reads(api_connections: u32) -> Queue {
    let turns = usize::try_from(api_connections / 2).unwrap_or(1).max(1);
    let per_token = turns.saturating_sub(1).max(1);
    let limits = QueueLimits { turns, per_token, per_target: turns, waiting: 256, waiting_each: 64 };
    Queue::new("long lists and previews", limits)
}

/// The queue of those whose logic is built and tried: each may keep a CPU busy for
/// as long as it is let.
pub fn makers() -> Queue {
    let limits = QueueLimits { turns: 4, per_token: 2, per_target: 1, waiting: 32, waiting_each: 8 };
    Queue::new("logic to be built and tried", limits)
}

/// A caller, as the middleware found out.
fn caller(request: &HttpRequest) -> Result<(TokenId, Client), Problem> {
    let token = request.extensions().get::<Caller>().map(|caller| caller.token);
    let token = token.ok_or_else(|| Problem::internal("a handler is reached without a caller"))?;
    let client = request.conn_data::<Client>().cloned().unwrap_or_default();
    Ok((token, client))
}

fn data<T: 'static>(request: &HttpRequest) -> Result<web::Data<T>, Problem> {
    let data = request.app_data::<web::Data<T>>().cloned();
    data.ok_or_else(|| Problem::internal("the application lacks what a handler works with"))
}

/// Reads that may be dear.
#[derive(Debug, Clone)]
pub(super) struct Reads {
    state: web::Data<ApiState>,
    token: TokenId,
    client: Client,
}

impl Reads {
    /// Waits for a turn, then reads in a transaction that can do nothing else.
    /// When the caller hangs up, PostgreSQL is told to stop.
    ///
    /// # Errors
    /// What the work says; a 429 when too many wait; a 422 when it takes too long.
    pub(super) async fn run<T, E, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        Problem: From<E>,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        let read = async {
            let turn = self.state.reads.enter(vec![Share::Token(self.token)]).await?;
            let longest = self.state.limits.longest_read;
            let looked = self.state.db.look(longest, move |connection| {
                // Until PostgreSQL has ended, whoever still waits for it.
                let _turn = turn;
                work(connection)
            });
            Ok::<_, Problem>(looked.await?)
        };
        self.client.wait_for(read).await
    }
}

impl FromRequest for Reads {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = || {
            let (token, client) = caller(request)?;
            Ok(Self { state: data(request)?, token, client })
        };
        ready(found())
    }
}

/// Making logic: building it, and running its tests.
#[derive(Clone)]
pub(super) struct Making {
    engine: web::Data<EngineState>,
    token: TokenId,
    client: Client,
}

impl Making {
    /// Waits for a turn, then does the work. It is dropped when the caller hangs
    /// up, so it must not have changed anything before its end.
    ///
    /// # Errors
    /// What the work says; a 429 when too many wait.
    pub(super) async fn run<T>(
        &self,
        target: TargetId,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let make = async {
            let _turn =
                self.engine.makers.enter(vec![Share::Token(self.token), Share::Target(target)]).await?;
            work.await
        };
        self.client.wait_for(make).await
    }
}

impl FromRequest for Making {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = || {
            let (token, client) = caller(request)?;
            Ok(Self { engine: data(request)?, token, client })
        };
        ready(found())
    }
}
