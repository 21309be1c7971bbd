//! Unpacking an archive, in bounded room: bytes, files, folders and names count,
//! for a file system keeps all of them.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use tar::EntryType;

use super::tarball::TarballError;
use crate::domain::encoding;
use crate::logic::scratch::Stop;

/// Longest path of a file in an archive, in bytes.
const MAX_PATH: usize = 512;
/// Most folders that a file lies in.
const MAX_DEPTH: usize = 32;
/// Most entries of an archive.
const MAX_ENTRIES: usize = 50_000;
/// Largest extension of a header; it holds a long path.
const MAX_EXTENSION: u64 = 64 << 10;
/// What an entry costs beside its content: a file's inode, a link.
const ENTRY: u64 = 512;
/// What a folder costs.
const FOLDER: u64 = 4_096;

/// What one build may still put on disk.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u64,
}

impl Allowance {
    /// For so many bytes.
    pub fn new(most: u64) -> Self {
        Self { left: most }
    }

    /// How many bytes are left.
    pub fn left(&self) -> u64 {
        self.left
    }

    fn take(&mut self, bytes: u64) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    /// For an entry or a link of this name.
    pub fn entry(&mut self, name: usize) -> bool {
        self.take(ENTRY.saturating_add(name as u64))
    }
}

/// Unpacks the files of an archive into `folder`; links and devices are left
/// out. Answers with the size of its files.
pub(super) fn unpack(
    archive: impl Read,
    folder: &Path,
    allowance: &mut Allowance,
    stop: &Stop,
) -> Result<u64, TarballError> {
    let most = allowance.left();
    // What decompresses to more than that is a bomb, also in its directory.
    let unpacked = GzDecoder::new(archive).take(most.saturating_mul(2).saturating_add(16 << 20));
    let archive = tar::Archive::new(Stoppable { inner: unpacked, stop });
    let mut unpacking = Unpacking { folder, allowance, most, folders: HashSet::new(), size: 0 };
    unpacking.all(archive).map_err(|error| if stop.is_set() { TarballError::Stopped } else { error })?;
    Ok(unpacking.size)
}

struct Unpacking<'a> {
    folder: &'a Path,
    allowance: &'a mut Allowance,
    /// Of the allowance, before.
    most: u64,
    /// Those that are there already.
    folders: HashSet<PathBuf>,
    size: u64,
}

impl Unpacking<'_> {
    fn all<R: Read>(&mut self, mut archive: tar::Archive<R>) -> Result<(), TarballError> {
        // Raw: the extensions of headers are read here, in bounded memory.
        let mut long_path = None;
        for (number, entry) in archive.entries()?.raw(true).enumerate() {
            let mut entry = entry?;
            if number >= MAX_ENTRIES {
                return Err(TarballError::TooMany(MAX_ENTRIES));
            }
            let path = match entry.header().entry_type() {
                EntryType::GNULongName => {
                    let name = extension(&mut entry)?;
                    long_path = Some(name.into_iter().take_while(|byte| *byte != 0).collect());
                    self.charge(0, 0)?;
                    continue;
                }
                EntryType::XHeader => {
                    long_path = path_in(&extension(&mut entry)?).or(long_path);
                    self.charge(0, 0)?;
                    continue;
                }
                // About links, which are left out, and about all files.
                EntryType::GNULongLink | EntryType::XGlobalHeader => {
                    self.charge(0, 0)?;
                    continue;
                }
                _ => long_path.take().unwrap_or_else(|| entry.header().path_bytes().into_owned()),
            };
            let is_file = entry.header().entry_type().is_file();
            self.charge(path.len(), if is_file { entry.size() } else { 0 })?;
            if is_file {
                self.size += entry.size();
                self.file(&path, &mut entry)?;
            }
        }
        Ok(())
    }

    fn charge(&mut self, name: usize, content: u64) -> Result<(), TarballError> {
        match self.allowance.entry(name) && self.allowance.take(content) {
            true => Ok(()),
            false => Err(TarballError::TooLarge(self.most >> 20)),
        }
    }

    fn file(&mut self, path: &[u8], content: &mut impl Read) -> Result<(), TarballError> {
        let shown = || String::from_utf8_lossy(path).chars().take(MAX_PATH).collect();
        let path = inside(path).ok_or_else(|| TarballError::Path(shown()))?;
        if path.components().count() > MAX_DEPTH {
            return Err(TarballError::TooDeep(shown()));
        }
        if is_native(&path) {
            return Err(TarballError::Native(path.to_string_lossy().into_owned()));
        }
        if !is_needed(&path) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            self.make(folder)?;
        }
        // Nothing is followed: an archive has no links here.
        let path = self.folder.join(path);
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        match path.extension().is_some_and(|extension| extension == "json") {
            true => Ok(copy_unmarked(content, &mut file)?),
            false => Ok(io::copy(content, &mut file).map(drop)?),
        }
    }

    /// Makes the folders that are not there yet, outermost first.
    fn make(&mut self, folder: &Path) -> Result<(), TarballError> {
        let mut missing: Vec<&Path> = folder
            .ancestors()
            .filter(|folder| !folder.as_os_str().is_empty())
            .take_while(|folder| !self.folders.contains(*folder))
            .collect();
        while let Some(folder) = missing.pop() {
            let cost = FOLDER + folder.as_os_str().len() as u64;
            if !self.allowance.take(cost) {
                return Err(TarballError::TooLarge(self.most >> 20));
            }
            match fs::create_dir(self.folder.join(folder)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => drop(self.folders.insert(folder.to_owned())),
            }
        }
        Ok(())
    }
}

/// JSON of some packages begins with a byte order mark, which no parser takes.
fn copy_unmarked(content: &mut impl Read, file: &mut fs::File) -> io::Result<()> {
    let mut start = Vec::new();
    content.by_ref().take(3).read_to_end(&mut start)?;
    file.write_all(encoding::unmarked(&start))?;
    io::copy(content, file).map(drop)
}

/// The content of an extension.
fn extension(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    entry.take(MAX_EXTENSION + 1).read_to_end(&mut content)?;
    match content.len() as u64 > MAX_EXTENSION {
        true => Err(io::Error::other("the extension of a header is larger than 64 KiB")),
        false => Ok(content),
    }
}

/// The path that a pax header gives.
fn path_in(extension: &[u8]) -> Option<Vec<u8>> {
    let records = tar::PaxExtensions::new(extension).flatten();
    let path = records.filter(|record| record.key_bytes() == b"path").last();
    path.map(|record| record.value_bytes().to_owned())
}

/// Ends where nobody waits any more for what is read.
struct Stoppable<'a, R> {
    inner: R,
    stop: &'a Stop,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_set() {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        self.inner.read(buffer)
    }
}

/// The path below the archive's one folder (npm's is `package/`).
fn inside(path: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = (path.len() <= MAX_PATH).then(|| Path::new(std::ffi::OsStr::from_bytes(path)))?;
    let mut parts = path.components();
    parts.next().filter(|first| matches!(first, Component::Normal(_)))?;
    let rest = parts.as_path();
    let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
    // Without dots and doubled slashes: a folder has one name.
    (plain && rest.file_name().is_some()).then(|| rest.components().collect())
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
    if let Ok(size) = unpack(archive, &folder, &mut Allowance::new(MOST), &Stop::default()) {
        assert!(size <= MOST);
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    let mut folders = vec![folder];
    let mut cost = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => {
                    cost += FOLDER;
                    folders.push(entry.path());
                }
                kind => {
                    assert!(kind.is_file());
                    cost += ENTRY + entry.metadata().unwrap().len();
                }
            }
        }
    }
    assert!(cost <= MOST);
}

#[cfg(test)]
mod tests;
