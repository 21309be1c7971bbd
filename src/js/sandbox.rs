//! What a process gives up before it runs code that others wrote. The only
//! unsafe code of the daemon is here.
//!
//! A host is held twice over: it has no way to ask (`calls.rs`, seccomp), and
//! what it asked for would be refused (`rules.rs`, Landlock). Either may be
//! missing in an old kernel or be forbidden by a container; the process runs
//! all the same and reports what is in force. What is reported was done by the
//! process itself, and [`Attempt`] tries it.
//!
//! | file | holds |
//! |---|---|
//! | `sandbox.rs` | descriptors, resource limits, privileges; the order of it all |
//! | `calls.rs` | which system calls are answered |
//! | `rules.rs` | files, network and signals, by Landlock |
//! | `report.rs` | what is in force |
//! | `attempt.rs` | what a sandboxed process tries, to see that it cannot |
#![allow(unsafe_code)]

mod attempt;
mod calls;
mod report;
mod rules;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::socket::{self, SockType, sockopt};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

pub use attempt::Attempt;
pub use calls::Profile;
use report::Rules;
pub use report::{InForce, Mechanism};

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
/// and the standard descriptors may be open, and there is one thread.
pub(super) fn enter(socket: &UnixStream) -> io::Result<()> {
    let kept = u32::try_from(socket.as_raw_fd()).map_err(io::Error::other)?;
    close_all_but(kept)?;
    become_nobody();
    give_up()?;
    setrlimit(Resource::RLIMIT_NOFILE, MAX_DESCRIPTORS, MAX_DESCRIPTORS)?;
    // RLIMIT_NPROC counts every process of the user, the daemon's and
    // PostgreSQL's among them: no figure would be safe.
    Ok(())
}

/// The user and group that own nothing, on every Linux.
const NOBODY: u32 = 65_534;

/// A host of a daemon that is root is nobody: what its user may do, it may not.
/// Not where that user does not exist, as in a container that knows root alone;
/// there it is root without any capability. Before [`give_up`]: the kernel forgets
/// the signal of the parent's death when a process changes its user.
fn become_nobody() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    _ = setgroups(&[]);
    _ = setresgid(group, group, group);
    _ = setresuid(user, user, user);
}

/// A process that has no files and no network any more, and still may ask.
pub(super) struct HalfConfined(Rules);

/// The first lock, while there is one thread: those that an engine starts later
/// have it too. No file, no network, no signal to others.
pub(super) fn confine() -> HalfConfined {
    load_what_is_read_late();
    HalfConfined(rules::restrict(&[]))
}

impl HalfConfined {
    /// The second lock, before any of the author's code: no system call but those
    /// that a host needs. Says what is in force.
    pub fn seal(self) -> InForce {
        InForce::of(self.0, calls::restrict(Profile::Host))
    }
}

/// Gives up what no bundler needs, and all memory beyond so much. Standard input,
/// output and error stay. Before anything else: nothing may be open, and there is
/// one thread.
///
/// # Errors
///
/// What the system says when it refuses what every Linux has.
pub fn enter_bundler(memory: u64) -> io::Result<()> {
    close_range(3, u32::MAX)?;
    give_up()?;
    Ok(setrlimit(Resource::RLIMIT_DATA, memory, memory)?)
}

/// Makes this process one that may read a directory and nothing else: for a
/// bundler, which reads packages that others wrote. There is one thread still.
/// A host on the same kernel says what of it is in force.
pub fn confine_bundler(readable: &Path) {
    load_what_is_read_late();
    // The filter last: it refuses the calls that the rules are made with.
    rules::restrict(&[readable]);
    calls::restrict(Profile::Bundler);
}

/// Everything that needs no mechanism which a kernel may lack.
fn give_up() -> io::Result<()> {
    // It must not outlive the daemon, even while it loops.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    prctl::set_no_new_privs()?;
    drop_capabilities()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?)
}

/// What libraries read from files when it is first wanted: the time zone, and
/// how this machine's random numbers are made.
fn load_what_is_read_late() {
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: reads the first argument and writes the second, both of which
    // live here; there is one thread, so nobody changes the environment.
    unsafe { libc::localtime_r(&0, broken_down.as_mut_ptr()) };
    // Whoever needs them later is told of the failure then.
    _ = aws_lc_rs::rand::fill(&mut [0; 16]);
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
fn close_all_but(kept: u32) -> io::Result<()> {
    for (first, last) in [(3, kept.saturating_sub(1)), (kept.max(2) + 1, u32::MAX)] {
        if first <= last {
            close_range(first, last)?;
        }
    }
    Ok(())
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: takes plain numbers and touches no memory. Nothing in this
    // process owns a descriptor in the range yet: the callers run first.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0u32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The layout of capset(2), version 3: two sets of 32 capabilities each.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: libc::c_int,
}

const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// A daemon that runs as root has all of them, and so would its children.
fn drop_capabilities() -> io::Result<()> {
    let header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let none = [[0u32; 3]; 2];
    // SAFETY: reads a header and two sets, which live here and have the layout
    // of that version.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
