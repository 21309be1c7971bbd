//! The child process.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::super::HostProgram;

/// A child that was started, with both ends of what is said.
pub(super) struct Spawned {
    pub process: Process,
    pub socket: UnixStream,
    pub stderr: pipe::Receiver,
}

/// The child itself.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    child: Mutex<Child>,
}

type Request = (HostProgram, oneshot::Sender<io::Result<(Child, StdStream)>>);

/// Starts a child.
pub(super) async fn spawn(program: &HostProgram) -> io::Result<Spawned> {
    let (reply, answer) = oneshot::channel();
    spawner()?.send((program.clone(), reply)).map_err(io::Error::other)?;
    let (mut child, socket) = answer.await.map_err(io::Error::other)??;
    let stderr = child.stderr.take().ok_or_else(|| io::Error::other("the child has no standard error"))?;
    socket.set_nonblocking(true)?;
    Ok(Spawned {
        socket: UnixStream::from_std(socket)?,
        stderr: pipe::Receiver::from_owned_fd(OwnedFd::from(stderr))?,
        process: Process { pid: child.id(), child: Mutex::new(child) },
    })
}

/// The thread that starts children. A child dies with the *thread* that
/// started it (`PR_SET_PDEATHSIG`), so it must be one that stays.
fn spawner() -> io::Result<&'static mpsc::Sender<Request>> {
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    if let Some(spawner) = SPAWNER.get() {
        return Ok(spawner);
    }
    let (sender, receiver) = mpsc::channel::<Request>();
    std::thread::Builder::new().name("js-spawner".into()).spawn(move || {
        for (program, reply) in receiver {
            if let Err(Ok((mut child, _))) = reply.send(start(&program)) {
                // Nobody waits for it any more.
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    })?;
    Ok(SPAWNER.get_or_init(|| sender))
}

fn start(program: &HostProgram) -> io::Result<(Child, StdStream)> {
    let (ours, theirs) = StdStream::pair()?;
    let mut command = Command::new(&program.executable);
    command.arg("js-host");
    if !program.confined {
        command.arg("--unconfined");
    }
    let child = command
        .env_clear()
        // Else compiled code is cached in the home directory, and trusted.
        .env("V82JSC_NO_BC_CACHE", "1")
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok((child, ours))
}

impl Process {
    /// A child that was started in another way.
    #[cfg(any(test, fuzzing))]
    pub fn of(child: Child) -> Self {
        Self { pid: child.id(), child: Mutex::new(child) }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills the child, unless it is gone already.
    pub fn kill(&self) {
        if let Err(error) = self.child().kill() {
            log::debug!("cannot kill the JavaScript host {}: {error}", self.pid);
        }
    }

    /// Waits for the child, whose socket is closed. One that lingers is killed.
    pub async fn reap(&self) -> io::Result<ExitStatus> {
        let patience = Instant::now() + Duration::from_secs(1);
        loop {
            if let Some(status) = self.child().try_wait()? {
                return Ok(status);
            }
            if Instant::now() > patience {
                self.kill();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// CPU time that the child has used, in all its threads.
    pub fn cpu(&self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        cpu_of(&stat).ok_or_else(|| io::Error::other("/proc/<pid>/stat has no CPU times"))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fields 14 and 15 of proc_pid_stat(5), in clock ticks, which Linux has fixed
/// at 100 a second for user space. The name in field 2 may hold anything.
fn cpu_of(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "17 (a) b (c) S 1 17 17 0 -1 4194304 100 0 0 0 123 45 0 0 20 0 1 0 99 1000 200";
        assert_eq!(cpu_of(stat), Some(Duration::from_millis(1680)));
        assert_eq!(cpu_of("17 (a) S 1"), None);
    }
}
