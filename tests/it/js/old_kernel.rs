//! Kernels that lack what confines a host, and operators who want it so.

use std::process::{Command, Output};

use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use crate::support::app::TestApp;
use crate::support::db::TestDb;

/// Runs the program on a kernel that does not know these system calls.
fn run_without(calls: &[i64], arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let absent = SeccompAction::Errno(libc::ENOSYS as u32);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, absent, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_provisiond"));
    command.args(arguments).envs(environment.iter().copied());
    // A filter is inherited by what the thread starts, and ends with it.
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            apply_filter(&program).unwrap();
            command.output().unwrap()
        });
        thread.join().unwrap()
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn the_doctor_names_what_is_missing() {
    let (db, directory) = (TestDb::new().await, tempfile::tempdir().unwrap());
    let arguments = ["doctor", "--data-dir", directory.path().to_str().unwrap()];
    let absent = [libc::SYS_landlock_create_ruleset];
    let environment = [("DATABASE_URL", db.url.as_str())];
    let output = run_without(&absent, &arguments, &environment);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}");
    for line in [
        "ok    JavaScript host",
        "ok    sandbox: system call filter (seccomp)",
        "poor  sandbox: file rules (Landlock): missing: ",
        "poor  sandbox: network rules (Landlock): missing: ",
        "ok    sandbox: 22 attempts to break out",
        // It may open files for reading, and nothing says which any more.
        "poor  sandbox of the bundler: 22 attempts to break out: not stopped: ReadFile",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let required = [environment[0], ("PROVISIOND_SECURITY_SANDBOX", "required")];
    let output = run_without(&[libc::SYS_seccomp], &arguments, &required);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("bad   sandbox: system call filter (seccomp): "), "{told}");
    assert!(told.contains("not stopped: "), "{told}");
    assert!(told.contains("OpenSocket"), "{told}");
}

#[tokio::test]
async fn a_daemon_that_requires_the_sandbox_does_not_start_without() {
    let (db, directory) = (TestDb::new().await, tempfile::tempdir().unwrap());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", directory.path().to_str().unwrap()];
    let environment = [("DATABASE_URL", db.url.as_str()), ("PROVISIOND_SECURITY_SANDBOX", "required")];
    let output = run_without(&[libc::SYS_landlock_create_ruleset], &arguments, &environment);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("file rules (Landlock) missing: "), "{told}");
}

#[tokio::test]
async fn a_daemon_says_that_its_sandbox_is_off() {
    let app = TestApp::start_with(&[("PROVISIOND_SECURITY_SANDBOX", "off")]).await;
    assert!(app.log().contains("JavaScript hosts are not confined"), "{}", app.log());
    let strict = TestApp::start_with(&[("PROVISIOND_SECURITY_SANDBOX", "required")]).await;
    assert!(!strict.log().contains("JavaScript hosts"), "{}", strict.log());
}
