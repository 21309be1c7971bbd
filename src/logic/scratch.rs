//! The folder of one build, and the word that the build is not wanted any more.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

/// The folder of a build. It is removed when the last who holds it lets go, and
/// where that may take its time: many small files are slow to remove.
#[derive(Debug, Clone)]
pub(super) struct Scratch(Arc<Folder>);

#[derive(Debug)]
struct Folder(Option<TempDir>);

impl Scratch {
    /// A new, empty one.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Folder(Some(tempfile::tempdir()?)))))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.0.as_ref().map_or(Path::new(""), TempDir::path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let folder = self.0.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // What cannot be run any more is dropped, and so removed here.
            drop(runtime.spawn_blocking(move || drop(folder)));
        }
    }
}

/// Tells work on a thread of its own that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops the work when what is returned is dropped.
    pub fn when_dropped(&self) -> StopWhenDropped {
        StopWhenDropped(self.clone())
    }

    /// Nobody waits any more.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Nobody waits from now on.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// See [`Stop::when_dropped`].
#[derive(Debug)]
pub(super) struct StopWhenDropped(Stop);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.set();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_goes_with_the_last_who_holds_it_and_not_on_this_thread() {
        let scratch = Scratch::new().unwrap();
        let (path, held) = (scratch.path().to_owned(), scratch.clone());
        std::fs::create_dir_all(path.join("a/b/c")).unwrap();
        drop(scratch);
        assert!(path.join("a/b/c").exists());
        drop(held);
        // It is removed by a thread for such work.
        while path.exists() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn without_a_runtime_it_is_removed_at_once() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_owned();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn work_is_stopped_when_nobody_waits() {
        let stop = Stop::default();
        let waits = stop.when_dropped();
        assert!(!stop.is_set());
        drop(waits);
        assert!(stop.is_set());
    }
}
