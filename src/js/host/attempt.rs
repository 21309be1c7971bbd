//! Asks a host of its own to try what its sandbox forbids.

use std::io;
use std::os::unix::process::ExitStatusExt;

use bytes::BytesMut;
use nix::libc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::HostProgram;
use super::super::limits::{BOOT_LIMIT, MAX_FRAME_FROM_HOST};
use super::super::protocol::{self, Kind};
use super::super::sandbox::Attempt;
use super::process::{self, Spawned};

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It worked.
    Worked,
    /// The kernel answered with this error.
    Refused(i32),
    /// The kernel ended the process.
    Ended,
}

impl AttemptEnd {
    /// Whether the sandbox held. An error alone is none of its doing: with
    /// `EFAULT`, say, the call was looked at.
    pub fn was_stopped(self) -> bool {
        matches!(self, Self::Ended | Self::Refused(libc::EPERM | libc::EACCES | libc::ENOSYS))
    }
}

/// Starts a host that makes an attempt and ends.
///
/// # Errors
///
/// The process does not start, does not answer within 30 seconds, or breaks the
/// protocol.
pub async fn attempt(program: &HostProgram, attempt: Attempt) -> io::Result<AttemptEnd> {
    let spawned = process::spawn(program).await?;
    let made = tokio::time::timeout(BOOT_LIMIT, make(spawned, attempt)).await;
    made.map_err(io::Error::other)?
}

async fn make(spawned: Spawned, attempt: Attempt) -> io::Result<AttemptEnd> {
    let Spawned { process, mut socket, .. } = spawned;
    let mut frame = Vec::new();
    protocol::put(&mut frame, Kind::Try, 0, attempt as u32, &[]);
    socket.write_all(&frame).await?;
    let mut said = BytesMut::new();
    while socket.read_buf(&mut said).await? > 0 {}
    let status = process.reap().await?;
    match protocol::take(&mut said, MAX_FRAME_FROM_HOST).map_err(io::Error::other)? {
        Some(frame) if frame.kind == Kind::Tried => Ok(match frame.call {
            0 => AttemptEnd::Worked,
            error => AttemptEnd::Refused(i32::try_from(error).map_err(io::Error::other)?),
        }),
        None if status.signal() == Some(libc::SIGSYS) => Ok(AttemptEnd::Ended),
        // It became another program.
        None if status.success() => Ok(AttemptEnd::Worked),
        _ => Err(io::Error::other(format!("the host ended without an answer: {status}"))),
    }
}
