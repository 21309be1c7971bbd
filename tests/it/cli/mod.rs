//! The command line as people and pipelines use it.

mod drafts;
mod marks;
mod tokens;
mod visible;
mod wait;

use std::path::PathBuf;

use crate::support::app::TestApp;

/// Writes a file beside the daemon's data; returns its path.
pub fn file(app: &TestApp, name: &str, content: impl AsRef<[u8]>) -> String {
    let path: PathBuf = app.data_dir.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}
