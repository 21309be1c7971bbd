//! The child process.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
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
    /// It is waited for, and its number may soon be another's.
    is_ending: AtomicBool,
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
        process: Process::of(child),
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
    /// A child that was started.
    pub fn of(child: Child) -> Self {
        Self { pid: child.id(), child: Mutex::new(child), is_ending: AtomicBool::new(false) }
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
        self.is_ending.store(true, Ordering::Relaxed);
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

    /// Whether it is waited for.
    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// CPU time that the child has used, in all its threads. Its clock is asked,
    /// which takes no descriptor: a limit must not go blind when these run out.
    pub fn cpu(&self) -> io::Result<Duration> {
        let pid = i32::try_from(self.pid).map_err(io::Error::other)?;
        let clock = clock_getcpuclockid(Pid::from_raw(pid))?;
        Ok(Duration::from(clock.now()?))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Process {
        let child = Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        Process::of(child.unwrap())
    }

    #[test]
    fn cpu_time_is_known_as_long_as_there_is_a_process_and_no_longer() {
        let process = started();
        assert!(process.cpu().is_ok());
        process.kill();
        process.child().wait().unwrap();
        assert!(process.cpu().is_err());
    }

    #[test]
    fn cpu_time_counts_what_was_worked() {
        let process =
            Process::of(Command::new("/bin/sh").args(["-c", "while :; do :; done"]).spawn().unwrap());
        let before = process.cpu().unwrap();
        while process.cpu().unwrap() < before + Duration::from_millis(20) {
            std::thread::yield_now();
        }
        process.kill();
        process.child().wait().unwrap();
    }
}
