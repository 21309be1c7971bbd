//! What a host gives up before it runs code. The only unsafe code of the
//! daemon is here; a system call filter and file rules belong here too.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::socket::{self, SockType, sockopt};

use super::limits::{DATA_HEADROOM, MAX_DESCRIPTORS};

/// Takes the socket that the daemon left as standard input, and puts
/// `/dev/null` in its place. Fails when somebody started the host by hand.
pub(super) fn take_socket() -> io::Result<UnixStream> {
    let stdin = io::stdin();
    let kind = socket::getsockopt(&stdin, sockopt::SockType);
    if kind != Ok(SockType::Stream) {
        return Err(io::Error::other("standard input is no socket"));
    }
    let socket = UnixStream::from(stdin.as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(socket)
}

/// Gives up what no host needs. Before anything else: nothing but the socket
/// and the standard descriptors may be open.
pub(super) fn enter(socket: &UnixStream) -> io::Result<()> {
    // The host must not outlive the daemon, even while it loops.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    prctl::set_no_new_privs()?;
    close_all_but(socket)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, MAX_DESCRIPTORS, MAX_DESCRIPTORS)?;
    // RLIMIT_NPROC counts every process of the user, the daemon's and
    // PostgreSQL's among them: no figure would be safe.
    Ok(())
}

/// Bounds all memory of the process, as a backstop behind the engine's own
/// heap limit.
pub(super) fn bound_memory(heap_mib: u32) -> io::Result<()> {
    let bytes = u64::from(heap_mib) * 1024 * 1024 + DATA_HEADROOM;
    Ok(setrlimit(Resource::RLIMIT_DATA, bytes, bytes)?)
}

/// Lets other processes go first when CPUs are short: `nice` levels below.
const BEHIND: libc::c_int = 10;

/// Puts a child behind everything else that wants a CPU, from outside.
pub(super) fn put_behind(process: u32) -> io::Result<()> {
    // SAFETY: takes plain numbers and touches no memory. The process is a child
    // that was not waited for yet, so the number is nobody else's.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, process, BEHIND) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The daemon opens everything close-on-exec; a library may not.
fn close_all_but(socket: &UnixStream) -> io::Result<()> {
    let kept = u32::try_from(socket.as_raw_fd()).map_err(io::Error::other)?;
    for (first, last) in [(3, kept.saturating_sub(1)), (kept.max(2) + 1, u32::MAX)] {
        if first <= last {
            close_range(first, last)?;
        }
    }
    Ok(())
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: takes plain numbers and touches no memory. Nothing in this
    // process owns a descriptor in the range yet: `enter` runs first.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0u32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
