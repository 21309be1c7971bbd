//! Making a cluster.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::EmbeddedError;
use super::binaries::Binaries;
use super::error::tells_disk_full;
use super::layout::Layout;
use super::log_file::last_lines;
use super::settings;
use super::user::ServiceUser;

/// Makes the cluster under another name first: whatever ends this early leaves
/// no half of a cluster behind.
pub(super) fn make_cluster(
    layout: &Layout,
    user: &ServiceUser,
    binaries: &Binaries,
) -> Result<(), EmbeddedError> {
    log::info!("making a PostgreSQL {} cluster in {}", binaries.major, layout.cluster().display());
    let fresh = layout.unfinished_cluster();
    for locale in ["C.UTF-8", "C"] {
        remove(&fresh)?;
        DirBuilder::new().mode(0o700).create(&fresh).map_err(EmbeddedError::io("make", &fresh))?;
        user.own(&fresh)?;
        match run(&fresh, user, binaries, locale)? {
            Outcome::Made => {
                let cluster = layout.cluster();
                return std::fs::rename(&fresh, &cluster).map_err(EmbeddedError::io("make", &cluster));
            }
            // C.UTF-8 is not everywhere; C sorts the same.
            Outcome::Failed(output) if locale != "C" && output.contains("invalid locale") => {}
            Outcome::Failed(output) => {
                remove(&fresh)?;
                return Err(failure(layout, &output));
            }
        }
    }
    Ok(())
}

enum Outcome {
    Made,
    Failed(String),
}

fn run(
    directory: &Path,
    user: &ServiceUser,
    binaries: &Binaries,
    locale: &str,
) -> Result<Outcome, EmbeddedError> {
    let mut initdb = user.command(binaries.initdb());
    initdb.arg("--pgdata").arg(directory).args(["--username", settings::SUPERUSER, "--encoding", "UTF8"]);
    initdb.args(["--locale", locale, "--lc-messages", "C", "--data-checksums", "--no-instructions"]);
    initdb.args(["--auth-local", "peer", "--auth-host", "reject"]);
    let output = initdb.output().map_err(EmbeddedError::io("run", &binaries.initdb()))?;
    if output.status.success() {
        return Ok(Outcome::Made);
    }
    let text = [output.stdout, output.stderr].concat();
    Ok(Outcome::Failed(String::from_utf8_lossy(&text).into_owned()))
}

fn failure(layout: &Layout, output: &str) -> EmbeddedError {
    if tells_disk_full(output) {
        EmbeddedError::DiskFull(layout.cluster())
    } else {
        EmbeddedError::InitFailed { directory: layout.cluster(), output: last_lines(output) }
    }
}

fn remove(directory: &Path) -> Result<(), EmbeddedError> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(EmbeddedError::io("remove", directory)),
    }
}
