//! A server that is up: found or started, ready, with our database.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::ConnectionError;

use super::binaries::Search;
use super::error::tells_disk_full;
use super::layout::Layout;
use super::log_file::LogFile;
use super::postmaster::{PidFile, Postmaster, clear_leftovers};
use super::user::ServiceUser;
use super::{EmbeddedError, access, initdb, role, settings};

/// How long a server may take to say anything.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a server may take that says it is recovering from a crash.
const RECOVERED_WITHIN: Duration = Duration::from_secs(15 * 60);

/// A running server of a data directory.
#[derive(Debug)]
pub(super) struct Server {
    layout: Layout,
    log: LogFile,
    socket_directory: PathBuf,
    postmaster: Postmaster,
}

impl Server {
    /// Adopts or starts the server of a locked data directory and waits until
    /// our database can be used.
    pub fn start(layout: Layout) -> Result<Self, EmbeddedError> {
        let user = ServiceUser::of(&layout)?;
        let mut server = match PidFile::read(&layout)?.filter(|file| file.is_running(&layout)) {
            Some(file) => Self::adopt(layout, &user, file)?,
            None => Self::spawn(layout, &user)?,
        };
        match server.make_ready() {
            Ok(()) => Ok(server),
            // One that was found while it stopped: a new one does better.
            Err(EmbeddedError::Ended { .. }) if matches!(server.postmaster, Postmaster::Adopted(_)) => {
                Self::start(server.layout)
            }
            Err(error) => {
                server.stop();
                Err(error)
            }
        }
    }

    /// Takes over what a killed daemon left running.
    fn adopt(layout: Layout, user: &ServiceUser, file: PidFile) -> Result<Self, EmbeddedError> {
        log::info!("adopting the PostgreSQL that runs as process {}", file.pid);
        settings::write(&layout, &file.socket_directory, user)?;
        let (log, socket_directory) = (LogFile::at(layout.log()), file.socket_directory.clone());
        let postmaster = Postmaster::Adopted(file);
        postmaster.reload();
        Ok(Self { layout, log, socket_directory, postmaster })
    }

    fn spawn(layout: Layout, user: &ServiceUser) -> Result<Self, EmbeddedError> {
        let cluster = layout.major()?;
        let binaries = Search::of_this_machine().find(cluster, &layout.cluster())?;
        access::check(&layout, user, &binaries)?;
        if cluster.is_none() {
            initdb::make_cluster(&layout, user, &binaries)?;
        }
        let socket_directory = layout.socket_directory(user)?;
        clear_leftovers(&layout, &socket_directory)?;
        settings::write(&layout, &socket_directory, user)?;
        let log = LogFile::at(layout.log());
        let postmaster = Postmaster::spawn(&layout, user, &binaries, &log)?;
        Ok(Self { layout, log, socket_directory, postmaster })
    }

    fn make_ready(&mut self) -> Result<(), EmbeddedError> {
        let started = Instant::now();
        loop {
            if !self.is_alive() {
                return Err(self.ended());
            }
            let Err(error) = role::make_ready(&self.socket_directory) else { return Ok(()) };
            let limit = if is_recovering(&error) { RECOVERED_WITHIN } else { READY_WITHIN };
            if started.elapsed() > limit {
                return Err(self.not_ready(limit, &error));
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn ended(&self) -> EmbeddedError {
        let output = self.log.last_lines();
        if tells_disk_full(&output) {
            return EmbeddedError::DiskFull(self.layout.cluster());
        }
        EmbeddedError::Ended { log: self.log.path.clone(), output }
    }

    fn not_ready(&self, limit: Duration, last: &ConnectionError) -> EmbeddedError {
        let output = format!("{}\n{last}", self.log.last_lines());
        EmbeddedError::NotReady { seconds: limit.as_secs(), log: self.log.path.clone(), output }
    }

    /// How to connect to our database.
    pub fn url(&self) -> String {
        url(&self.socket_directory)
    }

    /// The data directory.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        self.postmaster.is_alive(&self.layout)
    }

    /// Keeps the log from growing for ever.
    pub fn bound_log(&mut self) {
        if let Err(error) = self.log.bound() {
            log::warn!("cannot shorten {}: {error}", self.log.path.display());
        }
    }

    /// Shuts it down and waits for that.
    pub fn stop(&mut self) {
        self.postmaster.stop(&self.layout);
    }
}

/// The URL of our database behind a socket in `directory`, which has no comma:
/// libpq would take that for a list of hosts.
pub(super) fn url(directory: &Path) -> String {
    url_of(settings::NAME, settings::NAME, directory)
}

pub(super) fn url_of(user: &str, database: &str, directory: &Path) -> String {
    format!("postgres:///{database}?host={}&port=5432&user={user}&connect_timeout=10", encode(directory))
}

/// Percent-encodes a path for a URL (RFC 3986 §2.1).
fn encode(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(byte);
    let encode = |byte: &u8| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    path.as_os_str().as_bytes().iter().map(encode).collect()
}

/// Whether the server answers that it is not ready yet, rather than nothing.
fn is_recovering(error: &ConnectionError) -> bool {
    let message = error.to_string();
    ["starting up", "not yet accepting", "in recovery mode"].iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_url_is_encoded() {
        let url = url(Path::new("/data dir/é"));
        assert_eq!(
            url,
            "postgres:///provisiond?host=/data%20dir/%C3%A9&port=5432&user=provisiond&connect_timeout=10"
        );
    }
}
