//! Verifying and unpacking the archive of a release.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;

use super::PackageError;
use crate::domain::encoding;

/// Longest path of a file in an archive, in bytes.
const MAX_PATH: usize = 512;
/// Most entries of an archive.
const MAX_ENTRIES: usize = 50_000;

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
    #[error("unpacks to more than the {0} MiB that are left of `packages.maxSize`")]
    TooLarge(u64),
    #[error("has a file with a bad path: `{0}`")]
    Path(String),
    #[error("has more than {MAX_ENTRIES} files")]
    TooMany,
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

/// Unpacks the files of an archive into `folder`; links and devices are left
/// out. Answers with their size.
pub(super) fn unpack(archive: &[u8], folder: &Path, most: u64) -> Result<u64, TarballError> {
    // What decompresses to more than that is a bomb, also in its directory.
    let unpacked = GzDecoder::new(archive).take(most.saturating_mul(2) + (16 << 20));
    let mut archive = tar::Archive::new(unpacked);
    let mut size = 0;
    for (number, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        if number >= MAX_ENTRIES {
            return Err(TarballError::TooMany);
        }
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let shown = entry.path()?.into_owned();
        size += entry.size();
        if size > most {
            return Err(TarballError::TooLarge(most >> 20));
        }
        let path = inside(&shown).ok_or_else(|| TarballError::Path(shown.to_string_lossy().into_owned()))?;
        if is_native(&path) {
            return Err(TarballError::Native(path.to_string_lossy().into_owned()));
        }
        if is_needed(&path) {
            write(&folder.join(path), &mut entry)?;
        }
    }
    Ok(size)
}

fn write(path: &Path, content: &mut impl io::Read) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Nothing is followed: an archive has no links here.
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    if path.extension().is_some_and(|extension| extension == "json") {
        copy_unmarked(content, &mut file)
    } else {
        io::copy(content, &mut file).map(drop)
    }
}

/// JSON of some packages begins with a byte order mark, which no parser takes.
fn copy_unmarked(content: &mut impl io::Read, file: &mut fs::File) -> io::Result<()> {
    let mut start = Vec::new();
    content.by_ref().take(3).read_to_end(&mut start)?;
    file.write_all(encoding::unmarked(&start))?;
    io::copy(content, file).map(drop)
}

/// The path below the archive's one folder (npm's is `package/`).
fn inside(path: &Path) -> Option<PathBuf> {
    let bytes = path.as_os_str().len();
    let mut parts = path.components();
    parts.next().filter(|first| matches!(first, Component::Normal(_)))?;
    let rest = parts.as_path();
    let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && bytes <= MAX_PATH && rest.file_name().is_some()).then(|| rest.to_owned())
}

fn is_native(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "node") || path == Path::new("binding.gyp")
}

/// Types and source maps are not bundled.
fn is_needed(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    ![".map", ".d.ts", ".d.mts", ".d.cts"].iter().any(|end| name.ends_with(end))
}

/// Unpacks what was made to do harm: nothing may come to lie outside the folder,
/// and no more than allowed in it.
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used, missing_docs)]
pub fn survive(archive: &[u8]) {
    const MOST: u64 = 1 << 20;
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("folder");
    fs::create_dir(&folder).unwrap();
    if let Ok(size) = unpack(archive, &folder, MOST) {
        assert!(size <= MOST);
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    let mut folders = vec![folder];
    let mut size = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind => {
                    assert!(kind.is_file());
                    size += entry.metadata().unwrap().len();
                }
            }
        }
    }
    assert!(size <= MOST);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o777);
            // `append_data` would refuse the paths that are tested.
            let bytes = name.as_bytes();
            header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        let plain = builder.into_inner().unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packed, &plain).unwrap();
        packed.finish().unwrap()
    }

    fn unpacked(files: &[(&str, &[u8])], most: u64) -> Result<(u64, tempfile::TempDir), TarballError> {
        let folder = tempfile::tempdir().unwrap();
        unpack(&archive(files), folder.path(), most).map(|size| (size, folder))
    }

    #[test]
    fn files_are_unpacked_below_the_folder() {
        let files: &[(&str, &[u8])] =
            &[("package/package.json", b"{}"), ("package/lib/a.js", b"1"), ("package/lib/a.d.ts", b"types")];
        let (size, folder) = unpacked(files, 1000).unwrap();
        assert_eq!(size, 8);
        assert_eq!(fs::read(folder.path().join("lib/a.js")).unwrap(), b"1");
        assert!(!folder.path().join("lib/a.d.ts").exists());
    }

    #[test]
    fn json_has_no_byte_order_mark() {
        let marked = b"\xef\xbb\xbf{}";
        let files: &[(&str, &[u8])] =
            &[("package/package.json", marked), ("package/a.json", b"1"), ("package/a.bin", marked)];
        let (_, folder) = unpacked(files, 1000).unwrap();
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        assert_eq!((read("package.json"), read("a.json")), (b"{}".to_vec(), b"1".to_vec()));
        assert_eq!(read("a.bin"), marked);
    }

    #[test]
    fn nothing_leaves_the_folder() {
        for bad in ["package/../../x", "/etc/x", "../x", "package/a/../../../x"] {
            let error = unpacked(&[(bad, b"1")], 1000).unwrap_err();
            assert!(matches!(error, TarballError::Path(_)), "{bad}: {error}");
        }
    }

    #[test]
    fn bombs_and_addons_are_refused() {
        let large = vec![0; 3 << 20];
        let error = unpacked(&[("package/a.js", &large)], 1 << 20).unwrap_err();
        assert_eq!(error.to_string(), "unpacks to more than the 1 MiB that are left of `packages.maxSize`");
        for native in ["package/build/x.node", "package/binding.gyp"] {
            let error = unpacked(&[(native, b"1")], 1000).unwrap_err();
            assert!(matches!(error, TarballError::Native(_)), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_tampered_archive_is_survived(
            at in 0..4_096_usize,
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
        ) {
            let mut archive = archive(&[("package/package.json", b"{}"), ("package/lib/a.js", b"1")]);
            let at = at % archive.len();
            archive.splice(at..(at + bytes.len()).min(archive.len()), bytes);
            survive(&archive);
        }
    }

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
