//! What a sandboxed process tries, to see that it cannot: the doctor and the
//! tests ask for it. Each is made past the C library, as an exploit would.

use std::ffi::CStr;
use std::ptr;

use nix::libc::{self, c_long};
use nix::unistd::Pid;

/// Something that neither a host nor a bundler must be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Attempt {
    /// Open a file for reading.
    ReadFile = 1,
    /// Make a file.
    WriteFile,
    /// Make a socket.
    OpenSocket,
    /// Connect to an address with the one socket that it has.
    Connect,
    /// Become another program.
    Execute,
    /// Start a process.
    Fork,
    /// Start a process in a way whose arguments no filter can see.
    Clone3,
    /// Send a signal to the daemon.
    Signal,
    /// Look into another process.
    Trace,
    /// Read another process's memory.
    ReadMemory,
    /// Have the kernel do input and output in its stead.
    IoUring,
    /// Make a file in memory, which could be executed.
    MemoryFile,
    /// Make memory that can be executed.
    ExecutableMemory,
    /// Make shared memory, which its limit does not count.
    SharedMemory,
    /// Make memory that grows like a stack, which its limit does not count either.
    GrowingMemory,
    /// Load a program into the kernel.
    KernelProgram,
    /// Handle its own page faults.
    PageFaults,
    /// Read the keys of the user.
    Keys,
    /// Enter a namespace of its own.
    Namespace,
    /// Mount a file system.
    Mount,
    /// Raise one of its limits.
    RaiseLimit,
    /// Get back what it has given up.
    Regain,
}

impl Attempt {
    /// Every attempt.
    pub const ALL: [Self; 22] = [
        Self::ReadFile,
        Self::WriteFile,
        Self::OpenSocket,
        Self::Connect,
        Self::Execute,
        Self::Fork,
        Self::Clone3,
        Self::Signal,
        Self::Trace,
        Self::ReadMemory,
        Self::IoUring,
        Self::MemoryFile,
        Self::ExecutableMemory,
        Self::SharedMemory,
        Self::GrowingMemory,
        Self::KernelProgram,
        Self::PageFaults,
        Self::Keys,
        Self::Namespace,
        Self::Mount,
        Self::RaiseLimit,
        Self::Regain,
    ];

    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|attempt| *attempt as u32 == number)
    }

    /// Makes the attempt. `Ok` means that it worked; otherwise it is the number
    /// of the error, unless the process has ended. Nothing else is asked of the
    /// kernel: it would be that which is stopped.
    pub(crate) fn make(self, daemon: Pid) -> Result<(), i32> {
        // SAFETY: every pointer below is null or to something that lives as long
        // as the call. What a call would change, were it answered, is a process
        // that ends right after.
        let result = unsafe { self.call(daemon.as_raw()) };
        if result < 0 { Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)) } else { Ok(()) }
    }

    unsafe fn call(self, daemon: libc::pid_t) -> c_long {
        const PASSWD: &CStr = c"/etc/passwd";
        const MINE: &CStr = c"/tmp/provisiond-was-here";
        let null = ptr::null::<u8>();
        let memory = |access: i32, kind: i32| {
            let (access, kind) = (libc::PROT_READ | access, libc::MAP_ANONYMOUS | kind);
            // SAFETY: a page of its own that nobody looks at.
            unsafe { libc::syscall(libc::SYS_mmap, null, 4096, access, kind, -1, 0) }
        };
        // SAFETY: see `make`.
        unsafe {
            match self {
                Self::ReadFile => {
                    libc::syscall(libc::SYS_openat, libc::AT_FDCWD, PASSWD.as_ptr(), libc::O_RDONLY)
                }
                Self::WriteFile => {
                    let flags = libc::O_WRONLY | libc::O_CREAT;
                    libc::syscall(libc::SYS_openat, libc::AT_FDCWD, MINE.as_ptr(), flags, 0o600)
                }
                Self::OpenSocket => libc::syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0),
                Self::Connect => libc::syscall(libc::SYS_connect, 3, null, 0),
                Self::Execute => libc::syscall(libc::SYS_execve, c"/bin/true".as_ptr(), null, null),
                Self::Fork => libc::syscall(libc::SYS_clone, libc::SIGCHLD, null, null, null, null),
                Self::Clone3 => libc::syscall(libc::SYS_clone3, null, 0),
                Self::Signal => libc::syscall(libc::SYS_kill, daemon, 0),
                Self::Trace => libc::syscall(libc::SYS_ptrace, 0x4206, daemon, null, null),
                Self::ReadMemory => libc::syscall(libc::SYS_process_vm_readv, daemon, null, 0, null, 0, 0),
                Self::IoUring => libc::syscall(libc::SYS_io_uring_setup, 1, null),
                Self::MemoryFile => libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0),
                Self::ExecutableMemory => memory(libc::PROT_EXEC, libc::MAP_PRIVATE),
                Self::SharedMemory => memory(libc::PROT_WRITE, libc::MAP_SHARED),
                Self::GrowingMemory => memory(libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_GROWSDOWN),
                Self::KernelProgram => libc::syscall(libc::SYS_bpf, 0, null, 0),
                Self::PageFaults => libc::syscall(libc::SYS_userfaultfd, 0),
                Self::Keys => libc::syscall(libc::SYS_keyctl, 0, -3, 0),
                Self::Namespace => libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER),
                Self::Mount => libc::syscall(libc::SYS_mount, null, c"/".as_ptr(), null, 0, null),
                Self::RaiseLimit => {
                    let none = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
                    libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, &raw const none, null)
                }
                Self::Regain => libc::syscall(libc::SYS_setresuid, 0, 0, 0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_have_numbers() {
        for attempt in Attempt::ALL {
            assert_eq!(Attempt::from_number(attempt as u32), Some(attempt));
        }
        assert_eq!(Attempt::from_number(0), None);
    }
}
