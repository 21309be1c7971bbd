//! Whether PostgreSQL's user can get to its cluster. Without this check a home
//! of mode 700 above the data directory fails late and obscurely.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::EmbeddedError;
use super::binaries::Binaries;
use super::layout::Layout;
use super::user::ServiceUser;

/// Checks every directory from the root to the data directory. The latter is
/// ours: it is opened for the user if nobody else was let in.
pub(super) fn check(layout: &Layout, user: &ServiceUser, binaries: &Binaries) -> Result<(), EmbeddedError> {
    if !user.switch {
        return Ok(());
    }
    let mut parents: Vec<&Path> = layout.root().ancestors().skip(1).collect();
    parents.reverse();
    if let Some(closed) = parents.into_iter().find(|parent| !can_enter(user, binaries, parent)) {
        return Err(closed_to(user, closed));
    }
    if !can_enter(user, binaries, layout.root()) {
        open_to(user, layout.root())?;
    }
    if can_enter(user, binaries, layout.root()) { Ok(()) } else { Err(closed_to(user, layout.root())) }
}

/// Asks the kernel, which also knows of access control lists: a program of that
/// user is started inside the directory.
fn can_enter(user: &ServiceUser, binaries: &Binaries, directory: &Path) -> bool {
    let mut probe = user.command(binaries.postgres());
    probe.arg("--version").current_dir(directory).output().is_ok()
}

/// Lets the user's group pass through, not read.
fn open_to(user: &ServiceUser, directory: &Path) -> Result<(), EmbeddedError> {
    let failed = || EmbeddedError::io("open to the database's user", directory);
    let metadata = std::fs::metadata(directory).map_err(failed())?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.uid() == 0 && mode & 0o070 == 0 {
        std::os::unix::fs::chown(directory, None, Some(user.gid)).map_err(failed())?;
        let opened = std::fs::Permissions::from_mode(mode | 0o010);
        std::fs::set_permissions(directory, opened).map_err(failed())?;
    }
    Ok(())
}

fn closed_to(user: &ServiceUser, directory: &Path) -> EmbeddedError {
    EmbeddedError::NotPermitted {
        path: directory.to_owned(),
        user: user.name.clone(),
        advice: format!(
            "PostgreSQL runs as that user and must pass through it; choose a data directory such as \
             /var/lib/provisiond with --data-dir, or allow it with `chmod o+x {}`",
            directory.display()
        ),
    }
}
