//! What `provisiond logic …` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Remote, TargetName};

/// `provisiond logic …`
#[derive(Debug, Subcommand)]
pub enum LogicCommand {
    /// Show what is published, what is on trial and how the draft stands
    Show(TargetName),
    /// Save a file as the draft, and show what building and testing it found
    ///
    /// Nothing runs it until it is published. Exit code 1 unless it could be:
    /// a file that does not build is not saved, one whose tests fail is.
    Put {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// File with the logic, or `-` for standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// File with the packages that it imports: a package.json, or just its
        /// `dependencies`; otherwise the package.json beside the file, if any
        #[arg(long, value_name = "FILE")]
        dependencies: Option<PathBuf>,
    },
    /// Build the draft again and run its tests
    ///
    /// Exit code 1 unless it could be published.
    Validate {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// Choose packages anew, where their ranges allow newer ones
        #[arg(long)]
        update: bool,
    },
    /// Run the draft without changing anything, and show what it would do
    ///
    /// Requests that only read are sent to the external system; those that would
    /// change something are shown instead. Exit code 1 when the run would fail.
    Test(TestLogic),
    /// Make the draft the version that runs, if its tests pass
    ///
    /// It is the draft that this token saved; that of another one needs a word,
    /// `--saved-by`. Nothing runs because of it, unless `--force-all` is given.
    Publish(PublishLogic),
    /// Publish an earlier version again: one that you name, or one step back
    ///
    /// Without a number it is the latest version before the published one whose code
    /// differs and that was more than tried. What a rollback has published counts as
    /// the version that it took up: rolling back twice goes two steps back. To undo a
    /// rollback, name the version.
    Rollback {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// Its number, as `logic versions` shows it
        #[arg(value_name = "VERSION")]
        number: Option<u32>,
        /// Why, in your words
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// Whether all accounts run it at once
        #[command(flatten)]
        force: ForceAll,
    },
    /// Look at a version that some accounts run first, and end the trial
    #[command(subcommand)]
    Canary(CanaryCommand),
    /// List what was published: when, by whom, why
    Versions(TargetName),
    /// Show what differs between two versions, packages included
    Diff {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// The number of a version, `published` or `draft`
        #[arg(default_value = "published")]
        from: String,
        /// The same
        #[arg(default_value = "draft")]
        to: String,
    },
    /// Print the source of a version
    Get {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// The number of a version, `published` or `draft`
        #[arg(default_value = "published", value_name = "VERSION")]
        which: String,
        /// What runs instead: one JavaScript module, packages included
        #[arg(long)]
        bundle: bool,
    },
    /// Print the TypeScript declarations of what logic can use, for an editor
    Types {
        /// Which daemon
        #[command(flatten)]
        remote: Remote,
    },
}

/// `provisiond logic publish`
#[derive(Debug, Args)]
pub struct PublishLogic {
    /// Which target
    #[command(flatten)]
    pub name: TargetName,
    /// Which file becomes the draft first
    #[command(flatten)]
    pub source: SourceFile,
    /// Publish the draft that another token saved: its name or id, as `logic show`
    /// tells them
    #[arg(long, value_name = "TOKEN", conflicts_with = "file")]
    pub saved_by: Option<String>,
    /// Why, in your words
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Who runs it first
    #[command(flatten)]
    pub canary: CanaryShare,
    /// Whether all accounts run it at once
    #[command(flatten)]
    pub force: ForceAll,
}

/// A file with logic, for commands that can do without.
#[derive(Debug, Clone, Args)]
pub struct SourceFile {
    /// A file instead of the draft, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// File with the packages that it imports: a package.json, or just its
    /// `dependencies`; otherwise the package.json beside the file, if any
    #[arg(long, value_name = "FILE", requires = "file")]
    pub dependencies: Option<PathBuf>,
}

/// All accounts, now.
#[derive(Debug, Clone, Args)]
pub struct ForceAll {
    /// Run every account in scope at once; asks first
    #[arg(long)]
    pub force_all: bool,
    /// Do not ask
    #[arg(long, requires = "force_all")]
    pub yes: bool,
}

/// Some accounts first.
#[derive(Debug, Clone, Args)]
pub struct CanaryShare {
    /// Only so many accounts run it at first (`20`), or so many in a hundred (`5%`)
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "force_all")]
    pub canary: Option<Share>,
    /// It is rolled back when more in a hundred of its runs fail
    #[arg(long, value_name = "PERCENT", requires = "canary")]
    pub max_failures: Option<u8>,
    /// … and there were at least so many
    #[arg(long, value_name = "NUMBER", requires = "canary")]
    pub min_runs: Option<u32>,
}

/// How much a canary gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Accounts(u32),
    /// So many in a hundred.
    Percent(u8),
}

fn share(text: &str) -> Result<Share, String> {
    let read = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse().map(Share::Percent),
        None => text.parse().map(Share::Accounts),
    };
    read.map_err(|_| "must be a number of accounts such as 20, or a share such as 5%".to_owned())
}

/// `provisiond logic canary …`
#[derive(Debug, Subcommand)]
pub enum CanaryCommand {
    /// Show runs and failures of both versions
    Status(TargetName),
    /// Wait until the version on trial has had as many runs as decide about it
    ///
    /// Exit code 1 when it was rolled back.
    Wait(TargetName),
    /// Make it the version of all accounts
    Promote(TargetName),
    /// Take it back: all accounts run the published version
    Rollback {
        /// Which target
        #[command(flatten)]
        name: TargetName,
        /// Why, in your words
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
}

/// `provisiond logic test`
#[derive(Debug, Args)]
pub struct TestLogic {
    /// Which target
    #[command(flatten)]
    pub name: TargetName,
    /// For whom, and for how many
    #[command(flatten)]
    pub who: TestWhom,
    /// provision or deprovision; otherwise what the target's filter says
    #[arg(long, conflicts_with = "sample")]
    pub reason: Option<String>,
    /// Which logic
    #[command(flatten)]
    pub logic: LogicChoice,
    /// Send nothing at all, also no requests that only read
    #[arg(long)]
    pub offline: bool,
    /// File with answers to requests that are not sent (JSON: a list of
    /// `{method?, url?, status?, headers?, body?, times?}`)
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
}

/// For whom logic is tried.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct TestWhom {
    /// Account: its id, or its user name
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// File with an account that does not exist (JSON: `{userName, attributes, …}`)
    #[arg(long, value_name = "FILE")]
    pub made_up: Option<PathBuf>,
    /// So many accounts, spread over all (at most 200), or `all`; compares with
    /// what is published
    #[arg(long, value_name = "NUMBER")]
    pub sample: Option<String>,
}

/// Which logic is tried.
#[derive(Debug, Clone, Args)]
pub struct LogicChoice {
    /// A file, which is not saved
    #[command(flatten)]
    pub source: SourceFile,
    /// `published`, or the number of a version, instead of the draft
    #[arg(long, value_name = "VERSION", conflicts_with = "file")]
    pub logic: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_number_of_accounts_or_so_many_in_a_hundred() {
        assert_eq!(share("20"), Ok(Share::Accounts(20)));
        assert_eq!(share("5%"), Ok(Share::Percent(5)));
        for bad in ["", "%", "5.5%", "-1", "some", "300%"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
