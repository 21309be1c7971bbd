//! Jobs that wait for a worker: what a person or a change asked for goes before
//! what a sweep found.

use std::collections::VecDeque;
use std::sync::Arc;

use super::job::Job;

/// Two queues, the second of which moves when the first is empty.
#[derive(Debug, Default)]
pub struct Ready {
    asked: VecDeque<Arc<Job>>,
    swept: VecDeque<Arc<Job>>,
}

impl Ready {
    /// Adds a job.
    pub fn push(&mut self, job: Arc<Job>) {
        let queue = if job.claimed.swept { &mut self.swept } else { &mut self.asked };
        queue.push_back(job);
    }

    /// The next job.
    pub fn pop(&mut self) -> Option<Arc<Job>> {
        self.asked.pop_front().or_else(|| self.swept.pop_front())
    }

    /// Takes all jobs out.
    pub fn drain(&mut self) -> Vec<Arc<Job>> {
        self.asked.drain(..).chain(self.swept.drain(..)).collect()
    }

    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.asked.len() + self.swept.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
