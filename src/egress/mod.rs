//! The only way out. Logic has no network of its own: what it asks for with
//! `fetch` is done here, by the rules of its target.
//!
//! - **Where to**: an [`AllowList`] below the instance's [`Ceiling`], enforced where names become addresses and
//!   again at each redirect, so that neither a redirect nor a name that changes
//!   its mind reaches the inside of a network.
//! - **How much**: [`EgressLimits`] on time, size and number, checked while
//!   reading and not after.
//! - **With what**: secrets are handles until the bytes leave, each for its own
//!   hosts ([`SecretHosts`]); what comes back has values turned into handles
//!   again. Signatures with a secret are made here.
//! - **On record**: each exchange as the run's log shows it, free of secrets.
//! - **In earnest or not**: a [`Session`] sends everything, a [`DryRun`] sends
//!   reads alone, a [`Replay`] sends nothing and answers from a recording.
//!
//! Deliberately absent: proxies from the environment, a cookie jar, asking for
//! packed answers, retries (the engine's business), any other protocol.

mod address;
mod allow;
mod allow_entry;
mod ceiling;
mod coding;
mod deadline;
mod dialer;
mod dry_run;
mod failure;
mod failures;
mod handles;
mod hide;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod hostile;
mod incoming;
mod key;
mod policy;
mod recorded;
mod recording;
mod redirect;
mod replay;
mod request;
mod response;
mod rest;
mod secret_hosts;
mod session;
mod shown;
mod signing;
mod transcript;

use std::sync::Arc;

pub use allow::{AllowList, AllowListError};
pub use ceiling::{Ceiling, CeilingError};
pub use dialer::{Looking, Lookup, SystemLookup};
pub use dry_run::{DryRun, Script, ScriptedAnswer, is_read};
pub use failures::Failure;
pub use hide::{Hider, Seen};
pub use policy::{EgressLimits, TargetPolicy};
pub use replay::{Difference, DifferenceKind, Replay};
pub use rest::{Rest, StoredRest};
pub use secret_hosts::{SecretHosts, SecretHostsError, entry_of_url};
pub use session::Session;

/// The daemon's way out, one for all targets.
#[derive(Clone)]
pub struct Egress {
    lookup: Arc<dyn Lookup>,
    ceiling: Arc<Ceiling>,
}

impl Egress {
    /// With the system's name resolution.
    pub fn new() -> Self {
        Self::with_lookup(Arc::new(SystemLookup))
    }

    /// With another one: for tests, and for a resolver with a cache.
    pub fn with_lookup(lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, ceiling: Arc::default() }
    }

    /// The same, held below a ceiling.
    #[must_use]
    pub fn below(self, ceiling: Ceiling) -> Self {
        Self { ceiling: Arc::new(ceiling), ..self }
    }

    /// What no target's [`AllowList`] goes beyond: the list is to be held
    /// [below](AllowList::below) it.
    pub fn ceiling(&self) -> &Arc<Ceiling> {
        &self.ceiling
    }

    /// Begins a run. Runs that share a policy share its connections.
    pub fn session(&self, policy: Arc<TargetPolicy>) -> Session {
        Session::new(policy, self.lookup.clone())
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self::new()
    }
}
