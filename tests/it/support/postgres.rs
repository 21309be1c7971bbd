//! The daemon's embedded PostgreSQL, taken away from it.

use std::process::Command;

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
