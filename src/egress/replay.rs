//! An earlier run again, offline: each request gets the answer that the same
//! request got then. Nothing is sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::{StatusCode, Url};
use serde::Serialize;

use super::dry_run::{Script, is_read};
use super::failure::permanent;
use super::failures::Failure;
use super::hide::{Hider, Seen};
use super::recorded::Body;
use super::redirect;
use super::rest::{Rest, StoredRest};
use super::session::Session;
use crate::domain::host_call::{
    Exchange, ExchangeResponse, FetchRequest, FetchResponse, Fetched, Handling, HostCallError,
    HostCallFuture, HostCalls, KeyInfo, KeyRequest, Redirect, SignRequest,
};
use crate::domain::status::ErrorClass;

/// Redirects followed in one call.
const REDIRECTS: usize = 10;

/// In what a request differed from the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// What kind it is.
    pub kind: DifferenceKind,
    /// Method and URL, secrets removed.
    pub request: String,
    /// The body then, where it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
    /// The body now, where it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<String>,
}

/// The kinds of [`Difference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DifferenceKind {
    /// The same request with another body.
    Body,
    /// A request that was not made then, and has no answer.
    NotRecorded,
    /// A read that was made more often; it got its last answer again.
    Repeated,
    /// A request of then that was not made now.
    NotMade,
}

/// The way out of a replay, which leads nowhere.
#[derive(Clone)]
pub struct Replay {
    inner: Arc<Inner>,
}

struct Inner {
    session: Session,
    state: Mutex<State>,
}

struct State {
    recorded: Vec<Recorded>,
    script: Script,
    differences: Vec<Difference>,
}

struct Recorded {
    exchange: Exchange,
    request_body: Body,
    response_body: Body,
    used: bool,
}

impl HostCalls for Replay {
    fn begin(&self, ends: Instant) {
        self.inner.session.begin(ends);
    }

    fn end(&self) {
        self.inner.session.end();
    }

    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        let answer = self.inner.fetch(&request).map(Fetched::from);
        Box::pin(std::future::ready(answer))
    }

    fn inspect_key(&self, request: KeyRequest) -> HostCallFuture<KeyInfo> {
        self.inner.session.inspect_key(request)
    }

    fn sign(&self, request: SignRequest) -> HostCallFuture<Bytes> {
        self.inner.session.sign(request)
    }
}

impl Replay {
    /// Of what the log has of a run and what it left out.
    pub fn new(session: Session, exchanges: Vec<Exchange>, rest: &StoredRest, script: Script) -> Self {
        let recorded = exchanges.into_iter().enumerate().map(|(place, exchange)| {
            let logged = exchange.response.as_ref().and_then(|response| response.body.as_deref());
            Recorded {
                request_body: Body::of(exchange.request.body.as_deref(), rest.request(place)),
                response_body: Body::of(logged, rest.response(place)),
                exchange,
                used: false,
            }
        });
        let state = State { recorded: recorded.collect(), script, differences: Vec::new() };
        Self { inner: Arc::new(Inner { session, state: Mutex::new(state) }) }
    }

    /// As [`Session::take`].
    pub fn take(&self) -> (Vec<Exchange>, Rest) {
        self.inner.session.take()
    }

    /// As [`Session::hider`].
    pub fn hider(&self, more: Seen, names: &[&str]) -> Option<Arc<Hider>> {
        self.inner.session.hider(more, names)
    }

    /// As [`Session::failure`].
    pub fn failure(&self) -> Option<Failure> {
        self.inner.session.failure()
    }

    /// In what the requests differed from those of the recording, in their order;
    /// last, those that were not made.
    pub fn differences(&self) -> Vec<Difference> {
        let state = self.inner.state();
        let unused = state.recorded.iter().filter(|recorded| !recorded.used);
        let not_made = unused.map(|recorded| {
            let request = format!("{} {}", recorded.exchange.request.method, recorded.exchange.request.url);
            Difference { kind: DifferenceKind::NotMade, request, recorded: None, replayed: None }
        });
        state.differences.iter().cloned().chain(not_made).collect()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetch(&self, request: &FetchRequest) -> Result<FetchResponse, HostCallError> {
        let mut state = self.state();
        let url = self.session.shown_url(&request.url);
        if let Some(answer) = state.script.answer(request, &self.session.redact(&request.url)) {
            // It was made again, whoever answers it now.
            if let Some(place) = state.find(&request.method, &url, false) {
                state.recorded[place].used = true;
            }
            return self.session.answer(request, Handling::Scripted, Ok(answer));
        }
        let body = self.session.shown_body(request);
        let answer = state.answer(request, &url, body).map(|answer| self.as_seen(answer));
        self.session.answer(request, Handling::Replayed, answer)
    }

    /// With handles again in place of labels.
    fn as_seen(&self, mut answer: FetchResponse) -> FetchResponse {
        let unlabel = |text: &str| self.session.policy().unlabel(text);
        answer.url = unlabel(&answer.url);
        for (name, value) in &mut answer.headers {
            (*name, *value) = (unlabel(name), unlabel(value));
        }
        answer.body = unlabel(&String::from_utf8_lossy(&answer.body)).into();
        answer
    }
}

impl State {
    fn answer(
        &mut self,
        request: &FetchRequest,
        url: &str,
        body: Option<String>,
    ) -> Result<FetchResponse, HostCallError> {
        let name = format!("{} {url}", request.method);
        let differs =
            |kind, recorded, replayed| Difference { kind, request: name.clone(), recorded, replayed };
        let Some(place) = self.find(&request.method, url, is_read(request)) else {
            self.differences.push(differs(DifferenceKind::NotRecorded, None, body));
            return Err(permanent(format!("no recorded answer for {name}")));
        };
        let recorded = &mut self.recorded[place];
        let again = std::mem::replace(&mut recorded.used, true);
        if again {
            self.differences.push(differs(DifferenceKind::Repeated, None, None));
        } else if !recorded.request_body.is(body.as_deref()) {
            let then = recorded.request_body.text().map(str::to_owned);
            self.differences.push(differs(DifferenceKind::Body, then, body));
        }
        self.follow(request, place, again)
    }

    /// The next recorded exchange of that method and URL; for a read, the last
    /// one again when there is none left.
    fn find(&self, method: &str, url: &str, again: bool) -> Option<usize> {
        let same = |recorded: &Recorded| {
            recorded.exchange.request.method == method && is_same_url(&recorded.exchange.request.url, url)
        };
        let next = self.recorded.iter().position(|recorded| !recorded.used && same(recorded));
        next.or_else(|| self.recorded.iter().rposition(same).filter(|_| again))
    }

    /// Each hop of a redirect was recorded as an exchange of its own. A read that
    /// is answered `again` takes the way that it took before.
    fn follow(
        &mut self,
        request: &FetchRequest,
        place: usize,
        again: bool,
    ) -> Result<FetchResponse, HostCallError> {
        let (mut place, mut hops) = (place, 0);
        let is_followed = matches!(request.redirect, Redirect::Follow | Redirect::Unsaid);
        while let Some(to) = self.redirect(place).filter(|_| is_followed) {
            let leads_there = |recorded: &Recorded| is_same_url(&recorded.exchange.request.url, &to);
            let next = if again {
                (place + 1..self.recorded.len()).find(|at| leads_there(&self.recorded[*at]))
            } else {
                self.recorded.iter().position(|recorded| !recorded.used && leads_there(recorded))
            };
            let (method, status) = (self.recorded[place].exchange.request.method.clone(), self.status(place));
            if let Some(refused) = redirect::unasked(&method, status, request.redirect, &to) {
                // Then it was refused as well, and is on record.
                if let Some(next) = next.filter(|next| self.status(*next) == 0) {
                    self.recorded[next].used = true;
                }
                return Err(refused);
            }
            let Some(next) = next.filter(|_| hops < REDIRECTS) else {
                return Err(permanent(format!("no recorded answer for the redirect to {to}")));
            };
            self.recorded[next].used = true;
            (place, hops) = (next, hops + 1);
        }
        self.recorded[place].answer(hops > 0)
    }

    /// 0 when there was no answer.
    fn status(&self, place: usize) -> u16 {
        self.recorded[place].exchange.response.as_ref().map_or(0, |response| response.status)
    }

    fn redirect(&self, place: usize) -> Option<String> {
        let exchange = &self.recorded[place].exchange;
        let response = exchange.response.as_ref()?;
        let location = response.headers.iter().find(|(name, _)| name == "location")?;
        let base = Url::parse(&exchange.request.url).ok()?;
        let is_redirect = matches!(response.status, 301 | 302 | 303 | 307 | 308);
        base.join(&location.1).ok().filter(|_| is_redirect).map(String::from)
    }
}

impl Recorded {
    fn answer(&self, redirected: bool) -> Result<FetchResponse, HostCallError> {
        let Exchange { request, response, error, error_class, retry_after, .. } = &self.exchange;
        // An answer that broke off fails as a whole.
        let Some(ExchangeResponse { status, headers, .. }) = response.as_ref().filter(|_| error.is_none())
        else {
            return Err(HostCallError {
                class: error_class.unwrap_or(ErrorClass::Transient),
                message: error.clone().unwrap_or_default(),
                retry_after: retry_after.map(Duration::from_secs),
            });
        };
        if self.response_body == Body::Lost {
            let lost =
                format!("the recorded answer of {} {} was not kept whole", request.method, request.url);
            return Err(permanent(lost));
        }
        let body = self.response_body.text().unwrap_or_default();
        let reason = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
        Ok(FetchResponse {
            status: *status,
            status_text: reason.unwrap_or_default().to_owned(),
            url: request.url.clone(),
            redirected,
            headers: headers.clone(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }
}

/// The log cuts long URLs.
fn is_same_url(recorded: &str, url: &str) -> bool {
    recorded == url || recorded.strip_suffix('…').is_some_and(|start| url.starts_with(start))
}

#[cfg(test)]
mod tests;
