//! The server's log: bounded, and quoted in errors.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Size at which the log is moved to `postgres.log.1`, in bytes.
const LARGEST: u64 = 16 << 20;
/// How much of a log an error quotes.
const QUOTED_LINES: usize = 12;
const QUOTED_BYTES: u64 = 4096;

/// The log file, and where what the server that was started last wrote begins.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    pub path: PathBuf,
    start: u64,
}

impl LogFile {
    /// The log as it is now; what comes after this is quoted.
    pub fn at(path: PathBuf) -> Self {
        let start = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        Self { path, start }
    }

    /// For appending, so that it can be emptied under the server's hands.
    pub fn open(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)
    }

    /// Moves the content to `….1` when it has grown too large. Lines that come
    /// in between are lost.
    pub fn bound(&mut self) -> io::Result<()> {
        if std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() > LARGEST) {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::copy(&self.path, Path::new(&old))?;
            File::options().write(true).open(&self.path)?.set_len(0)?;
            self.start = 0;
        }
        Ok(())
    }

    /// The last lines that the server wrote.
    pub fn last_lines(&self) -> String {
        self.read_end().map_or_else(|error| error.to_string(), |text| last_lines(&text))
    }

    fn read_end(&self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(self.start.max(end.saturating_sub(QUOTED_BYTES))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The end of an output, as much as a person wants to read.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_what_was_written_since_is_quoted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("postgres.log");
        std::fs::write(&path, "old\n").unwrap();
        let log = LogFile::at(path);
        log.open().unwrap().write_all(b"new\n\nnewer\n").unwrap();
        assert_eq!(log.last_lines(), "new\nnewer");
    }

    #[test]
    fn a_large_log_is_moved_away() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = LogFile::at(directory.path().join("postgres.log"));
        let mut file = log.open().unwrap();
        file.write_all(&vec![b'x'; LARGEST as usize + 1]).unwrap();
        log.bound().unwrap();
        file.write_all(b"after\n").unwrap();
        assert_eq!(std::fs::read_to_string(&log.path).unwrap(), "after\n");
        assert_eq!(std::fs::metadata(directory.path().join("postgres.log.1")).unwrap().len(), LARGEST + 1);
    }
}
