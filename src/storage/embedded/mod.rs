//! A private PostgreSQL in the data directory, for a daemon without a database URL.
//!
//! It runs from the system's binaries, listens on a Unix socket only that no
//! other user can reach, and belongs to the daemon: a thread watches it, starts
//! it again when it dies and stops it at the end. A server that a killed daemon
//! left behind is adopted, not started again.
//!
//! In the data directory:
//!
//! | name | what |
//! |---|---|
//! | `lock` | held while a daemon uses the directory; holds its process id |
//! | `postgres/` | the cluster; belongs to the user that PostgreSQL runs as |
//! | `postgres-socket/` | the socket, mode 0700 (in /run or /tmp when the path does not do) |
//! | `postgres.conf`, `postgres-hba.conf`, `postgres-ident.conf` | written at every start |
//! | `postgres.local.conf` | yours, to override settings |
//! | `postgres.log`, `postgres.log.1` | at most 16 MiB each |
//!
//! PostgreSQL refuses to be root. A daemon that is root runs it as the user
//! `postgres`, and then never writes inside a directory of that user, so that
//! this user cannot make root write elsewhere. The daemon's sessions are those of
//! the role `provisiond`, which owns the database and is no superuser.

mod access;
mod binaries;
mod error;
mod initdb;
mod keeper;
mod layout;
mod log_file;
mod postmaster;
mod role;
mod server;
mod settings;
mod user;

use std::path::Path;

pub use error::EmbeddedError;
pub use layout::make_data_dir;

use keeper::Keeper;
use layout::Layout;
use postmaster::PidFile;
use server::Server;

/// A running PostgreSQL that this process owns.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    url: String,
    keeper: Keeper,
}

impl EmbeddedPostgres {
    /// Starts the PostgreSQL of `data_dir`, makes directory, cluster and database
    /// where they are missing, and waits until it can be used. Blocks: some
    /// seconds the first time, a fraction of one later, longer after a crash.
    pub fn start(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let layout = Layout::create(data_dir)?;
        let lock = layout.lock()?;
        let server = Server::start(layout)?;
        Ok(Self { url: server.url(), keeper: Keeper::spawn(server, lock)? })
    }

    /// The URL of a PostgreSQL that already runs for `data_dir`, without owning
    /// it; `None` when none runs.
    pub fn attach(data_dir: &Path) -> Result<Option<String>, EmbeddedError> {
        let Some(layout) = Layout::find(data_dir)? else { return Ok(None) };
        let running = PidFile::read(&layout)?.filter(|file| file.is_running(&layout));
        Ok(running.map(|file| server::url(&file.socket_directory)))
    }

    /// How to connect: a URL for libpq that names the socket.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Ends every session, shuts PostgreSQL down cleanly and waits for that.
    /// Dropping does the same. Blocks.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        self.keeper.stop();
    }
}
