//! Jobs that wait for a worker, the most urgent first.

use std::collections::VecDeque;
use std::sync::Arc;

use super::job::Job;

/// One line per priority of the queue: manual, changes, sweeps.
#[derive(Default)]
pub struct Ready {
    lines: [VecDeque<Arc<Job>>; 3],
}

impl Ready {
    /// Behind the others of its priority.
    pub fn push(&mut self, job: Arc<Job>) {
        let priority = usize::try_from(job.claimed.priority).unwrap_or(0);
        self.lines[priority.min(2)].push_back(job);
    }

    /// The most urgent one.
    pub fn pop(&mut self) -> Option<Arc<Job>> {
        self.lines.iter_mut().find_map(VecDeque::pop_front)
    }

    /// All of them, the most urgent first.
    pub fn drain(&mut self) -> Vec<Arc<Job>> {
        self.lines.iter_mut().flat_map(|line| line.drain(..)).collect()
    }

    /// The sweeps' jobs at the end, until no more than `rest` are left in all.
    pub fn take_swept(&mut self, rest: usize) -> Vec<Arc<Job>> {
        let excess = self.len().saturating_sub(rest);
        let swept = &mut self.lines[2];
        swept.split_off(swept.len().saturating_sub(excess)).into()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lines.iter().map(VecDeque::len).sum()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(VecDeque::is_empty)
    }
}
