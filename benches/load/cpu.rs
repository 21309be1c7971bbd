//! CPU time and memory of processes and threads, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// CPU time of the daemon's family, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cpu {
    pub daemon: u64,
    pub hosts: u64,
    pub postgres: u64,
}

impl Cpu {
    /// Of the daemon with this process id and all that descends from it. The
    /// time of children that have ended is in their parent's.
    pub fn of(daemon: u32) -> Self {
        let mut sum = Self::default();
        for process in family(daemon) {
            let own = process.cpu + process.ended_children;
            match process.role(daemon) {
                Role::Daemon => sum.daemon += own,
                Role::Host => sum.hosts += own,
                Role::Postgres => sum.postgres += own,
            }
        }
        sum
    }

    pub fn since(self, start: Self) -> Self {
        Self {
            daemon: self.daemon.saturating_sub(start.daemon),
            hosts: self.hosts.saturating_sub(start.hosts),
            postgres: self.postgres.saturating_sub(start.postgres),
        }
    }

    pub fn sum(self) -> u64 {
        self.daemon + self.hosts + self.postgres
    }
}

enum Role {
    Daemon,
    Host,
    Postgres,
}

struct Process {
    id: u32,
    parent: u32,
    name: String,
    cpu: u64,
    ended_children: u64,
    resident: u64,
}

impl Process {
    fn read(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (head, tail) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = tail.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            id,
            parent: u32::try_from(number(1)?).ok()?,
            name: head.split_once('(')?.1.to_owned(),
            cpu: (number(11)? + number(12)?) * MICROS_PER_TICK,
            ended_children: (number(13)? + number(14)?) * MICROS_PER_TICK,
            resident: number(21)? * 4096,
        })
    }

    fn role(&self, daemon: u32) -> Role {
        match self.name.as_str() {
            _ if self.id == daemon => Role::Daemon,
            "postgres" => Role::Postgres,
            _ => Role::Host,
        }
    }
}

/// The kernel's clock of `/proc/*/stat` ticks a hundred times a second.
const MICROS_PER_TICK: u64 = 10_000;

fn family(root: u32) -> Vec<Process> {
    let ids = fs::read_dir("/proc").unwrap().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: BTreeMap<u32, Process> = ids.filter_map(|id| Some((id, Process::read(id)?))).collect();
    let descends = |mut id: u32| {
        while id > 1 && id != root {
            id = all.get(&id).map_or(0, |process| process.parent);
        }
        id == root
    };
    let found: Vec<u32> = all.keys().copied().filter(|id| descends(*id)).collect();
    let mut all = all;
    found.into_iter().filter_map(|id| all.remove(&id)).collect()
}

/// CPU time of a thread of this process, in microseconds.
pub fn of_thread(id: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0) / 1_000
}

/// Watches the memory of a daemon and its hosts.
pub struct Memory {
    daemon: Arc<AtomicU64>,
    hosts: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Memory {
    pub fn watch(pid: u32) -> Self {
        let watched = Self { daemon: Arc::default(), hosts: Arc::default(), stop: Arc::default() };
        let (daemon, hosts, stop) = (watched.daemon.clone(), watched.hosts.clone(), watched.stop.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let (mut own, mut children) = (0, 0);
                for process in family(pid) {
                    match process.role(pid) {
                        Role::Daemon => own += process.resident,
                        Role::Host => children += process.resident,
                        Role::Postgres => {}
                    }
                }
                daemon.fetch_max(own, Ordering::Relaxed);
                hosts.fetch_max(children, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(250));
            }
        });
        watched
    }

    /// Peaks of daemon and hosts so far, in MiB.
    pub fn peaks(&self) -> (f64, f64) {
        let mib = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed) as f64 / f64::from(1 << 20);
        (mib(&self.daemon), mib(&self.hosts))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// CPU time of this process, in microseconds.
pub fn of_self() -> u64 {
    Process::read(std::process::id()).map_or(0, |process| process.cpu)
}
