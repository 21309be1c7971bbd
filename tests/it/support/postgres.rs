//! The daemon's embedded PostgreSQL, taken away from it.

use std::process::Command;
use std::time::{Duration, Instant};

use super::app::TestApp;

/// What `pg_ctl restart -m immediate` does: no chance to say good-bye.
pub fn restart(app: &TestApp) {
    let cluster = app.data_dir.join("postgres");
    let options = std::fs::read_to_string(cluster.join("postmaster.opts")).unwrap();
    let program = options.split(' ').next().unwrap().trim_matches('"');
    let folder = program.strip_suffix("/postgres").unwrap();
    let command =
        format!("{folder}/pg_ctl restart -m immediate -w -D '{}' > /dev/null 2>&1", cluster.display());
    let root = nix::unistd::geteuid().is_root();
    let mut shell = Command::new(if root { "su" } else { "sh" });
    if root {
        shell.args(["postgres", "-s", "/bin/sh"]);
    }
    assert!(shell.args(["-c", &command]).status().unwrap().success(), "{command}");
}

/// SIGQUIT, which is an immediate shutdown; returns when the daemon has started
/// another one.
pub fn stop_at_once(app: &TestApp) {
    let file = app.data_dir.join("postgres/postmaster.pid");
    let line = |number| Some(std::fs::read_to_string(&file).ok()?.lines().nth(number)?.trim().to_owned());
    let before = line(0).unwrap();
    let pid = nix::unistd::Pid::from_raw(before.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while line(0).is_none_or(|pid| pid == before) || line(7).as_deref() != Some("ready") {
        assert!(Instant::now() < deadline, "PostgreSQL was not started again: {}", app.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}
