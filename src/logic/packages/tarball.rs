//! Verifying the archive of a release, and why one is not used.

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::PackageError;

/// Why an archive is not used; the words follow the package's name.
#[derive(Debug, thiserror::Error)]
pub(super) enum TarballError {
    #[error("is not what the registry says it is: the hash differs ({0})")]
    Hash(&'static str),
    #[error("has no hash in the registry, so that it cannot be verified")]
    NoHash,
    #[error("has a native addon (`{0}`), which cannot be loaded: it would run outside the sandbox")]
    Native(String),
    #[error("has no archive: the registry answers {0}")]
    Missing(String),
    #[error(
        "has an archive that is larger, with those of the others, than the {0} MiB of `packages.maxSize`"
    )]
    NoRoom(usize),
    #[error(
        "unpacks to more than the {0} MiB that are left of `packages.maxSize`, where a file counts 512 bytes \
         more than its content and a folder 4 KiB"
    )]
    TooLarge(u64),
    #[error("has a file with a bad path: `{0}`")]
    Path(String),
    #[error("has a file in more than 32 folders: `{0}`")]
    TooDeep(String),
    #[error("has more than {0} files")]
    TooMany(usize),
    /// Nobody waits for it any more.
    #[error("is not needed any more")]
    Stopped,
    #[error("cannot be unpacked: {0}")]
    Io(#[from] io::Error),
    /// Not about this archive.
    #[error(transparent)]
    Other(#[from] PackageError),
}

/// How many bytes of archives one build may still take. They share it, because
/// several are held at a time.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    left: AtomicUsize,
}

impl Room {
    /// For so many bytes.
    pub fn new(most: usize) -> Self {
        Self { most, left: AtomicUsize::new(most) }
    }

    /// Takes some of it.
    pub fn take(&self, bytes: usize) -> Result<(), TarballError> {
        let taken = self.left.try_update(Relaxed, Relaxed, |left| left.checked_sub(bytes));
        taken.map(drop).map_err(|_| TarballError::NoRoom(self.most >> 20))
    }
}

/// Whether `archive` has a hash of `integrity` (Subresource Integrity, W3C), of
/// those the strongest, or the old SHA-1 in hexadecimal.
pub(super) fn verify(
    archive: &[u8],
    integrity: Option<&str>,
    sha1: Option<&str>,
) -> Result<(), TarballError> {
    let listed = integrity.unwrap_or_default();
    for (prefix, name, algorithm) in [
        ("sha512-", "sha512", &digest::SHA512),
        ("sha384-", "sha384", &digest::SHA384),
        ("sha256-", "sha256", &digest::SHA256),
    ] {
        let mut hashes = listed.split_whitespace().filter_map(|hash| hash.strip_prefix(prefix)).peekable();
        if hashes.peek().is_some() {
            let found = STANDARD.encode(digest::digest(algorithm, archive));
            let matches = hashes.any(|hash| hash.split('?').next() == Some(&found));
            return if matches { Ok(()) } else { Err(TarballError::Hash(name)) };
        }
    }
    // Releases of before 2017 may have nothing better.
    let found = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, archive);
    let hexadecimal: String = found.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let listed = listed.strip_prefix("sha1-");
    match (listed, sha1) {
        (Some(hash), _) if hash == STANDARD.encode(found) => Ok(()),
        (None, Some(hash)) if hash.eq_ignore_ascii_case(&hexadecimal) => Ok(()),
        (None, None) => Err(TarballError::NoHash),
        _ => Err(TarballError::Hash("sha1")),
    }
}

/// The hash that the lock keeps.
pub(super) fn sha512(archive: &[u8]) -> String {
    format!("sha512-{}", STANDARD.encode(digest::digest(&digest::SHA512, archive)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_hash_decides() {
        let right = sha512(b"x");
        let wrong = sha512(b"y");
        let weak = "sha1-EfatjsUqKYSrqv18O1FlA3hcIHI=";
        assert!(verify(b"x", Some(&right), None).is_ok());
        assert!(verify(b"x", Some(&format!("{wrong} {right}")), None).is_ok());
        assert!(verify(b"x", Some(&format!("{weak} {wrong}")), None).is_err());
        assert!(verify(b"x", Some(weak), None).is_ok());
        assert!(verify(b"x", None, Some("11f6ad8ec52a2984abaafd7c3b516503785c2072")).is_ok());
        assert!(verify(b"y", None, Some("11f6ad8ec52a2984abaafd7c3b516503785c2072")).is_err());
        assert!(matches!(verify(b"x", None, None), Err(TarballError::NoHash)));
    }
}
