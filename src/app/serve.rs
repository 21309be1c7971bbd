//! `provisiond serve`

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::web;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::bootstrap::{Database, file, first_token, node_name, own_database, prepare, sealer};
use super::{AppError, descriptors, sandbox};
use crate::api::{self, ApiLimits, ApiState, EngineState};
use crate::config::{Config, Sandbox};
use crate::egress::{Ceiling, Egress};
use crate::engine::trial::Trials;
use crate::engine::{self, Deps, EngineHandle, Settings};
use crate::http::BodyLimit;
use crate::http::server::{self, ServerLimits};
use crate::js::HostProgram;
use crate::logic::Workshop;
use crate::logic::packages::Packages;
use crate::observe;
use crate::plan::breaker::Timing;
use crate::plan::{DeletionGuard, GuardPolicy};
use crate::storage::{Db, connect};

/// Runs the daemon until SIGTERM or SIGINT.
pub fn serve(config: &Config) -> Result<(), AppError> {
    observe::start_logging();
    descriptors::raise();
    hide_memory();
    actix_web::rt::System::new().block_on(async {
        // Before anything is started: a signal that comes early must still find
        // somebody who stops it again.
        let signals = Signals::listen()?;
        let starting = config.clone();
        let started = tokio::task::spawn_blocking(move || start(&starting)).await;
        let (db, database) =
            started.map_err(|error| AppError::System(format!("the start failed: {error}")))??;
        let served = run(config, db, signals).await;
        if let Some(embedded) = database.embedded {
            embedded.stop();
        }
        log::info!("stopped");
        served
    })
}

/// Secrets lie in its memory: no core dump has it, and no other process of its
/// user can read it.
fn hide_memory() {
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        log::warn!("the daemon's memory may end in a core dump: {error}");
    }
}

/// Says so when tokens go over a network that others may listen to.
fn warn_of_plain_http(address: SocketAddr) {
    if is_beyond_this_machine(address) {
        log::warn!(
            "the API is plain HTTP and listens beyond this machine ({address}): tokens and personal data can \
             be read on the way; let it listen on loopback, behind a proxy that speaks TLS"
        );
    }
}

fn is_beyond_this_machine(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}

/// Database, schema and first token.
fn start(config: &Config) -> Result<(Db, Database), AppError> {
    let database = own_database(config)?;
    let mut connection = connect(&database.url)?;
    for migration in prepare(&mut connection)? {
        log::info!("applied migration {migration}");
    }
    first_token(&mut connection, &config.server.data_dir)?;
    let pools = &config.database;
    let db = Db::connect(&database.url, pools.api_connections, pools.engine_connections);
    Ok((db, database))
}

/// The signals that end the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, AppError> {
        let fail = |error| AppError::System(format!("signals cannot be received: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(fail)?,
            interrupt: signal(SignalKind::interrupt()).map_err(fail)?,
        })
    }

    async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

async fn run(config: &Config, db: Db, signals: Signals) -> Result<(), AppError> {
    let program = host_program(config)?;
    sandbox::check(&program, config.security.sandbox).await?;
    let sealer = sealer(config)?;
    let egress = Egress::new().below(ceiling(config)?);
    let ceiling = egress.ceiling().clone();
    let deps = Deps {
        db: db.clone(),
        egress: Arc::new(egress),
        program: program.clone(),
        sealer: sealer.clone(),
        settings: Arc::new(Settings {
            node: node_name(config)?,
            run_again_floor: config.engine.run_again_floor,
            poll_interval: config.engine.poll_interval,
            breaker: Timing {
                first_probe: config.engine.breaker_probe,
                longest_probe: config.engine.breaker_probe_longest,
            },
            log_retention_days: config.limits.log_retention_days,
            replay_retention_days: config.limits.replay_retention_days,
            guard: guard(config),
        }),
        before_run: None,
    };
    let packages = Packages::new(&config.packages).map_err(|error| AppError::System(error.to_string()))?;
    let workshop = Arc::new(Workshop::new(program, packages));
    // The address first: nothing is provisioned by a daemon that cannot start.
    let listener = listen(config)?;
    let trials = Trials::new(deps.clone());
    let engine = engine::start(deps);
    let most_targets = i64::from(config.limits.max_targets);
    let state = ApiState {
        db,
        nudge: engine.nudge(),
        limits: api_limits(config),
        reads: api::reads(config.database.api_connections),
    };
    let makers = api::makers();
    let wiring =
        EngineState { engine: engine.clone(), trials, workshop, makers, sealer, most_targets, ceiling };
    let server = start_server(listener, state, wiring, config)?;
    let handle = server.handle();
    let stopping = tokio::spawn(stop_on_signal(signals, engine, handle, config.server.drain));
    server.await.map_err(|error| AppError::System(format!("the HTTP server failed: {error}")))?;
    stopping.await.map_err(|error| AppError::System(format!("not stopped in order: {error}")))?;
    _ = std::fs::remove_file(config.server.data_dir.join("address"));
    Ok(())
}

/// This program as JavaScript host, confined as it is configured.
pub(super) fn host_program(config: &Config) -> Result<HostProgram, AppError> {
    let program = HostProgram::current();
    let program = program.map_err(|error| AppError::System(format!("no executable: {error}")))?;
    Ok(HostProgram { confined: config.security.sandbox != Sandbox::Off, ..program })
}

/// What no target may reach.
fn ceiling(config: &Config) -> Result<Ceiling, AppError> {
    let egress = &config.egress;
    Ceiling::parse(&egress.allow, &egress.deny).map_err(|error| AppError::System(error.to_string()))
}

fn api_limits(config: &Config) -> ApiLimits {
    ApiLimits {
        import_line: config.limits.import_line,
        guard: guard(config),
        longest_read: config.database.read_timeout,
        ..ApiLimits::default()
    }
}

fn guard(config: &Config) -> GuardPolicy {
    let limits = &config.limits;
    let guard = DeletionGuard {
        count: limits.deletion_guard_count,
        percent: u64::from(limits.deletion_guard_percent),
    };
    GuardPolicy { guard, window: limits.deletion_guard_window, expiry: limits.held_expiry }
}

fn listen(config: &Config) -> Result<std::net::TcpListener, AppError> {
    let address = &config.server.listen;
    let fail = |error| AppError::Listen { address: address.to_string(), error };
    let listener = std::net::TcpListener::bind(address).map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    warn_of_plain_http(bound);
    let url = format!("http://{bound}");
    let path = config.server.data_dir.join("address");
    std::fs::write(&path, format!("{url}\n")).map_err(|error| file("write", &path, error))?;
    log::info!("listening on {url}");
    Ok(listener)
}

fn start_server(
    listener: std::net::TcpListener,
    state: ApiState,
    wiring: EngineState,
    config: &Config,
) -> Result<actix_web::dev::Server, AppError> {
    let (state, wiring) = (web::Data::new(state), web::Data::new(wiring));
    let body = BodyLimit(config.limits.body);
    let configure = move |service: &mut web::ServiceConfig| {
        service.app_data(state.clone()).app_data(body).app_data(wiring.clone());
        api::configure(service);
    };
    server::start(listener, server_limits(config), configure)
        .map_err(|error| AppError::System(format!("the HTTP server does not start: {error}")))
}

fn server_limits(config: &Config) -> ServerLimits {
    let server = &config.server;
    ServerLimits {
        connections: descriptors::for_connections(server.max_connections),
        head: server.head_timeout,
        body: server.body_timeout,
        write: server.write_timeout,
        idle: server.idle_timeout,
    }
}

/// First the engine, so that the API can tell meanwhile what still runs.
async fn stop_on_signal(
    mut signals: Signals,
    engine: EngineHandle,
    server: ServerHandle,
    drain: std::time::Duration,
) {
    log::info!("{}: draining", signals.received().await);
    engine.shutdown(drain).await;
    server.stop(true).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_needs_no_tls() {
        for (address, beyond) in [
            ("127.0.0.1:8470", false),
            ("127.8.8.8:1", false),
            ("[::1]:8470", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:8470", true),
            ("[::]:8470", true),
            ("10.0.0.1:8470", true),
        ] {
            assert_eq!(is_beyond_this_machine(address.parse().unwrap()), beyond, "{address}");
        }
    }

    #[test]
    fn the_daemons_memory_is_nobody_elses() {
        hide_memory();
        assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
        nix::sys::prctl::set_dumpable(true).unwrap();
    }
}
