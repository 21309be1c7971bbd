//! The calls of one run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, HeaderValue};
use reqwest::{Response, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::deadline::{Deadline, share_of};
use super::dialer::Lookup;
use super::failure::{self, permanent, transient};
use super::failures::{Asked, Failure};
use super::hide::{Format, Hider, Seen};
use super::incoming::Incoming;
use super::policy::TargetPolicy;
use super::redirect;
use super::request::Outgoing;
use super::response::{by_status, check_head, for_logic, is_short, said};
use super::rest::Rest;
use super::shown::{Shown, kept, shown_request, shown_text, shown_url, text_start};
use super::transcript::Transcript;
use crate::domain::host_call::{
    Exchange, FetchRequest, FetchResponse, Fetched, Handling, HostCallError, HostCallFuture, HostCalls,
    KeyInfo, KeyRequest, Redirect, SignRequest,
};

/// With less time left, a call is not begun.
const SHORTEST_CALL: Duration = Duration::from_millis(10);

/// One run's way out. Cheap to clone; clones share the transcript.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Arc<TargetPolicy>,
    lookup: Arc<dyn Lookup>,
    transcript: Arc<Transcript>,
    turns: Arc<Semaphore>,
    /// When the run is given up.
    ends: Mutex<Option<Instant>>,
}

/// A call, as its hops see it.
#[derive(Clone, Copy)]
struct Call {
    asked: Asked,
    mode: Redirect,
    deadline: Deadline,
}

/// What came of one request: the head and as much of the body as was there, the
/// rest of the body, and where a redirect leads that is to be followed.
struct Hop {
    response: FetchResponse,
    rest: Option<Incoming>,
    next: Option<Url>,
}

impl HostCalls for Session {
    fn begin(&self, ends: std::time::Instant) {
        *self.inner.ends.lock().unwrap_or_else(PoisonError::into_inner) = Some(ends.into());
        self.inner.transcript.begin_run();
    }

    fn end(&self) {
        self.inner.transcript.end_run();
    }

    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        let inner = self.inner.clone();
        Box::pin(async move { inner.fetch(request).await })
    }

    fn inspect_key(&self, request: KeyRequest) -> HostCallFuture<KeyInfo> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let TargetPolicy { signers, handles, .. } = &*inner.policy;
            signers.inspect(handles, request).await.map_err(|error| inner.policy.clean(error))
        })
    }

    fn sign(&self, request: SignRequest) -> HostCallFuture<Bytes> {
        let inner = self.inner.clone();
        Box::pin(async move {
            let TargetPolicy { signers, handles, .. } = &*inner.policy;
            signers.sign(handles, request).await.map_err(|error| inner.policy.clean(error))
        })
    }
}

impl Session {
    pub(super) fn new(policy: Arc<TargetPolicy>, lookup: Arc<dyn Lookup>) -> Self {
        let turns = Arc::new(Semaphore::new(policy.limits.concurrent));
        let transcript = Arc::new(Transcript::new());
        let inner = Inner { policy, lookup, transcript, turns, ends: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The exchanges so far, each hop of a redirect its own, with secrets
    /// removed: the first 25 and the latest 25. A second call answers with what
    /// came since.
    pub fn take_exchanges(&self) -> Vec<Exchange> {
        self.take().0
    }

    /// The same, with what the log leaves out of them.
    pub fn take(&self) -> (Vec<Exchange>, Rest) {
        self.inner.transcript.take()
    }

    /// How many exchanges between those were left out.
    pub fn exchanges_left_out(&self) -> usize {
        self.inner.transcript.left_out()
    }

    /// What hides the credentials that the run has seen, and `more`, wherever
    /// else they turn up; `names` of the account are none. It is also what
    /// [`Session::take`] hides. `None` when there is nothing to hide.
    pub fn hider(&self, more: Seen, names: &[&str]) -> Option<Arc<Hider>> {
        self.inner.transcript.hider(more, names)
    }

    /// The class of the worst exchange that was not made good by the same request
    /// again, and the longest wait that was asked for; else those of the latest
    /// exchange, `None` when that was no failure.
    pub fn failure(&self) -> Option<Failure> {
        self.inner.transcript.failure()
    }

    /// For how much longer the remote asked to go slower, in answer to any call and
    /// whatever became of it; zero when it did not say, `None` when it did not ask.
    pub fn slower(&self) -> Option<Duration> {
        self.inner.transcript.slower()
    }
}

/// What runs that are not real need.
impl Session {
    /// Writes a request down that is not sent, with the answer that it gets. The
    /// rules of the target hold, as far as they can without resolving names.
    pub(super) fn answer(
        &self,
        request: &FetchRequest,
        effect: Handling,
        answer: Result<FetchResponse, HostCallError>,
    ) -> Result<FetchResponse, HostCallError> {
        let inner = &self.inner;
        let shown = shown_request(request, &inner.policy);
        let recording = inner.transcript.begin(Asked::of(request), shown).not_sent(effect);
        let outcome = match Outgoing::prepare(request, &inner.policy) {
            Ok(_) => answer,
            Err(error) => Err(inner.policy.clean(error)),
        };
        recording.finish(&outcome, &inner.policy);
        outcome
    }

    /// Its rules and secrets.
    pub(super) fn policy(&self) -> &TargetPolicy {
        &self.inner.policy
    }

    /// `text` without secrets, as the log shows it.
    pub(super) fn redact(&self, text: &str) -> String {
        self.inner.policy.redact(text)
    }

    /// A URL as the log shows it.
    pub(super) fn shown_url(&self, url: &str) -> String {
        let mut seen = self.inner.transcript.credentials();
        let shown = shown_url(url, &self.inner.policy, &mut seen);
        without(shown, seen)
    }

    /// The body of a request as a recording has it: not cut.
    pub(super) fn shown_body(&self, request: &FetchRequest) -> Option<String> {
        let body = request.body.as_deref().filter(|body| !body.is_empty())?;
        let text = text_start(body, body.len())?;
        let mut seen = self.inner.transcript.credentials();
        let shown = shown_text(text, Format::of(&request.headers), &self.inner.policy, &mut seen);
        Some(without(shown, seen))
    }
}

fn without(text: String, seen: Seen) -> String {
    match seen.hider(&[]) {
        Some(hider) => hider.text(&text).into_owned(),
        None => text,
    }
}

impl Inner {
    async fn fetch(&self, request: FetchRequest) -> Result<Fetched, HostCallError> {
        // Before it waits: what is over the limits does not wait in memory.
        let prepared = Outgoing::prepare(&request, &self.policy);
        let asked = Asked::of(&request);
        let refused = |error| {
            let error = self.policy.clean(error);
            self.transcript.begin(asked, shown_request(&request, &self.policy)).fail(error.clone());
            error
        };
        let outgoing = prepared.map_err(refused)?;
        let turn = self.turn(&outgoing).await.map_err(refused)?;
        let shown = shown_request(&request, &self.policy);
        let deadline = Deadline::new(Instant::now(), self.policy.limits.request_timeout, self.ends());
        self.follow(outgoing, shown, Call { asked, mode: request.redirect, deadline }, turn).await
    }

    fn ends(&self) -> Option<Instant> {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until fewer calls are in flight, as long as the run lasts.
    async fn turn(&self, outgoing: &Outgoing) -> Result<OwnedSemaphorePermit, HostCallError> {
        let turn = self.turns.clone().acquire_owned();
        let turn = match self.ends() {
            None => turn.await,
            Some(ends) => {
                let until = Instant::now() + share_of(ends.saturating_duration_since(Instant::now()));
                let busy = || {
                    let most = self.policy.limits.concurrent;
                    let host = outgoing.authority();
                    transient(format!("`{host}` was not asked: {most} calls of the run were still in flight"))
                };
                let turn = timeout_at(until, turn).await.map_err(|_| busy())?;
                // Those before it end when the run's time does: a turn that comes of that
                // leaves no time for an answer.
                if until.saturating_duration_since(Instant::now()) < SHORTEST_CALL {
                    return Err(busy());
                }
                turn
            }
        };
        // The semaphore is never closed.
        turn.map_err(|_| permanent("the run has ended"))
    }

    /// Sends the request and goes where the answers send it.
    async fn follow(
        &self,
        mut outgoing: Outgoing,
        mut shown: Shown,
        call: Call,
        turn: OwnedSemaphorePermit,
    ) -> Result<Fetched, HostCallError> {
        let mut hops = 0;
        loop {
            let mut recording = self.transcript.begin(call.asked, shown.clone());
            let hop = match self.hop(&outgoing, call, hops).await {
                Ok(hop) => hop,
                Err(error) => {
                    recording.fail(error.clone());
                    return Err(error);
                }
            };
            recording.answered(&hop.response, &self.policy);
            let Hop { response, rest, next } = hop;
            if let Some(rest) = rest {
                return Ok(Fetched { response, rest: Some(rest.stream(recording, turn)) });
            }
            recording.complete();
            let Some(to) = next else { return Ok(response.into()) };
            let answer = redirect::Answer { status: response.status, to: to.clone(), mode: call.mode };
            if let Err(error) = redirect::follow(&mut outgoing, answer, &self.policy) {
                return Err(self.refuse_hop(call.asked, shown, &to, error));
            }
            self.show_hop(&mut shown, &outgoing);
            hops += 1;
        }
    }

    async fn hop(&self, outgoing: &Outgoing, call: Call, hops: usize) -> Result<Hop, HostCallError> {
        let missed = |_| Err(call.deadline.missed(&outgoing.authority()));
        let exchanged = timeout_at(call.deadline.at, self.exchange(outgoing, call, hops)).await;
        exchanged.unwrap_or_else(missed).map_err(|error| self.policy.clean(error))
    }

    /// One request and its answer.
    async fn exchange(&self, outgoing: &Outgoing, call: Call, hops: usize) -> Result<Hop, HostCallError> {
        let limits = &self.policy.limits;
        let response = self.send(outgoing).await?;
        let head = for_logic(&response, outgoing, hops > 0, &self.policy);
        let said = said(&head);
        check_head(&response, limits).map_err(|error| by_status(error, said))?;
        let target = redirect::target(response.status(), response.headers(), &outgoing.url);
        let next = match (target, call.mode) {
            (None, _) | (Some(_), Redirect::Manual) => None,
            (Some(_), Redirect::Error) => {
                return Err(permanent("the answer is a redirect, which the request forbids"));
            }
            (Some(_), _) if hops >= limits.redirects => {
                return Err(permanent(format!("more than {} redirects", limits.redirects)));
            }
            (Some(to), _) => Some(to?),
        };
        let with = |body, rest, next| Hop { response: FetchResponse { body, ..head }, rest, next };
        if next.is_some() && !is_short(response.headers()) {
            return Ok(with(Bytes::new(), None, next));
        }
        let mut body = Incoming::new(response, outgoing, said, self.policy.clone(), call.deadline)?;
        if next.is_some() {
            return Ok(with(body.whole().await?, None, next));
        }
        let (start, is_all) = body.start().await?;
        Ok(with(start, (!is_all).then_some(body), None))
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Response, HostCallError> {
        let policy = &*self.policy;
        let port = outgoing.url.port_or_known_default().unwrap_or_default();
        let client = policy
            .clients
            .get(&self.lookup, &policy.allow, port, &policy.limits)
            .map_err(|error| failure::of_setup(&error))?;
        let mut request = reqwest::Request::new(outgoing.method.clone(), outgoing.url.clone());
        *request.headers_mut() = outgoing.headers.clone();
        // A packed answer would need limits of its own.
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        *request.body_mut() = outgoing.body.clone().map(Into::into);
        let sent = client.execute(request).await;
        sent.map_err(|error| failure::of_client(&error, &outgoing.authority()))
    }

    /// The request of the next hop as the log shows it.
    fn show_hop(&self, shown: &mut Shown, outgoing: &Outgoing) {
        let Shown { request: shown, long, seen } = shown;
        shown.method = outgoing.method.to_string();
        shown.url = kept(&shown_url(outgoing.url.as_str(), &self.policy, seen));
        shown.headers.retain(|(name, _)| redirect::still_has(outgoing, name));
        if outgoing.body.is_none() {
            shown.body = None;
            *long = None;
        }
    }

    /// Writes down a redirect that was not followed.
    fn refuse_hop(&self, asked: Asked, mut shown: Shown, to: &Url, error: HostCallError) -> HostCallError {
        let error = self.policy.clean(error);
        shown.request.url = kept(&shown_url(to.as_str(), &self.policy, &mut shown.seen));
        shown.request.headers.clear();
        shown.request.body = None;
        shown.long = None;
        self.transcript.begin(asked, shown).fail(error.clone());
        error
    }
}
