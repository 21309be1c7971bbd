//! The server's process: our child, or one that a killed daemon left behind.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::EmbeddedError;
use super::binaries::Binaries;
use super::layout::Layout;
use super::log_file::LogFile;
use super::user::ServiceUser;

/// How long a fast shutdown may take before it becomes an immediate one, which
/// costs a recovery at the next start but loses nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The lock beside the socket.
const SOCKET_LOCK: &str = ".s.PGSQL.5432.lock";

/// What the server writes into `postmaster.pid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub pid: i32,
    pub socket_directory: PathBuf,
}

impl PidFile {
    /// `None` when there is none, or only the beginning of one.
    pub fn read(layout: &Layout) -> Result<Option<Self>, EmbeddedError> {
        let path = path(layout);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedError::io("read", &path)(error)),
        }
    }

    /// Line 1 is the process, line 5 the directory of the socket.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let pid = lines.first()?.trim().parse().ok().filter(|pid| *pid > 1)?;
        let directory = lines.get(4).filter(|line| line.starts_with('/'))?;
        Some(Self { pid, socket_directory: PathBuf::from(directory) })
    }

    /// Whether that process is a server of this cluster. The number alone says
    /// nothing: it may have been given to another process.
    pub fn is_running(&self, layout: &Layout) -> bool {
        works_in(Path::new(&format!("/proc/{}", self.pid)), &layout.cluster())
    }
}

/// Clears the way for a new server after one that was killed. Its sessions may
/// outlive it by a moment and must not meet a new one, so they are waited for.
/// PostgreSQL tells its own stale locks by the process id in them and is misled
/// when that id was given out again, as in a container that starts anew: only
/// then they are removed here. The caller holds the lock of the data directory.
pub(super) fn clear_leftovers(layout: &Layout, socket_directory: &Path) -> Result<(), EmbeddedError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while anybody_in(&layout.cluster()) {
        if Instant::now() > deadline {
            // PostgreSQL will refuse to start, and its log will say why.
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    for path in [path(layout), socket_directory.join(SOCKET_LOCK)] {
        if names_a_stranger(&path, &layout.cluster()) {
            std::fs::remove_file(&path).map_err(EmbeddedError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Whether a lock file names a process that exists and is no server of the cluster.
fn names_a_stranger(lock: &Path, cluster: &Path) -> bool {
    let text = std::fs::read_to_string(lock).unwrap_or_default();
    let Some(Ok(pid)) = text.lines().next().map(|line| line.trim().parse::<u32>()) else { return false };
    let process = PathBuf::from(format!("/proc/{pid}"));
    process.exists() && !works_in(&process, cluster)
}

fn path(layout: &Layout) -> PathBuf {
    layout.cluster().join("postmaster.pid")
}

/// Every process of PostgreSQL works in its cluster, which may be a symbolic
/// link to another disk.
fn works_in(process: &Path, cluster: &Path) -> bool {
    let directory = std::fs::read_link(process.join("cwd"));
    directory.is_ok_and(|directory| cluster.canonicalize().is_ok_and(|cluster| cluster == directory))
}

fn anybody_in(cluster: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.into_iter().any(|process| works_in(&process.path(), cluster))
}

/// A server's process that we may stop.
#[derive(Debug)]
pub(super) enum Postmaster {
    /// We started it.
    Child(Child),
    /// We found it.
    Adopted(PidFile),
}

impl Postmaster {
    /// Starts a server in a process group of its own: Ctrl-C at a terminal must
    /// not end it before the daemon has drained.
    pub fn spawn(
        layout: &Layout,
        user: &ServiceUser,
        binaries: &Binaries,
        log: &LogFile,
    ) -> Result<Self, EmbeddedError> {
        let output = log.open().map_err(EmbeddedError::io("open", &log.path))?;
        let again = output.try_clone().map_err(EmbeddedError::io("open", &log.path))?;
        let mut config = std::ffi::OsString::from("config_file=");
        config.push(layout.beside(".conf"));
        let mut postgres = user.command(binaries.postgres());
        postgres.arg("-D").arg(layout.cluster()).arg("-c").arg(config);
        postgres.stdout(output).stderr(again).process_group(0);
        let child = postgres.spawn().map_err(EmbeddedError::io("run", &binaries.postgres()))?;
        Ok(Self::Child(child))
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self, layout: &Layout) -> bool {
        match self {
            Self::Child(child) => matches!(child.try_wait(), Ok(None)),
            Self::Adopted(file) => file.is_running(layout),
        }
    }

    /// Asks it to read its configuration again.
    pub fn reload(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Fast shutdown: sessions are ended, transactions rolled back.
    pub fn stop(&mut self, layout: &Layout) {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            if !self.is_alive(layout) {
                return;
            }
            self.signal(signal);
            let deadline = Instant::now() + PATIENCE;
            while Instant::now() < deadline {
                if !self.is_alive(layout) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            log::warn!("PostgreSQL did not stop within {} s", PATIENCE.as_secs());
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = match self {
            Self::Child(child) => i32::try_from(child.id()).unwrap_or(0),
            Self::Adopted(file) => file.pid,
        };
        // 0 and below would mean groups of processes.
        if pid > 1 {
            _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_files_are_read() {
        let whole = "4711\n/data/postgres\n1732224000\n5432\n/data/postgres-socket\n\n  123 4\nready   \n";
        let file = PidFile::parse(whole).unwrap();
        assert_eq!((file.pid, file.socket_directory), (4711, PathBuf::from("/data/postgres-socket")));
        for broken in ["", "x\n", "-1\na\nb\nc\n/d\n", "1\na\nb\nc\n/d\n", "4711\n/data/postgres\n"] {
            assert_eq!(PidFile::parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn the_number_of_another_process_is_not_a_server() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::create(root.path()).unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(!PidFile { pid, socket_directory: root.path().to_owned() }.is_running(&layout));
    }

    #[test]
    fn locks_that_name_another_process_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::create(root.path()).unwrap();
        std::fs::create_dir(layout.cluster()).unwrap();
        let locks = [path(&layout), root.path().join(SOCKET_LOCK)];
        for (pid, stays) in [(std::process::id(), false), (i32::MAX as u32, true)] {
            for lock in &locks {
                std::fs::write(lock, format!("{pid}\n")).unwrap();
            }
            clear_leftovers(&layout, root.path()).unwrap();
            assert_eq!(locks.each_ref().map(|lock| lock.exists()), [stays, stays], "{pid}");
        }
    }
}
