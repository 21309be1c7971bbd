//! How long processes had to wait for a CPU, so that a limit can be tested on a
//! machine that has other things to do.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the processes are looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// Watches processes until [`Clock::stop`].
pub struct Clock {
    began: Instant,
    over: Arc<AtomicBool>,
    watcher: JoinHandle<Duration>,
}

impl Clock {
    /// Watches one process.
    pub fn of(process: u32) -> Self {
        Self::watch(move || vec![process])
    }

    /// Watches a process and its children, also those that are yet to come.
    pub fn of_family(parent: u32) -> Self {
        Self::watch(move || std::iter::once(parent).chain(children(parent)).collect())
    }

    fn watch(processes: impl Fn() -> Vec<u32> + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let watcher = std::thread::spawn(move || {
            let mut waits: HashMap<PathBuf, (u64, u64)> = HashMap::new();
            while !until.load(Ordering::Acquire) {
                for (task, nanos) in processes().into_iter().flat_map(waits_of) {
                    waits.entry(task).or_insert((nanos, nanos)).1 = nanos;
                }
                std::thread::sleep(INTERVAL);
            }
            Duration::from_nanos(waits.values().map(|(first, last)| last - first).sum())
        });
        Self { began: Instant::now(), over, watcher }
    }

    /// The time since, less what the processes had to wait for a CPU: what
    /// would have passed had they had it at once.
    pub fn stop(self) -> Duration {
        let elapsed = self.began.elapsed();
        elapsed.saturating_sub(self.waited())
    }

    /// How long the processes had to wait for a CPU, together.
    pub fn waited(self) -> Duration {
        self.over.store(true, Ordering::Release);
        self.watcher.join().unwrap()
    }
}

fn tasks(process: u32) -> impl Iterator<Item = PathBuf> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task"));
    tasks.into_iter().flatten().flatten().map(|task| task.path())
}

fn children(parent: u32) -> Vec<u32> {
    let of = |task: PathBuf| std::fs::read_to_string(task.join("children")).unwrap_or_default();
    tasks(parent)
        .flat_map(|task| of(task).split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The second figure of schedstat: nanoseconds on a run queue.
fn waits_of(process: u32) -> Vec<(PathBuf, u64)> {
    let of = |task: &PathBuf| {
        let line = std::fs::read_to_string(task.join("schedstat")).ok()?;
        line.split(' ').nth(1)?.parse().ok()
    };
    tasks(process).filter_map(|task| of(&task).map(|nanos| (task, nanos))).collect()
}
