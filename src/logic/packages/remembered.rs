//! What the registry said of packages lately. It is bounded by its size: what
//! is said of one may be a few hundred bytes or many MiB.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deno_npm::registry::NpmPackageInfo;

/// How long what was said of a package is taken for true.
const FRESH: Duration = Duration::from_secs(300);
/// Most bytes, as they were sent.
const MOST: usize = 128 << 20;

/// Oldest first.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<VecDeque<Entry>>);

#[derive(Debug)]
struct Entry {
    name: String,
    at: Instant,
    size: usize,
    info: Arc<NpmPackageInfo>,
}

impl Remembered {
    /// What was said of a package within the last minutes.
    pub fn recall(&self, name: &str) -> Option<Arc<NpmPackageInfo>> {
        let entries = self.entries();
        let found = entries.iter().find(|entry| entry.name == name && entry.at.elapsed() < FRESH);
        found.map(|entry| entry.info.clone())
    }

    /// Forgets the oldest when there is no room for it.
    pub fn keep(&self, name: &str, size: usize, info: &Arc<NpmPackageInfo>) {
        let mut entries = self.entries();
        entries.retain(|entry| entry.name != name && entry.at.elapsed() < FRESH);
        let mut total = size + entries.iter().map(|entry| entry.size).sum::<usize>();
        while total > MOST {
            let Some(oldest) = entries.pop_front() else { return };
            total -= oldest.size;
        }
        entries.push_back(Entry { name: name.to_owned(), at: Instant::now(), size, info: info.clone() });
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_for_want_of_room() {
        let info = NpmPackageInfo::from_packument_bytes(br#"{"name":"a","versions":{}}"#.to_vec()).unwrap();
        let (remembered, info) = (Remembered::default(), Arc::new(info));
        let known = |names: &str| -> String {
            names.chars().filter(|name| remembered.recall(&name.to_string()).is_some()).collect()
        };
        for name in ["a", "b", "c"] {
            remembered.keep(name, MOST / 3, &info);
        }
        assert_eq!(known("abc"), "abc");
        remembered.keep("a", 1, &info);
        remembered.keep("d", MOST / 2, &info);
        assert_eq!(known("abcd"), "acd", "said again it is young again");
        remembered.keep("e", MOST + 1, &info);
        assert_eq!(known("abcde"), "", "what is too large for all is not kept");
    }
}
