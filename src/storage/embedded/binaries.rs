//! PostgreSQL's programs on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::EmbeddedError;

/// The oldest major version that works.
const OLDEST: u32 = 14;
/// Where Debian keeps a directory per major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The programs of one installed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub directory: PathBuf,
    pub major: u32,
}

impl Binaries {
    pub fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    pub fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    /// The programs of directory `directory`, if they are there and work.
    fn at(directory: &Path) -> Option<Self> {
        let directory = std::fs::canonicalize(directory.join("postgres")).ok()?.parent()?.to_owned();
        let found = Self { major: 0, directory };
        let output = Command::new(found.postgres()).arg("--version").output().ok()?;
        let major = major_version(&String::from_utf8_lossy(&output.stdout))?;
        found.initdb().is_file().then_some(Self { major, ..found })
    }
}

/// Where to look. A directory that a person named is the only one looked at.
#[derive(Debug)]
pub(super) struct Search {
    named: Option<OsString>,
    versions: PathBuf,
    path: OsString,
}

impl Search {
    pub fn of_this_machine() -> Self {
        Self {
            named: std::env::var_os("PROVISIOND_PG_BIN").filter(|value| !value.is_empty()),
            versions: PathBuf::from(DEBIAN),
            path: std::env::var_os("PATH").unwrap_or_default(),
        }
    }

    /// The programs that fit a cluster of major version `cluster`, or the newest
    /// ones for a new cluster in `directory`.
    pub fn find(&self, cluster: Option<u32>, directory: &Path) -> Result<Binaries, EmbeddedError> {
        let mut found: Vec<Binaries> = self.candidates().iter().filter_map(|dir| Binaries::at(dir)).collect();
        found.sort_by_key(|binaries| binaries.major);
        let newest = found.last().cloned().ok_or_else(|| self.nothing())?;
        match cluster {
            None if newest.major < OLDEST => Err(EmbeddedError::TooOld {
                found: newest.major,
                oldest: OLDEST,
                directory: newest.directory,
            }),
            None => Ok(newest),
            Some(cluster) => found.into_iter().find(|binaries| binaries.major == cluster).ok_or_else(|| {
                EmbeddedError::OtherMajor {
                    directory: directory.to_owned(),
                    cluster,
                    installed: newest.major,
                }
            }),
        }
    }

    fn candidates(&self) -> Vec<PathBuf> {
        if let Some(named) = &self.named {
            return vec![PathBuf::from(named)];
        }
        let versions = std::fs::read_dir(&self.versions).into_iter().flatten().flatten();
        versions.map(|entry| entry.path().join("bin")).chain(std::env::split_paths(&self.path)).collect()
    }

    fn nothing(&self) -> EmbeddedError {
        let looked = match &self.named {
            Some(named) => format!("{} (PROVISIOND_PG_BIN)", named.display()),
            None => format!("{}/*/bin and PATH", self.versions.display()),
        };
        EmbeddedError::NoBinaries { looked }
    }
}

/// Reads `postgres (PostgreSQL) 15.20 (Debian …)`.
fn major_version(text: &str) -> Option<u32> {
    let number = text.split("(PostgreSQL)").nth(1)?.trim_start();
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn install(root: &Path, major: &str) {
        let bin = root.join(major).join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        for program in ["postgres", "initdb"] {
            let file = bin.join(program);
            std::fs::write(&file, format!("#!/bin/sh\necho '{program} (PostgreSQL) {major}.3'\n")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn search(root: &Path) -> Search {
        Search { named: None, versions: root.to_owned(), path: OsString::new() }
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 19devel\n"), Some(19));
        assert_eq!(major_version("something else 15"), None);
    }

    #[test]
    fn the_newest_is_for_a_new_cluster_and_the_same_for_an_old_one() {
        let root = tempfile::tempdir().unwrap();
        for major in ["9", "14", "16"] {
            install(root.path(), major);
        }
        let find = |cluster| search(root.path()).find(cluster, Path::new("/data/postgres"));
        assert_eq!(find(None).unwrap().major, 16);
        assert_eq!(find(Some(14)).unwrap().major, 14);
        let message = find(Some(15)).unwrap_err().to_string();
        assert!(message.contains("made by PostgreSQL 15, but 16 is installed"), "{message}");
    }

    #[test]
    fn old_and_missing_ones_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let find = || search(root.path()).find(None, Path::new("/data/postgres")).unwrap_err();
        assert!(matches!(find(), EmbeddedError::NoBinaries { .. }));
        install(root.path(), "13");
        assert!(matches!(find(), EmbeddedError::TooOld { found: 13, .. }));
    }

    #[test]
    fn a_named_directory_is_the_only_one() {
        let root = tempfile::tempdir().unwrap();
        install(root.path(), "15");
        let named = Search { named: Some("/nowhere".into()), ..search(root.path()) };
        let message = named.find(None, Path::new("/data/postgres")).unwrap_err().to_string();
        assert!(message.contains("/nowhere (PROVISIOND_PG_BIN)"), "{message}");
    }
}
