//! `provisiond doctor`: is everything there that the daemon needs?

use super::bootstrap::sealer;
use crate::config::Config;
use crate::domain::target::Limits;
use crate::js::HostProgram;
use crate::logic;
use crate::storage::connect;
use crate::storage::embedded::EmbeddedPostgres;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// What is wrong and what to do, `None` when all is well.
    pub problem: Option<String>,
}

fn finding<E: std::fmt::Display>(what: impl Into<String>, result: Result<(), E>) -> Finding {
    Finding { what: what.into(), problem: result.err().map(|error| error.to_string()) }
}

/// Looks at data directory, master key, database and JavaScript host.
pub fn doctor(config: &Config) -> Vec<Finding> {
    let data_dir = &config.server.data_dir;
    vec![
        finding(format!("data directory {}", data_dir.display()), std::fs::create_dir_all(data_dir)),
        finding("master key", sealer(config).map(drop)),
        finding("database", database(config)),
        finding("JavaScript host", javascript()),
    ]
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

fn javascript() -> Result<(), String> {
    let program = HostProgram::current().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let code = "export default () => ({ status: 'provisioned' })";
    runtime
        .map_err(|error| error.to_string())?
        .block_on(logic::check(&program, code, &Limits::default()))
        .map_err(|error| error.to_string())
}
