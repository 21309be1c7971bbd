//! Per-subject order on this node: at most one job of a subject is in the
//! hands of a worker or the completer; a later one waits its turn. A pure state
//! machine, tested by sequences.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::domain::ids::SubjectId;

/// The mailboxes of one target. A subject has one as long as it has a job.
#[derive(Debug)]
pub struct Mailboxes<J> {
    open: HashMap<SubjectId, Option<J>>,
}

/// What to do with a job that came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery<J> {
    /// Run it.
    Start(J),
    /// It waits until the one before it has finished; the job that waited in
    /// its place, whose lease it supersedes, comes back.
    Queued(Option<J>),
}

impl<J> Default for Mailboxes<J> {
    fn default() -> Self {
        Self { open: HashMap::new() }
    }
}

impl<J> Mailboxes<J> {
    /// Hands in a job of a subject.
    pub fn deliver(&mut self, subject: SubjectId, job: J) -> Delivery<J> {
        match self.open.entry(subject) {
            Entry::Vacant(free) => {
                free.insert(None);
                Delivery::Start(job)
            }
            Entry::Occupied(mut busy) => Delivery::Queued(busy.get_mut().replace(job)),
        }
    }

    /// Says that the running job of a subject has finished and is committed;
    /// returns the one that waited, which now runs.
    pub fn finish(&mut self, subject: SubjectId) -> Option<J> {
        let next = self.open.get_mut(&subject)?.take();
        if next.is_none() {
            self.open.remove(&subject);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        /// Whatever comes in and finishes in whatever order: no two jobs of a
        /// subject run at once, they run in the order they came, and the
        /// newest one always runs.
        #[test]
        fn jobs_of_a_subject_never_overlap(steps in prop::collection::vec((0_i64..4, any::<bool>()), 0..200)) {
            let mut boxes = Mailboxes::default();
            let mut running: HashSet<i64> = HashSet::new();
            let mut newest = [0_usize; 4];
            let mut last_run = [0_usize; 4];
            for (serial, (subject, arrives)) in steps.into_iter().enumerate() {
                let index = usize::try_from(subject).unwrap();
                let started = if arrives {
                    newest[index] = serial + 1;
                    match boxes.deliver(SubjectId(subject), serial + 1) {
                        Delivery::Start(job) => {
                            prop_assert!(running.insert(subject));
                            Some(job)
                        }
                        Delivery::Queued(_) => { prop_assert!(running.contains(&subject)); None }
                    }
                } else if running.contains(&subject) {
                    let next = boxes.finish(SubjectId(subject));
                    if next.is_none() { running.remove(&subject); }
                    next
                } else { None };
                if let Some(job) = started {
                    prop_assert!(job > last_run[index]);
                    last_run[index] = job;
                }
            }
            for subject in running.clone() {
                while let Some(job) = boxes.finish(SubjectId(subject)) {
                    last_run[usize::try_from(subject).unwrap()] = job;
                }
            }
            prop_assert_eq!(newest, last_run);
            prop_assert!(boxes.open.is_empty());
        }
    }
}
