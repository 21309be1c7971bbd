//! The server under the API. Whoever can reach the port can open connections
//! and leave them; so they are counted, each wait for a client has a deadline,
//! and when there are too many the least useful makes room for the next.
//!
//! | file | holds |
//! |---|---|
//! | `registry.rs` | all connections, and which one goes first |
//! | `connection.rs` | what a connection is doing |
//! | `transport.rs` | its stream: deadlines of heads, of idleness and of writing |
//! | `incoming.rs` | a body on its way in: its deadline, and whether it was read |
//! | `outgoing.rs` | an answer on its way out, in small pieces |

mod connection;
mod incoming;
mod outgoing;
mod registry;
mod transport;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::ServiceConfig;
use actix_web::{App, Error};
use tokio::net::TcpStream;

pub use self::connection::Client;
use self::outgoing::Answer;
use self::registry::Registry;
use self::transport::Transport;
use super::{Kind, Problem};

/// Threads that serve requests.
const WORKERS: usize = 2;
/// Connections beyond the most that are told to close and have not yet done so.
const CLOSING: usize = 128;
/// How long what a client still sends is read and thrown away after an answer
/// that came before its body, so that it gets to see the answer.
const LINGER: Duration = Duration::from_secs(1);

/// What connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at a time.
    pub connections: usize,
    /// How long the head of a request may take.
    pub head: Duration,
    /// How long a client may keep its server waiting for the next piece of a body.
    pub body: Duration,
    /// How long a client may take no more of an answer.
    pub write: Duration,
    /// How long a connection may lie idle between requests.
    pub idle: Duration,
}

/// Starts to serve what `configure` registers.
///
/// # Errors
/// The listener cannot be used.
pub fn start<F>(listener: TcpListener, limits: ServerLimits, configure: F) -> io::Result<Server>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let registry = Arc::new(Registry::new(limits.connections));
    let builder = Server::build()
        .workers(WORKERS)
        .disable_signals()
        .shutdown_timeout(5)
        .max_concurrent_connections((limits.connections + CLOSING).div_ceil(WORKERS));
    let stopping = builder.graceful_shutdown_signal();
    let service = move || {
        let (registry, configure, stopping) = (registry.clone(), configure.clone(), stopping.clone());
        let app = App::new().configure(configure).wrap(from_fn(watch)).into_factory();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            // The transport keeps the time of everything else.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(LINGER)
            .on_connect_ext(|transport: &Transport, data| {
                data.insert(Client::new(transport.connection().clone()));
            })
            .h1(map_config(app.map_err(|error| error.error_response()), |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let admitted = admit(&registry, stream, limits);
            async move { admitted }
        })
        .and_then(http)
    };
    Ok(builder.listen("api", listener, service)?.run())
}

type Admitted = Result<(Transport, Option<std::net::SocketAddr>), DispatchError>;

/// Lets a connection in, unless all others are busy for somebody who is known.
fn admit(registry: &Arc<Registry>, stream: TcpStream, limits: ServerLimits) -> Admitted {
    const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\n\
        connection: close\r\n\r\n";
    let address = stream.peer_addr().ok();
    match registry.admit(limits) {
        Some(connection) => Ok((Transport::new(stream, connection), address)),
        None => {
            // As much as fits, which is all of it as a rule: nobody waits here.
            _ = stream.try_write(FULL);
            Err(DispatchError::Io(io::ErrorKind::ConnectionRefused.into()))
        }
    }
}

/// Middleware around everything: tells the connection what it is doing.
async fn watch<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Answer>, Error> {
    let Some(client) = request.conn_data::<Client>().cloned() else {
        let answered = next.call(request).await?;
        return Ok(answered.map_body(|_, body| Answer::new(body, None)));
    };
    let serving = client.begin();
    let body = client.body_limit().and_then(|limit| incoming::watch(&mut request, limit));
    // What changes something is brought to its end; what only reads is for nobody.
    let may_stop = request.method().is_safe();
    let mut work = next.call(request);
    let answered = tokio::select! {
        biased;
        answered = &mut work => answered,
        () = client.gone(), if may_stop => Err(hung_up().into()),
    };
    drop(work);
    if let Some(body) = body {
        client.keep(body);
    }
    answered.map(|answered| answered.map_body(|_, body| Answer::new(body, Some(serving))))
}

/// An answer that nobody sees.
fn hung_up() -> Problem {
    Problem::new(Kind::Malformed, "the caller has hung up")
}
