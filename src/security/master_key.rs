//! The key that wraps every other key, and where it comes from.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use rand::RngCore as _;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Secret;
use crate::domain::encoding;

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The text is not a key.
    #[error("the master key must be 32 bytes in base64, such as `openssl rand -base64 32` prints")]
    Malformed,
    /// The file can be read by others.
    #[error("`{}` can be read by others (mode {mode:03o}): a master key file must have mode 600", .path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold a key.
    #[error("`{}` does not hold a master key (32 bytes in base64); restore it from a backup: without it the stored secrets cannot be read", .path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or made.
    #[error("`{}`: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// 32 random bytes, overwritten when dropped.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A new one.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::rng().fill_bytes(bytes.as_mut());
        Self(bytes)
    }

    /// Reads base64 of either alphabet, with or without padding and white space
    /// around it.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError::Malformed`].
    pub fn parse(text: &Secret) -> Result<Self, MasterKeyError> {
        let text = encoding::word(text.expose());
        let bytes = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
            .iter()
            .find_map(|engine| engine.decode(text).ok())
            .map(Zeroizing::new)
            .ok_or(MasterKeyError::Malformed)?;
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(MasterKeyError::Malformed);
        }
        key.copy_from_slice(&bytes);
        Ok(Self(key))
    }

    /// Reads the key from its file in the data directory; makes the file, mode
    /// 600, when there is none. Two processes that start at once end up with
    /// the same key, and a crash leaves either no file or a whole one.
    ///
    /// # Errors
    ///
    /// When the file is readable by others, malformed, or the system refuses.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::load(path) {
            Err(MasterKeyError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(|error| MasterKeyError::Io { path: path.to_owned(), error })?;
                Self::load(path)
            }
            result => result,
        }
    }

    fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |error| MasterKeyError::Io { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::TooOpen { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        Self::parse(&Secret::new(text)).map_err(|_| MasterKeyError::BadFile { path: path.to_owned() })
    }

    /// Names the key without telling it: the first 8 bytes of a hash.
    pub(super) fn id(&self) -> [u8; 8] {
        let digest = Sha256::new().chain_update(b"provisiond master key id").chain_update(*self.0).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        id
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[master key]")
    }
}

/// Writes a new key beside `path` and links it into place, which fails rather
/// than replaces when another process was faster.
fn create(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let text = Zeroizing::new(STANDARD.encode(MasterKey::generate().bytes()) + "\n");
    let linked = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(directory)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn is_made_once_and_then_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let made = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::load_or_create(&path).unwrap().bytes(), made.bytes());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_file_for_everybody_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        MasterKey::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = MasterKey::load_or_create(&path).unwrap_err();
        assert!(error.to_string().contains("mode 644): a master key file must have mode 600"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        MasterKey::load_or_create(&path).unwrap();
        fs::write(&path, "AAAA\n").unwrap();
        assert!(matches!(MasterKey::load_or_create(&path), Err(MasterKeyError::BadFile { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "AAAA\n");
    }

    #[test]
    fn base64_of_32_bytes_is_a_key() {
        let text = STANDARD.encode([7; 32]);
        assert_eq!(MasterKey::parse(&Secret::new(format!("\u{feff} {text}\n"))).unwrap().bytes(), &[7; 32]);
        for bad in ["", "secret", &STANDARD.encode([7; 31])] {
            assert!(MasterKey::parse(&Secret::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn printing_shows_nothing() {
        assert_eq!(format!("{:?}", MasterKey::generate()), "[master key]");
    }
}
