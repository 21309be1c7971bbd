//! The versions of a target's logic that run: the published one, and beside it
//! maybe one that some subjects try first.

use std::sync::Arc;

use super::hosts::{HostState, Hosts};
use crate::domain::canary::Canary;
use crate::domain::ids::SubjectId;

/// One version and where it runs.
#[derive(Clone)]
pub struct Served {
    /// Its number.
    pub version: i32,
    /// Its hosts.
    pub hosts: Arc<Hosts>,
}

/// A version on trial.
#[derive(Clone)]
pub struct OnTrial {
    /// Which trial, as storage counts them.
    pub id: i64,
    /// Who runs it, and when it is given up.
    pub canary: Canary,
    /// Where it runs.
    pub served: Served,
}

/// What runs for whom.
#[derive(Clone)]
pub struct Versions {
    /// The published version.
    pub main: Served,
    /// The one that is tried.
    pub canary: Option<OnTrial>,
}

impl Versions {
    /// What a subject runs, and the trial that its run counts for.
    pub fn of(&self, subject: SubjectId) -> (&Served, Option<i64>) {
        match &self.canary {
            Some(trial) if trial.canary.takes(subject) => (&trial.served, Some(trial.id)),
            Some(trial) => (&self.main, Some(trial.id)),
            None => (&self.main, None),
        }
    }

    /// The hosts of a version, if it is one of these.
    pub fn hosts_of(&self, version: i32) -> Option<Arc<Hosts>> {
        let trial = self.canary.as_ref().map(|trial| &trial.served);
        [Some(&self.main), trial]
            .into_iter()
            .flatten()
            .find(|it| it.version == version)
            .map(|it| it.hosts.clone())
    }

    /// [`Hosts::stop`]
    pub fn stop(&self) {
        self.all().for_each(|hosts| hosts.stop());
    }

    /// [`Hosts::allow`]
    pub fn allow(&self) {
        self.all().for_each(|hosts| hosts.allow());
    }

    /// [`Hosts::observe`]
    pub fn observe(&self) -> Vec<HostState> {
        self.all().flat_map(|hosts| hosts.observe()).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Hosts>> {
        [Some(&self.main.hosts), self.canary.as_ref().map(|trial| &trial.served.hosts)].into_iter().flatten()
    }
}
