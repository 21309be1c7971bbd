//! Why there is no embedded PostgreSQL, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the embedded PostgreSQL could not be started or found. Every message
/// says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// PostgreSQL is not installed.
    #[error(
        "no PostgreSQL server found in {looked}: install it (`apt-get install postgresql`), set \
         PROVISIOND_PG_BIN to the directory that holds `postgres` and `initdb`, or set DATABASE_URL"
    )]
    NoBinaries {
        /// Where it was looked for.
        looked: String,
    },
    /// Only an old PostgreSQL is installed.
    #[error(
        "PostgreSQL {found} in {} is too old: install version {oldest} or newer, or set PROVISIOND_PG_BIN to one",
        .directory.display()
    )]
    TooOld {
        /// Its major version.
        found: u32,
        /// The oldest major version that will do.
        oldest: u32,
        /// Where it is.
        directory: PathBuf,
    },
    /// The cluster was made by another major version.
    #[error(
        "the database in {} was made by PostgreSQL {cluster}, but {installed} is installed: install \
         `postgresql-{cluster}` again, or move the database to the new version with `pg_upgrade`",
        .directory.display()
    )]
    OtherMajor {
        /// The cluster.
        directory: PathBuf,
        /// The major version that made it.
        cluster: u32,
        /// The newest major version that is installed.
        installed: u32,
    },
    /// The cluster's directory holds something else.
    #[error("{} is not a PostgreSQL cluster: move it away, or restore it from a backup", .0.display())]
    NotACluster(PathBuf),
    /// Another daemon uses the data directory.
    #[error(
        "the data directory {} is in use by process {pid}: stop that one (`kill {pid}`), or name another \
         directory with --data-dir",
        .directory.display()
    )]
    InUse {
        /// The data directory.
        directory: PathBuf,
        /// Who uses it.
        pid: u32,
    },
    /// There is no user that PostgreSQL could run as.
    #[error("PostgreSQL cannot run as {who}: {advice}")]
    NoUser {
        /// The user that was looked for.
        who: String,
        /// What to do.
        advice: &'static str,
    },
    /// A user may not use a file or directory.
    #[error("the user `{user}` may not use {}: {advice}", .path.display())]
    NotPermitted {
        /// The file or directory.
        path: PathBuf,
        /// The user.
        user: String,
        /// What to do.
        advice: String,
    },
    /// No room is left.
    #[error("no disk space is left for {}: free some, then start again; nothing is lost", .0.display())]
    DiskFull(PathBuf),
    /// No directory for the socket has a path that is short enough and private.
    #[error(
        "no place for the database's socket: {reason}; name a data directory with a shorter path with --data-dir"
    )]
    NoSocketDirectory {
        /// What is wrong with the last candidate.
        reason: String,
    },
    /// `initdb` failed.
    #[error("`initdb` could not make a cluster in {}; solve what its last lines say:\n{output}", .directory.display())]
    InitFailed {
        /// Where.
        directory: PathBuf,
        /// Its last lines.
        output: String,
    },
    /// The server ended while it started.
    #[error("PostgreSQL ended while it started; solve what the last lines of {} say:\n{output}", .log.display())]
    Ended {
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        output: String,
    },
    /// The server did not become usable in time.
    #[error("PostgreSQL did not become ready in {seconds} s; look at the last lines of {}:\n{output}", .log.display())]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// The log file.
        log: PathBuf,
        /// Its last lines.
        output: String,
    },
    /// Anything else of the operating system.
    #[error("cannot {action} {}: {source}; check the file system and try again", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
}

impl EmbeddedError {
    /// Tells the failures of the operating system that a person can act upon
    /// from the others. For use with `map_err`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotPermitted {
                path,
                user: super::user::current_name(),
                advice:
                    "start as root or as the owner of that path, or name another directory with --data-dir"
                        .to_owned(),
            },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(path),
            _ => Self::Io { action, path, source },
        }
    }
}

/// Whether a message of PostgreSQL is about a full disk.
pub(super) fn tells_disk_full(message: &str) -> bool {
    ["No space left on device", "Disk quota exceeded", "Check free disk space"]
        .iter()
        .any(|words| message.contains(words))
}
