//! A run that changes nothing outside: reads are sent, by the rules of the
//! target; writes are written down as they would have been sent, and answered
//! with a scripted answer or a plausible one.
//!
//! What was made up is remembered for the run, so that reading back what was
//! just created finds it and what was just deleted is gone. Searches go to the
//! external system and know nothing of it.

mod effect;
mod graphql;
mod plausible;
mod script;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use super::hide::{Hider, Seen};
use super::session::Session;
use super::{Rest, failures::Failure};
use crate::domain::host_call::{
    Exchange, FetchRequest, FetchResponse, Fetched, Handling, HostCallError, HostCallFuture, HostCalls,
    KeyInfo, KeyRequest, SignRequest,
};
pub use effect::is_read;
use plausible::Pretence;
pub use script::{Script, ScriptedAnswer};

/// The way out of a dry run. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct DryRun {
    inner: Arc<Inner>,
}

struct Inner {
    session: Session,
    /// Whether reads are sent.
    reads: bool,
    script: Mutex<Script>,
    pretence: Mutex<Pretence>,
}

impl HostCalls for DryRun {
    fn begin(&self, ends: Instant) {
        self.inner.session.begin(ends);
    }

    fn end(&self) {
        self.inner.session.end();
    }

    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        let inner = self.inner.clone();
        Box::pin(async move { inner.fetch(request).await })
    }

    fn inspect_key(&self, request: KeyRequest) -> HostCallFuture<KeyInfo> {
        self.inner.session.inspect_key(request)
    }

    fn sign(&self, request: SignRequest) -> HostCallFuture<Bytes> {
        self.inner.session.sign(request)
    }
}

impl DryRun {
    /// Over a session of its own. Without `reads` nothing at all is sent.
    pub fn new(session: Session, script: Script, reads: bool) -> Self {
        let (script, pretence) = (Mutex::new(script), Mutex::default());
        Self { inner: Arc::new(Inner { session, reads, script, pretence }) }
    }

    /// The exchanges so far, each with what became of it, as [`Session::take`].
    pub fn take(&self) -> (Vec<Exchange>, Rest) {
        let (mut exchanges, rest) = self.inner.session.take();
        for exchange in &mut exchanges {
            exchange.effect.get_or_insert(Handling::Sent);
        }
        (exchanges, rest)
    }

    /// As [`Session::hider`].
    pub fn hider(&self, more: Seen, names: &[&str]) -> Option<Arc<Hider>> {
        self.inner.session.hider(more, names)
    }

    /// As [`Session::failure`]; an answer that was made up fails as well.
    pub fn failure(&self) -> Option<Failure> {
        self.inner.session.failure()
    }
}

impl Inner {
    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, HostCallError> {
        if let Some(answer) = self.scripted(&request) {
            return self.answer(&request, Handling::Scripted, answer);
        }
        if is_read(&request) {
            // Also when it is sent: a later change may be to what was read.
            let remembered = self.pretence().read(&request);
            if remembered.is_none() && self.reads {
                let answer = self.session.fetch(request.clone()).await?;
                if answer.rest.is_none() {
                    self.pretence().note(&request, &answer.response);
                }
                return Ok(answer);
            }
            let answer = remembered.unwrap_or_else(|| plausible::unread(&request));
            return self.answer(&request, Handling::Pretended, answer);
        }
        let answer = self.pretence().write(&request);
        self.answer(&request, Handling::Recorded, answer)
    }

    fn answer(
        &self,
        request: &FetchRequest,
        effect: Handling,
        answer: FetchResponse,
    ) -> Result<Fetched, HostCallError> {
        self.session.answer(request, effect, Ok(answer)).map(Fetched::from)
    }

    fn scripted(&self, request: &FetchRequest) -> Option<FetchResponse> {
        let shown_url = self.session.redact(&request.url);
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.answer(request, &shown_url)
    }

    fn pretence(&self) -> MutexGuard<'_, Pretence> {
        self.pretence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
