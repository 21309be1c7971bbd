//! The daemon's embedded PostgreSQL, taken away from it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::app::TestApp;

/// What `pg_ctl restart -m immediate` does: no chance to say good-bye. The
/// daemon may be quicker with the new server; `pg_ctl` then says that it failed.
pub fn restart(app: &TestApp) {
    let (cluster, before) = (cluster(app), postmaster(app, 0).unwrap());
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
    shell.args(["-c", &command]).status().unwrap();
    until_another(app, &before);
}

/// SIGQUIT, which is an immediate shutdown; returns when the daemon has started
/// another one.
pub fn stop_at_once(app: &TestApp) {
    let before = postmaster(app, 0).unwrap();
    let pid = nix::unistd::Pid::from_raw(before.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT).unwrap();
    until_another(app, &before);
}

fn until_another(app: &TestApp, before: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while postmaster(app, 0).is_none_or(|pid| pid == before) || postmaster(app, 7).as_deref() != Some("ready")
    {
        assert!(Instant::now() < deadline, "PostgreSQL was not started again: {}", app.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn cluster(app: &TestApp) -> PathBuf {
    app.data_dir.join("postgres")
}

/// A line of `postmaster.pid`: 0 is the process, 7 says whether it is ready.
fn postmaster(app: &TestApp, line: usize) -> Option<String> {
    let text = std::fs::read_to_string(cluster(app).join("postmaster.pid")).ok()?;
    Some(text.lines().nth(line)?.trim().to_owned())
}
