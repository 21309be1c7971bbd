//! How much CPU time a process used, so that a limit can be tested on a machine
//! of any speed and with other things to do.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the process is looked at: it cannot be asked any more when it has ended.
const INTERVAL: Duration = Duration::from_millis(5);

/// Watches a process until [`CpuMeter::stop`].
pub struct CpuMeter {
    over: Arc<AtomicBool>,
    watcher: JoinHandle<Duration>,
}

impl CpuMeter {
    /// Watches all threads of a process, also those that are yet to come.
    pub fn of(process: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let watcher = std::thread::spawn(move || {
            let mut used: HashMap<PathBuf, (u64, u64)> = HashMap::new();
            while !until.load(Ordering::Acquire) {
                for (task, nanos) in cpu_of_tasks(process) {
                    used.entry(task).or_insert((nanos, nanos)).1 = nanos;
                }
                std::thread::sleep(INTERVAL);
            }
            Duration::from_nanos(used.values().map(|(first, last)| last - first).sum())
        });
        Self { over, watcher }
    }

    /// What the process has used since, as far as it was seen.
    pub fn stop(self) -> Duration {
        self.over.store(true, Ordering::Release);
        self.watcher.join().unwrap()
    }
}

/// The first figure of schedstat: nanoseconds on a CPU.
fn cpu_of_tasks(process: u32) -> Vec<(PathBuf, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let of = |task: PathBuf| {
        let line = std::fs::read_to_string(task.join("schedstat")).ok()?;
        let nanos = line.split(' ').next()?.parse().ok()?;
        Some((task, nanos))
    };
    tasks.filter_map(|task| of(task.path())).collect()
}
