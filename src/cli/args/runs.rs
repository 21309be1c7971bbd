//! What `provisiond run …` and `provisiond held …` take.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{LogicChoice, Remote, TargetName};

/// `provisiond run …`
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// List the newest runs of a target
    List {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// Only those of an account: its id, or its user name
        #[arg(long, value_name = "ACCOUNT")]
        account: Option<String>,
        /// Only those that failed
        #[arg(long)]
        failed: bool,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value = "20")]
        limit: u32,
    },
    /// Show a run: what it was told and answered, its console, its exchanges
    Show {
        /// Its id, as `run list` shows it
        run: String,
        /// Which daemon
        #[command(flatten)]
        remote: Remote,
    },
    /// Run a failed run again with the draft, offline, and compare
    ///
    /// Nothing is sent: each request gets the answer that it got then. Exit code 1
    /// when the run would fail again.
    Replay(ReplayRun),
}

/// `provisiond run replay`
#[derive(Debug, Args)]
pub struct ReplayRun {
    /// Its id, as `run list` shows it
    pub run: String,
    /// Which logic
    #[command(flatten)]
    pub logic: LogicChoice,
    /// File with answers to requests that were not recorded (JSON: a list of
    /// `{method?, url?, status?, headers?, body?, times?}`)
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Which daemon
    #[command(flatten)]
    pub remote: Remote,
}

/// `provisiond held …`
#[derive(Debug, Subcommand)]
pub enum HeldCommand {
    /// Let the removals run
    Approve(HeldChoice),
    /// Leave the accounts where they are
    ///
    /// The removals stay known; a later change, sync or force of an account
    /// judges it anew.
    Reject(HeldChoice),
}

/// Names what is held.
#[derive(Debug, Clone, Args)]
pub struct HeldChoice {
    /// Its id, as `target held` shows it
    pub id: String,
    /// How many you have seen; if there are more by now, nothing is decided
    #[arg(long, value_name = "NUMBER")]
    pub count: Option<u64>,
    /// Which daemon
    #[command(flatten)]
    pub remote: Remote,
}
