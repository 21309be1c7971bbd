//! The command line. Each command is a thin client of the REST API, or a call
//! into [`crate::app`] for those that open the database themselves.

mod account;
mod args;
mod client;
mod dead;
mod exit;
mod held;
mod import;
mod logic;
mod print;
mod run;
mod source;
mod sweep;
mod target;
mod terminal;
mod token;
mod trial;
mod trial_report;
mod wait;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
pub use exit::Failure;

use crate::{app, observe};

/// Parses the command line, runs the command and gives its exit code:
/// 0 done, 1 failed, 2 wrong usage, 3 daemon unreachable, 4 conflict or held.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            print::usage(&error);
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    // The daemon reads what its children write in their last moment.
    if !matches!(cli.command, Command::JsHost { .. } | Command::Bundle { .. }) {
        observe::show_panics();
    }
    match cli.command {
        Command::JsHost { unconfined } => return exit::from_code(crate::js::main(!unconfined)),
        Command::Bundle { unconfined } => return exit::from_code(crate::logic::bundle::main(!unconfined)),
        Command::Serve(serve) => app::serve(&serve.config()?)?,
        Command::Migrate(place) => {
            for name in app::migrate(&place.config()?)? {
                print::say(&format!("applied {name}"));
            }
        }
        Command::Doctor(place) => return exit::all_well(app::doctor(&place.config()?)),
        Command::Token(command) => token::run(command, cli.json)?,
        Command::Import(import) => client::block_on(import::run(import, cli.json))?,
        Command::Account(command) => client::block_on(account::run(command, cli.json))?,
        Command::Logic(command) => client::block_on(logic::run(command, cli.json))?,
        Command::Run(command) => client::block_on(run::run(command, cli.json))?,
        Command::Held(command) => client::block_on(held::run(command, cli.json))?,
        Command::Target(command) => client::block_on(target::run(command, cli.json))?,
    }
    Ok(())
}
