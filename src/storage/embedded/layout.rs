//! What lies where in the data directory, and the lock on it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::EmbeddedError;
use super::user::ServiceUser;

/// The socket's file name, which libpq derives from the port.
const SOCKET: &str = ".s.PGSQL.5432";
/// The longest path of a socket, without the NUL at its end (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;

/// A data directory, as an absolute path without symbolic links.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

/// Makes a data directory that is nobody else's, with what is above it. One that is
/// there stays as it is, but for what others could do in it: read secrets, or put
/// another master key in its place.
///
/// # Errors
/// Those of the file system.
pub fn make_data_dir(data_dir: &Path) -> io::Result<()> {
    if let Some(parent) = data_dir.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result,
    }
    let metadata = std::fs::metadata(data_dir)?;
    let mode = metadata.permissions().mode() & 0o7777;
    // A directory that has other things in it may be somebody else's as well.
    let is_ours = metadata.uid() == nix::unistd::geteuid().as_raw() && data_dir.join("lock").exists();
    // PostgreSQL's user has to pass through root's.
    let closed = mode & 0o7710;
    if closed == mode {
        return Ok(());
    }
    if is_ours {
        return std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(closed));
    }
    log::warn!("others have a way into the data directory (mode {mode:o}): chmod 700 {}", data_dir.display());
    Ok(())
}

impl Layout {
    /// The layout of `data_dir`, which is made if it is missing.
    pub fn create(data_dir: &Path) -> Result<Self, EmbeddedError> {
        make_data_dir(data_dir).map_err(EmbeddedError::io("make", data_dir))?;
        let root = data_dir.canonicalize().map_err(EmbeddedError::io("resolve", data_dir))?;
        Ok(Self { root })
    }

    /// The layout of `data_dir` if there is such a directory.
    pub fn find(data_dir: &Path) -> Result<Option<Self>, EmbeddedError> {
        match data_dir.canonicalize() {
            Ok(root) => Ok(Some(Self { root })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedError::io("resolve", data_dir)(error)),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The cluster, complete if it exists.
    pub fn cluster(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// A cluster that is being made.
    pub fn unfinished_cluster(&self) -> PathBuf {
        self.root.join("postgres.new")
    }

    /// A file beside the cluster: `postgres` and `suffix`.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        self.root.join(format!("postgres{suffix}"))
    }

    pub fn log(&self) -> PathBuf {
        self.beside(".log")
    }

    /// The major version that made the cluster; `None` without a cluster.
    pub fn major(&self) -> Result<Option<u32>, EmbeddedError> {
        let cluster = self.cluster();
        let file = cluster.join("PG_VERSION");
        match std::fs::read_to_string(&file) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_| EmbeddedError::NotACluster(cluster)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EmbeddedError::io("read", &file)(error))
            }
            Err(_) if cluster.exists() => Err(EmbeddedError::NotACluster(cluster)),
            Err(_) => Ok(None),
        }
    }

    /// Takes the directory for this process until the file is closed, also by
    /// its death.
    pub fn lock(&self) -> Result<File, EmbeddedError> {
        let path = self.root.join("lock");
        let failed = || EmbeddedError::io("lock", &path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed())?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(self.in_use(&mut file)),
            Err(TryLockError::Error(error)) => return Err(failed()(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed())?;
        Ok(file)
    }

    fn in_use(&self, lock: &mut File) -> EmbeddedError {
        let mut text = String::new();
        _ = lock.read_to_string(&mut text);
        EmbeddedError::InUse { directory: self.root.clone(), pid: text.trim().parse().unwrap_or(0) }
    }

    /// Makes a directory for the socket that only `user` and root can enter.
    pub fn socket_directory(&self, user: &ServiceUser) -> Result<PathBuf, EmbeddedError> {
        let mut reason = String::new();
        for directory in self.socket_candidates() {
            match fits(&directory).and_then(|()| make_private(&directory, user)) {
                Ok(()) => return Ok(directory),
                Err(error) => reason = error,
            }
        }
        Err(EmbeddedError::NoSocketDirectory { reason })
    }

    /// The first one is the usual one; the others have short, plain paths.
    fn socket_candidates(&self) -> Vec<PathBuf> {
        let mut hasher = DefaultHasher::new();
        self.root.as_os_str().as_bytes().hash(&mut hasher);
        let name = format!("provisiond-{:016x}", hasher.finish());
        vec![self.beside("-socket"), Path::new("/run").join(&name), Path::new("/tmp").join(&name)]
    }
}

/// Whether a socket can be in a directory of that name and libpq can find it.
fn fits(directory: &Path) -> Result<(), String> {
    let path = directory.as_os_str();
    if path.len() + 1 + SOCKET.len() > LONGEST_SOCKET_PATH {
        Err(format!("the path {} is too long", directory.display()))
    } else if path.as_bytes().contains(&b',') {
        Err(format!("the path {} has a comma in it", directory.display()))
    } else {
        Ok(())
    }
}

/// Makes a directory of mode 0700 for `user`, or proves that it is one: in a
/// directory such as /tmp somebody else may have been faster.
fn make_private(directory: &Path, user: &ServiceUser) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", directory.display());
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => user.own(directory).map_err(|error| failed(&error))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(&error)),
    }
    let metadata = std::fs::symlink_metadata(directory).map_err(|error| failed(&error))?;
    let private =
        metadata.is_dir() && metadata.uid() == user.uid && metadata.permissions().mode() & 0o077 == 0;
    if private { Ok(()) } else { Err(failed(&"it belongs to somebody else or is open to others")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(root: &Path) -> Layout {
        Layout { root: root.to_owned() }
    }

    fn me() -> ServiceUser {
        let uid = nix::unistd::geteuid().as_raw();
        ServiceUser { name: "me".into(), uid, gid: nix::unistd::getegid().as_raw(), switch: false }
    }

    #[test]
    fn the_second_lock_names_the_first_process() {
        let root = tempfile::tempdir().unwrap();
        let _lock = layout(root.path()).lock().unwrap();
        let message = layout(root.path()).lock().unwrap_err().to_string();
        assert!(message.contains(&format!("in use by process {}", std::process::id())), "{message}");
    }

    #[test]
    fn the_directory_and_its_lock_are_nobody_elses() {
        let root = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let data_dir = root.path().join("above/data");
        make_data_dir(&data_dir).unwrap();
        assert_eq!(mode(&data_dir), 0o700);
        // Whatever it is that was there already.
        set(&data_dir, 0o755);
        make_data_dir(&data_dir).unwrap();
        assert_eq!(mode(&data_dir), 0o755, "it may be somebody else's");
        std::fs::write(data_dir.join("lock"), "").unwrap();
        set(&data_dir.join("lock"), 0o644);
        make_data_dir(&data_dir).unwrap();
        assert_eq!(mode(&data_dir), 0o710);
        set(&data_dir, 0o710);
        make_data_dir(&data_dir).unwrap();
        assert_eq!(mode(&data_dir), 0o710, "PostgreSQL's user may have to pass");
        let _lock = layout(&data_dir).lock().unwrap();
        assert_eq!(mode(&data_dir.join("lock")), 0o600);
    }

    #[test]
    fn a_dead_owner_leaves_no_lock() {
        let root = tempfile::tempdir().unwrap();
        drop(layout(root.path()).lock().unwrap());
        layout(root.path()).lock().unwrap();
    }

    #[test]
    fn the_socket_is_in_the_data_directory_or_in_a_short_one() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(layout(root.path()).socket_directory(&me()).unwrap(), root.path().join("postgres-socket"));
        let long = root.path().join("x".repeat(100));
        std::fs::create_dir(&long).unwrap();
        let short = layout(&long).socket_directory(&me()).unwrap();
        assert!(short.as_os_str().len() < 50, "{}", short.display());
        std::fs::remove_dir(short).unwrap();
    }

    #[test]
    fn a_socket_directory_open_to_others_is_not_used() {
        let root = tempfile::tempdir().unwrap();
        let open = root.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(make_private(&open, &me()).unwrap_err().contains("open to others"));
        std::os::unix::fs::symlink(root.path(), root.path().join("link")).unwrap();
        assert!(make_private(&root.path().join("link"), &me()).is_err());
    }

    #[test]
    fn a_directory_that_is_no_cluster_is_told_from_none() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(layout(root.path()).major(), Ok(None)));
        std::fs::create_dir(root.path().join("postgres")).unwrap();
        assert!(matches!(layout(root.path()).major(), Err(EmbeddedError::NotACluster(_))));
        std::fs::write(root.path().join("postgres/PG_VERSION"), "15\n").unwrap();
        assert!(matches!(layout(root.path()).major(), Ok(Some(15))));
    }
}
