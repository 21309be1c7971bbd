//! `provisiond doctor`: is everything there that the daemon needs?

use super::bootstrap::sealer;
use super::sandbox;
use super::serve::host_program;
use crate::config::{Config, Sandbox};
use crate::js::sandbox::{Attempt, InForce, Mechanism};
use crate::js::{self, AttemptEnd, HostProgram};
use crate::logic::bundle;
use crate::storage::connect;
use crate::storage::embedded::{EmbeddedPostgres, make_data_dir};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// How it is.
    pub state: State,
}

/// How a thing is that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Well,
    /// It works; what could be better.
    Poor(String),
    /// What is wrong and what to do.
    Bad(String),
}

fn finding<E: std::fmt::Display>(what: impl Into<String>, result: Result<(), E>) -> Finding {
    let state = result.map_or_else(|error| State::Bad(error.to_string()), |()| State::Well);
    Finding { what: what.into(), state }
}

/// Looks at data directory, master key, database, JavaScript host and sandbox.
pub fn doctor(config: &Config) -> Vec<Finding> {
    let data_dir = &config.server.data_dir;
    let mut findings = vec![
        finding(format!("data directory {}", data_dir.display()), make_data_dir(data_dir)),
        finding("master key", sealer(config).map(drop)),
        finding("database", database(config)),
    ];
    findings.extend(javascript(config));
    findings
}

fn database(config: &Config) -> Result<(), String> {
    let running = match &config.database.url {
        Some(url) => Some(url.expose().to_owned()),
        None => EmbeddedPostgres::attach(&config.server.data_dir).map_err(|error| error.to_string())?,
    };
    match running {
        Some(url) => connect(&url).map(drop).map_err(|error| error.to_string()),
        None => {
            let embedded =
                EmbeddedPostgres::start(&config.server.data_dir).map_err(|error| error.to_string())?;
            let connected = connect(&embedded.url()).map(drop).map_err(|error| error.to_string());
            embedded.stop();
            connected
        }
    }
}

/// The host, each mechanism that should hold it, and whether it is held.
fn javascript(config: &Config) -> Vec<Finding> {
    const WHAT: &str = "JavaScript host";
    let program = match host_program(config) {
        Ok(program) => program,
        Err(error) => return vec![finding(WHAT, Err(error))],
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![finding(WHAT, Err(error))],
    };
    runtime.block_on(async {
        match sandbox::in_force(&program).await {
            Ok(in_force) => {
                let mut findings = vec![finding(WHAT, Ok::<_, String>(()))];
                findings.extend(mechanisms(in_force, config.security.sandbox));
                findings.extend(attempts(&program, config).await);
                findings
            }
            Err(error) => vec![finding(WHAT, Err(error))],
        }
    })
}

fn mechanisms(in_force: InForce, sandbox: Sandbox) -> impl Iterator<Item = Finding> {
    Mechanism::ALL.into_iter().map(move |mechanism| {
        let state = match (in_force.has(mechanism), sandbox) {
            (true, _) => State::Well,
            (false, Sandbox::Off) => State::Poor("switched off by `security.sandbox`".into()),
            (false, Sandbox::Required) if mechanism.is_essential() => State::Bad(mechanism.advice().into()),
            (false, _) => State::Poor(format!("missing: {}", mechanism.advice())),
        };
        Finding { what: format!("sandbox: {mechanism}"), state }
    })
}

/// Has hosts and bundlers try what they must not be able to do.
async fn attempts(program: &HostProgram, config: &Config) -> [Finding; 2] {
    let (mut by_host, mut by_bundler) = (Vec::new(), Vec::new());
    // No folder of packages is needed to try.
    let nothing = config.server.data_dir.join("no packages");
    for attempt in Attempt::ALL {
        by_host.extend(not_stopped(attempt, js::attempt(program, attempt).await));
        by_bundler.extend(not_stopped(attempt, bundle::attempt(program, &nothing, attempt).await));
    }
    let sandbox = config.security.sandbox;
    [attempted("sandbox", &by_host, sandbox), attempted("sandbox of the bundler", &by_bundler, sandbox)]
}

fn not_stopped<E: std::fmt::Display>(attempt: Attempt, end: Result<AttemptEnd, E>) -> Option<String> {
    match end {
        Ok(end) if end.was_stopped() => None,
        Ok(_) => Some(format!("{attempt:?}")),
        Err(error) => Some(format!("{attempt:?} ({error})")),
    }
}

fn attempted(whose: &str, worked: &[String], sandbox: Sandbox) -> Finding {
    let what = format!("{whose}: {} attempts to break out", Attempt::ALL.len());
    let state = match (worked.is_empty(), sandbox) {
        (true, _) => State::Well,
        (false, Sandbox::Required) => State::Bad(format!("not stopped: {}", worked.join(", "))),
        (false, _) => State::Poor(format!("not stopped: {}", worked.join(", "))),
    };
    Finding { what, state }
}
