//! The user that PostgreSQL runs as.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User, geteuid};

use super::EmbeddedError;
use super::layout::Layout;

/// The user of Debian's package.
const PACKAGE_USER: &str = "postgres";

/// The user that owns the cluster and runs the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceUser {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// Whether it is another one than ours; we are root then.
    pub switch: bool,
}

impl ServiceUser {
    /// The owner of the cluster, or who will own a new one.
    pub fn of(layout: &Layout) -> Result<Self, EmbeddedError> {
        let owner = std::fs::metadata(layout.cluster()).ok().map(|metadata| Uid::from_raw(metadata.uid()));
        match owner {
            Some(owner) if geteuid().is_root() => Self::known(owner),
            Some(owner) if owner != geteuid() => Err(EmbeddedError::NotPermitted {
                path: layout.cluster(),
                user: current_name(),
                advice: format!("it belongs to `{}`: start as that user or as root", name_of(owner)),
            }),
            None if geteuid().is_root() => Self::packaged(),
            _ => Self::known(geteuid()),
        }
    }

    fn packaged() -> Result<Self, EmbeddedError> {
        match User::from_name(PACKAGE_USER) {
            Ok(Some(user)) if !user.uid.is_root() => Ok(Self::from(user)),
            _ => Err(EmbeddedError::NoUser {
                who: "root, and there is no user `postgres`".to_owned(),
                advice: "make one (`useradd --system postgres`), or start provisiond as an unprivileged user",
            }),
        }
    }

    /// PostgreSQL wants its user to have a name.
    fn known(uid: Uid) -> Result<Self, EmbeddedError> {
        if uid.is_root() {
            return Err(EmbeddedError::NoUser {
                who: "root, who owns its cluster".to_owned(),
                advice: "give the directory `postgres` in the data directory to the user postgres (`chown -R`)",
            });
        }
        let user = User::from_uid(uid).ok().flatten();
        user.map(Self::from).ok_or_else(|| EmbeddedError::NoUser {
            who: format!("user number {uid}, which has no name"),
            advice: "add the user to /etc/passwd, or start provisiond as another user",
        })
    }

    /// A program run as this user, with a clean environment and nothing of ours.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let kept = ["PATH", "LD_LIBRARY_PATH", "TMPDIR"];
        command.env_clear().envs(kept.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("LC_ALL", "C").env("TZ", "UTC").current_dir("/").stdin(Stdio::null());
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives a directory that we made to this user.
    pub fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        if self.switch {
            std::os::unix::fs::lchown(path, Some(self.uid), Some(self.gid))
                .map_err(EmbeddedError::io("give away", path))?;
        }
        Ok(())
    }
}

impl From<User> for ServiceUser {
    fn from(user: User) -> Self {
        let switch = user.uid != geteuid();
        Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), switch }
    }
}

/// The name of the user that we are.
pub(super) fn current_name() -> String {
    name_of(geteuid())
}

fn name_of(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}
