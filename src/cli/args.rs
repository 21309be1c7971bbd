//! What the command line takes.

mod expiry;
mod logic;
mod runs;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use expiry::Expiry;
pub use logic::*;
pub use runs::*;

use super::Failure;
use super::print::{argument, quoted};
use crate::config::{Config, Overrides};
use crate::security::Role;

/// Keeps accounts in external systems equal to an identity store.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 daemon unreachable, \
                        4 conflict or held.\n\nA first run:\n  provisiond serve --data-dir ./data\n  \
                        export PROVISIOND_TOKEN=$(provisiond token create --role owner --data-dir ./data)\n  \
                        provisiond import people.jsonl --store people --create-store")]
pub struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon until it gets SIGTERM or SIGINT
    ///
    /// Without DATABASE_URL it runs a private PostgreSQL in its data directory,
    /// from the binaries of the system, and stops it again.
    Serve(Place),
    /// Make, list and revoke API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Stream accounts as JSON lines into a store
    ///
    /// Each line is an object with `userName`, and optionally `externalId`,
    /// `displayName`, `status`, `attributes`, `groups` and `organization`.
    /// A line is matched to an account by `externalId`, also to one that was
    /// deleted, else by `userName` to one that has no `externalId`; lines that
    /// change nothing are skipped.
    Import(Import),
    /// List accounts, and restore those that were deleted
    #[command(subcommand)]
    Account(AccountCommand),
    /// Look at targets and act on them
    #[command(subcommand)]
    Target(TargetCommand),
    /// Write provisioning logic, try it, publish it, go back
    #[command(subcommand)]
    Logic(LogicCommand),
    /// Look into runs
    #[command(subcommand)]
    Run(RunCommand),
    /// Decide about removals that a guard holds
    #[command(subcommand)]
    Held(HeldCommand),
    /// Bring the schema of the database up to date (opens the database)
    Migrate(Place),
    /// Check what the daemon needs, and say what to do about what is missing
    Doctor(Place),
    /// The JavaScript host process; the daemon starts it
    #[command(hide = true)]
    JsHost {
        /// Without its sandbox
        #[arg(long)]
        unconfined: bool,
    },
    /// The bundler process; the daemon starts it
    #[command(hide = true)]
    Bundle {
        /// Without its sandbox
        #[arg(long)]
        unconfined: bool,
    },
}

/// Where the daemon lives; for commands that open the database themselves.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "PROVISIOND_CONFIG")]
    config: Option<PathBuf>,
    /// Data directory
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address to listen on, such as 127.0.0.1:8470
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl Place {
    /// The configuration: defaults, file, environment, then these arguments.
    pub fn config(&self) -> Result<Config, Failure> {
        // Variables of others may hold anything.
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment: BTreeMap<String, String> =
            std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        let overrides = Overrides { data_dir: self.data_dir.clone(), listen: self.listen.clone() };
        Config::load(self.config.as_deref(), &environment, &overrides)
            .map_err(|error| Failure::Usage(error.to_string()))
    }
}

/// Over what says how to reach it, below what is the command's own.
const DAEMON: &str = "Daemon";

/// How to reach a running daemon.
#[derive(Debug, Clone, Args)]
pub struct Remote {
    /// Base URL of the daemon
    #[arg(long, env = "PROVISIOND_URL", default_value = "http://127.0.0.1:8470", global = true, help_heading = DAEMON)]
    pub url: String,
    /// File that holds the API token; otherwise it is in PROVISIOND_TOKEN, or in
    /// the file that PROVISIOND_TOKEN_FILE names, or asked for
    #[arg(long, value_name = "FILE", global = true, help_heading = DAEMON)]
    pub token_file: Option<PathBuf>,
}

/// `provisiond token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it, alone; it cannot be shown again
    ///
    /// Opens the database, also beside a running daemon, so that a first token
    /// needs no other.
    Create {
        /// viewer, operator, editor, secretsAdmin or owner
        #[arg(long)]
        role: Role,
        /// What it is for; no other token in force may be called so
        #[arg(long)]
        name: Option<String>,
        /// How long it works (`12h`, `30d`), until when (RFC 3339), or `never`
        /// to give it no end
        #[arg(long, value_name = "WHEN", default_value = "90d", value_parser = Expiry::parse)]
        expires: Expiry,
        /// Where the daemon lives
        #[command(flatten)]
        place: Place,
    },
    /// List tokens
    List {
        /// Which daemon
        #[command(flatten)]
        remote: Remote,
    },
    /// Revoke a token
    Revoke {
        /// Its id
        id: String,
        /// Which daemon
        #[command(flatten)]
        remote: Remote,
    },
}

/// `provisiond import`
#[derive(Debug, Args)]
pub struct Import {
    /// File of JSON lines, or `-` for standard input
    pub file: PathBuf,
    /// Store: its name or id
    #[arg(long)]
    pub store: String,
    /// Make the store if it does not exist
    #[arg(long)]
    pub create_store: bool,
    /// Delete accounts of the store that the file does not name
    #[arg(long)]
    pub delete_missing: bool,
    /// Delete them even if they are more than the guard allows
    #[arg(long, requires = "delete_missing")]
    pub confirm_deletions: bool,
    /// Line that may be bad without keeping missing accounts from being deleted
    #[arg(long, value_name = "NUMBER", value_delimiter = ',')]
    pub set_aside_line: Vec<u64>,
    /// The same, by the external id or the user name on the line; whose it is
    /// is not deleted
    #[arg(long, value_name = "KEY")]
    pub set_aside_key: Vec<String>,
    /// Which daemon
    #[command(flatten)]
    pub remote: Remote,
}

/// `provisiond account …`
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// List accounts of a store
    List {
        /// Store: its name or id
        #[arg(long)]
        store: String,
        /// Only those that were deleted
        #[arg(long)]
        deleted: bool,
        /// Only those that match a SCIM filter
        #[arg(long)]
        filter: Option<String>,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value = "50")]
        limit: u32,
        /// Which daemon
        #[command(flatten)]
        remote: Remote,
    },
    /// Restore a deleted account: the same id, and what targets hold of it
    Restore {
        /// Its id, as `account list --deleted` shows it
        id: String,
        /// Which daemon
        #[command(flatten)]
        remote: Remote,
    },
}

/// Names a target.
#[derive(Debug, Clone, Args)]
pub struct TargetName {
    /// Target: its id, or its name
    pub target: String,
    /// Store that has it, when several stores have a target of that name
    #[arg(long)]
    pub store: Option<String>,
    /// Which daemon
    #[command(flatten)]
    pub remote: Remote,
}

impl TargetName {
    /// The same target, for a command that is shown.
    pub fn words(&self) -> String {
        let target = argument(&self.target);
        match &self.store {
            Some(store) => format!("--store={} {target}", quoted(store)),
            None => target,
        }
    }
}

/// Selects dead letters.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub struct RetryWhat {
    /// Those of one group, as `target dead` shows them
    #[arg(long)]
    pub fingerprint: Option<String>,
    /// Those of accounts that match a SCIM filter
    #[arg(long)]
    pub filter: Option<String>,
    /// Those that died then or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// All of the target
    #[arg(long, conflicts_with_all = ["fingerprint", "filter", "since"])]
    pub all: bool,
}

/// `provisiond target …`
#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// List the targets of all stores
    List {
        /// Only of this store
        #[arg(long)]
        store: Option<String>,
        /// Which daemon
        #[command(flatten)]
        remote: Remote,
    },
    /// Show settings
    Show(TargetName),
    /// Show backlog, rates and counts
    Status(TargetName),
    /// Provision every account in scope again, with a progress bar
    Force {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// Return at once instead of waiting for the end
        #[arg(long)]
        no_wait: bool,
    },
    /// Cancel the newest sweep (force, retry, edited filter) that is not done
    ///
    /// Work of it that has not begun is taken out of the queue; accounts that
    /// have another change pending keep it.
    Cancel {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// Another sweep, by its id
        #[arg(long, value_name = "ID")]
        sweep: Option<String>,
    },
    /// Show failures that nothing will retry, grouped by what they have in common
    Dead(TargetName),
    /// Try dead letters again: those that meet every condition, or all
    Retry {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// Which of its dead letters
        #[command(flatten)]
        what: RetryWhat,
    },
    /// Wait, with a progress bar, until nothing is due
    ///
    /// Exit code 0 when all is done; 1 when accounts failed; 4 when the target is
    /// disabled or paused, or accounts are ongoing, wait for other targets or are
    /// held.
    Wait {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// Wait also for what is ongoing, is tried again or waits for other targets
        #[arg(long)]
        settled: bool,
        /// Wait no longer than that (`30s`, `10m`, `2h`); exit code 1 then
        #[arg(long, value_name = "TIME", value_parser = expiry::duration)]
        timeout: Option<std::time::Duration>,
    },
    /// List removals that wait for someone to approve or reject them
    Held(TargetName),
    /// Claim no more work; runs that are under way end
    Pause(TargetName),
    /// Pause, and wait until the runs that are under way have ended
    Drain(TargetName),
    /// Go on
    Resume(TargetName),
    /// Pause, and terminate the JavaScript that runs
    Stop(TargetName),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn text_that_begins_with_a_dash_is_taken() {
        let arguments = ["provisiond", "run", "list", "--account=-x", "--store=-people", "--", "-crm"];
        let Command::Run(RunCommand::List { name, account, .. }) =
            Cli::try_parse_from(arguments).unwrap().command
        else {
            panic!("another command")
        };
        assert_eq!((name.target.as_str(), account.as_deref()), ("-crm", Some("-x")));
        assert_eq!(name.words(), "--store=-people -- -crm");
        let quoted = TargetName { target: "$(reboot)".into(), store: None, ..name };
        assert_eq!(quoted.words(), "'$(reboot)'");
    }

    #[test]
    fn the_arguments_of_every_command_fit_together() {
        Cli::command().debug_assert();
    }
}
