//! The admin REST API under `/api/v1`, a file per resource.
//!
//! [`endpoints`] is the whole of it: method, path, handler. The role that an
//! endpoint needs is read from its handler's first argument, so there is no
//! way to add one that is open to everybody.

pub mod accounts;
pub mod containers;
mod dry_runs;
mod endpoint;
pub mod health;
mod held;
pub mod import;
mod long_list;
pub mod openapi;
mod packages;
mod provisions;
mod replay;
mod restore;
mod runs;
mod state;
pub mod stores;
mod subject_json;
mod sweeps;
mod targets;
pub mod tokens;
mod turns;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage as _, web};

use crate::http::{Client, Kind, Problem, auth, guard};

pub use endpoint::Endpoint;
pub use state::{ApiLimits, ApiState, EngineState};
pub use turns::{makers, reads};

/// Where the API lives.
pub const PREFIX: &str = "/api/v1";

/// Every endpoint of the API.
pub fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = stores::endpoints();
    endpoints.extend(accounts::endpoints());
    endpoints.extend(containers::endpoints());
    endpoints.extend(restore::endpoints());
    endpoints.extend(import::endpoints());
    endpoints.extend(tokens::endpoints());
    endpoints.extend(targets::endpoints());
    endpoints.extend(packages::endpoints());
    endpoints.extend(sweeps::endpoints());
    endpoints.extend(held::endpoints());
    endpoints.extend(runs::endpoints());
    endpoints.extend(replay::endpoints());
    endpoints.extend(dry_runs::endpoints());
    endpoints.extend(provisions::endpoints());
    endpoints.extend(openapi::endpoints());
    endpoints
}

/// Registers the API, `/healthz` and `/readyz`. The application provides
/// `web::Data<ApiState>`.
pub fn configure(config: &mut web::ServiceConfig) {
    let scope = endpoint::register(endpoints(), web::scope(PREFIX))
        .default_service(web::to(guard::no_such_path))
        .wrap(from_fn(authenticate))
        .wrap(from_fn(guard::catch_panics))
        .wrap(from_fn(guard::keep_private));
    config.service(scope).configure(health::configure).default_service(web::to(guard::no_such_path));
}

/// Middleware: finds out who is calling, for [`crate::http::Authorized`].
async fn authenticate<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let state = state_of(&request)?;
    let address = request.peer_addr().map(|peer| peer.ip());
    let caller = auth::authenticate(&state.db, request.headers(), address).await?;
    if let Some(client) = request.conn_data::<Client>() {
        client.prove();
    }
    request.extensions_mut().insert(caller);
    next.call(request).await
}

fn state_of(request: &ServiceRequest) -> Result<web::Data<ApiState>, Problem> {
    request.app_data::<web::Data<ApiState>>().cloned().ok_or_else(|| {
        log::error!("the application has no ApiState");
        Problem::new(Kind::Internal, "the log of the daemon says more")
    })
}
