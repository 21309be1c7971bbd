//! Which system calls are answered. Everything that is not named ends the
//! process, so that a hole in the engine is not a way out.
//!
//! Rules that look at no argument cost next to nothing: the kernel remembers
//! them in a bitmap. Filters are stacked, because each has a single answer for
//! what it knows: the severest one counts.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

/// Whose calls they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A JavaScript host: its socket, memory, threads and the clock.
    Host,
    /// A bundler: also opens files for reading, and is told no instead of being
    /// ended.
    Bundler,
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Answered, whatever their arguments.
const PLAIN: &[i64] = &[
    // The socket, the standard descriptors and the reactor.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    libc::SYS_ppoll,
    libc::SYS_shutdown,
    libc::SYS_lseek,
    libc::SYS_close,
    // Memory; what is made executable is looked at below.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads of this process.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Clocks and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_sysinfo,
];

/// Names that only this architecture still has.
#[cfg(target_arch = "x86_64")]
const OLD: &[i64] = &[libc::SYS_epoll_wait, libc::SYS_poll, libc::SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[i64] = &[];

/// Asked by libraries that can do without: told that it is not allowed.
const REFUSED: &[i64] = &[
    libc::SYS_openat,
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_getcwd,
    libc::SYS_ioctl,
    libc::SYS_getrusage,
    libc::SYS_uname,
];
#[cfg(target_arch = "x86_64")]
const OLD_REFUSED: &[i64] =
    &[libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink];
#[cfg(not(target_arch = "x86_64"))]
const OLD_REFUSED: &[i64] = &[];

/// What a bundler needs beside: to read, and to look around.
const READING: &[i64] = &[
    libc::SYS_pread64,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_newfstatat,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_epoll_create1,
    libc::SYS_eventfd2,
    libc::SYS_uname,
    libc::SYS_getrusage,
];
#[cfg(target_arch = "x86_64")]
const OLD_READING: &[i64] = &[libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink];
#[cfg(not(target_arch = "x86_64"))]
const OLD_READING: &[i64] = &[];

/// How the C library starts a thread; nothing else is a thread of this process.
const THREAD: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID) as u64;
/// Set by one C library, and without a meaning since Linux 2.6.
const DETACHED: u64 = libc::CLONE_DETACHED as u64;

/// What makes a file that is opened more than read.
const WRITING: u64 = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC) as u64;

/// Kinds of memory that the limit on data does not count: shared memory, and what
/// grows like a stack.
const UNCOUNTED: u64 = (libc::MAP_SHARED | libc::MAP_GROWSDOWN) as u64;

/// Writes code and runs it: V8 does, QuickJS does not.
const HAS_JIT: bool = cfg!(feature = "engine-v8");

/// Puts the filters on every thread; false where the kernel has none.
pub(super) fn restrict(profile: Profile) -> bool {
    match install(profile) {
        Ok(()) => true,
        Err(error) => {
            log::debug!("no system call filter: {error}");
            false
        }
    }
}

fn install(profile: Profile) -> seccompiler::Result<()> {
    // All are made before the first is in force.
    let mut programs = vec![answers(profile)?];
    if profile == Profile::Host {
        programs.insert(0, refuse(REFUSED.iter().chain(OLD_REFUSED), libc::EPERM)?);
    }
    // The arguments of clone3 lie in memory, where no filter looks: the C
    // library falls back to clone when there is none.
    programs.insert(0, refuse([libc::SYS_clone3].iter(), libc::ENOSYS)?);
    for program in programs {
        apply_filter_all_threads(&program)?;
    }
    Ok(())
}

/// Answers these calls with an error, and leaves the others to other filters.
fn refuse<'a>(calls: impl Iterator<Item = &'a i64>, error: libc::c_int) -> Result<BpfProgram, BackendError> {
    let rules = calls.map(|call| (*call, Vec::new())).collect();
    compile(rules, SeccompAction::Allow, SeccompAction::Errno(error as u32))
}

fn answers(profile: Profile) -> Result<BpfProgram, BackendError> {
    let mut rules = common()?;
    let otherwise = match profile {
        Profile::Host => {
            rules.extend(REFUSED.iter().chain(OLD_REFUSED).map(|call| (*call, Vec::new())));
            SeccompAction::KillProcess
        }
        Profile::Bundler => {
            rules.extend(READING.iter().chain(OLD_READING).map(|call| (*call, Vec::new())));
            let only_reads = |flags| Ok::<_, BackendError>(vec![when(flags, masked(WRITING), 0)?]);
            rules.insert(libc::SYS_openat, only_reads(2)?);
            #[cfg(target_arch = "x86_64")]
            rules.insert(libc::SYS_open, only_reads(1)?);
            SeccompAction::Errno(libc::EPERM as u32)
        }
    };
    compile(rules, otherwise, SeccompAction::Allow)
}

/// What every profile answers.
fn common() -> Result<Rules, BackendError> {
    let mut rules: Rules = PLAIN.iter().chain(OLD).map(|call| (*call, Vec::new())).collect();
    // Another filter has refused it.
    rules.insert(libc::SYS_clone3, Vec::new());
    rules.insert(libc::SYS_clone, vec![when(0, masked(!DETACHED), THREAD)?]);
    rules.insert(libc::SYS_tgkill, vec![when(0, SeccompCmpOp::Eq, u64::from(std::process::id()))?]);
    let harmless = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD_CLOEXEC];
    rules.insert(libc::SYS_fcntl, any(1, harmless.map(|word| word as u64))?);
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA, libc::PR_GET_SECCOMP];
    rules.insert(libc::SYS_prctl, any(0, names.map(|word| word as u64))?);
    // Its own limits may be read: the address of a new limit is none.
    rules.insert(libc::SYS_prlimit64, vec![when(2, SeccompCmpOp::Eq, 0)?]);
    let (data, counted) = (masked(libc::PROT_EXEC as u64), masked(UNCOUNTED));
    let made = SeccompRule::new(vec![condition(2, data.clone(), 0)?, condition(3, counted, 0)?])?;
    for (call, rule) in [(libc::SYS_mmap, made), (libc::SYS_mprotect, when(2, data, 0)?)] {
        rules.insert(call, if HAS_JIT { Vec::new() } else { vec![rule] });
    }
    if HAS_JIT {
        let keys = [libc::SYS_pkey_mprotect, libc::SYS_pkey_alloc, libc::SYS_pkey_free];
        rules.extend(keys.map(|call| (call, Vec::new())));
    }
    Ok(rules)
}

fn masked(mask: u64) -> SeccompCmpOp {
    SeccompCmpOp::MaskedEq(mask)
}

fn when(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition(argument, operator, value)?])
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)
}

fn any<const N: usize>(argument: u8, values: [u64; N]) -> Result<Vec<SeccompRule>, BackendError> {
    values.into_iter().map(|value| when(argument, SeccompCmpOp::Eq, value)).collect()
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, otherwise, matched, std::env::consts::ARCH.try_into()?)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_makes_a_filter() {
        for profile in [Profile::Host, Profile::Bundler] {
            let length = answers(profile).unwrap().len();
            assert!((100..4_096).contains(&length), "{profile:?}: {length} instructions");
        }
        assert!(!refuse(REFUSED.iter().chain(OLD_REFUSED), libc::EPERM).unwrap().is_empty());
    }

    #[test]
    fn no_call_is_both_plain_and_refused() {
        for call in REFUSED.iter().chain(OLD_REFUSED) {
            assert!(!PLAIN.contains(call) && !OLD.contains(call), "{call}");
        }
    }
}
