//! What the process of a host has given up.

use std::fs;
use std::path::PathBuf;

use nix::libc;
use serde_json::json;

use provisiond::domain::target::Limits;
use provisiond::js::sandbox::{Attempt, Mechanism};
use provisiond::js::{AttemptEnd, HostProgram, JsHost};

use super::support::{program, run, start, value};

#[tokio::test]
async fn a_host_holds_nothing_of_the_daemons() {
    // Something that a careless library would leave open.
    let leaked = fs::File::open("/etc/passwd").unwrap();
    let host =
        start("export default async () => { await crypto.subtle.digest('SHA-256', new Uint8Array(9)) }")
            .await;
    assert_eq!(value(run(&host, json!({})).await), json!(null));
    let process = PathBuf::from(format!("/proc/{}", host.pid()));
    assert_eq!(fs::read(process.join("environ")).unwrap(), b"V82JSC_NO_BC_CACHE=1\0");
    let open: Vec<_> = fs::read_dir(process.join("fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .map(|target| target.to_string_lossy().split(['[', ':']).next().unwrap_or_default().to_owned())
        .collect();
    let expected = ["/dev/null", "anon_inode", "pipe", "socket"];
    assert!(open.iter().all(|target| expected.contains(&target.as_str())), "{open:?}");
    assert!(open.len() < 16, "{open:?}");
    drop(leaked);
}

#[tokio::test]
async fn a_host_is_bounded_by_the_kernel_too() {
    let host = start("export default () => 1").await;
    let process = PathBuf::from(format!("/proc/{}", host.pid()));
    let status = fs::read_to_string(process.join("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    let limits = fs::read_to_string(process.join("limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line[name.len()..].split_ascii_whitespace().next().unwrap_or_default().to_owned()
    };
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max file size"), "0");
    assert_eq!(limit("Max open files"), "32");
    assert_eq!(limit("Max data size"), ((64 + 256) * 1024 * 1024).to_string());
}

#[tokio::test]
async fn a_live_host_is_filtered_and_has_no_capabilities() {
    let host =
        start("export default async () => { await crypto.subtle.digest('SHA-256', new Uint8Array(9)) }")
            .await;
    assert_eq!(value(run(&host, json!({})).await), json!(null));
    // The others came with later kernels.
    assert!(host.in_force().has(Mechanism::Calls) && host.in_force().has(Mechanism::Files));
    // Of every thread, those of the crypto pool too.
    let threads = fs::read_dir(format!("/proc/{}/task", host.pid())).unwrap();
    let mut count = 0;
    for thread in threads {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        for line in [
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
            "CapInh:\t0000000000000000",
            "CapPrm:\t0000000000000000",
            "CapEff:\t0000000000000000",
            "CapAmb:\t0000000000000000",
        ] {
            assert!(status.lines().any(|found| found == line), "{line}: {status}");
        }
        count += 1;
    }
    assert!(count > 1, "the digest ran in a thread of its own");
}

#[tokio::test]
async fn a_host_can_do_none_of_what_it_must_not() {
    for attempt in Attempt::ALL {
        let end = provisiond::js::attempt(&program(), attempt).await.unwrap();
        assert!(end.was_stopped(), "{attempt:?}: {end:?}");
    }
}

/// It is the attempt that is stopped, and nothing on the way to it: some are
/// answered with an error.
#[tokio::test]
async fn attempts_get_as_far_as_themselves() {
    for (attempt, error) in [(Attempt::ReadFile, libc::EPERM), (Attempt::Clone3, libc::ENOSYS)] {
        let end = provisiond::js::attempt(&program(), attempt).await.unwrap();
        assert_eq!(end, AttemptEnd::Refused(error), "{attempt:?}");
    }
}

#[tokio::test]
async fn attempts_are_real() {
    let program = HostProgram { confined: false, ..program() };
    for attempt in [
        Attempt::ReadFile,
        Attempt::OpenSocket,
        Attempt::Execute,
        Attempt::Fork,
        Attempt::MemoryFile,
        Attempt::ExecutableMemory,
        Attempt::SharedMemory,
        Attempt::GrowingMemory,
    ] {
        let end = provisiond::js::attempt(&program, attempt).await.unwrap();
        assert_eq!(end, AttemptEnd::Worked, "{attempt:?}");
    }
    // Beside root, a host is another user, which the kernel stops by itself.
    let end = provisiond::js::attempt(&program, Attempt::Signal).await.unwrap();
    let expected = if is_root() { AttemptEnd::Refused(libc::EPERM) } else { AttemptEnd::Worked };
    assert_eq!(end, expected);
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Confined or not.
#[tokio::test]
async fn a_host_of_root_is_another_user() {
    for confined in [true, false] {
        let program = HostProgram { confined, ..program() };
        let host = JsHost::start(&program, "export default () => 1", &Limits::default()).await.unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
        let ids = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_ascii_whitespace().map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>()
        };
        let expected = if is_root() { 65_534 } else { nix::unistd::geteuid().as_raw() };
        assert_eq!(ids("Uid:"), [expected; 4], "{status}");
        if is_root() {
            assert_eq!((ids("Gid:"), ids("Groups:")), (vec![expected; 4], vec![]), "{status}");
        }
        assert_eq!(value(run(&host, json!({})).await), json!(1));
    }
}
