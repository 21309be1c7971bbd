//! An earlier run again, offline: each request gets the answer that the same
//! request got then. Nothing is sent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{StatusCode, Url};
use serde::Serialize;

use super::dry_run::{Script, is_read};
use super::failure::permanent;
use super::recorded::Body;
use super::rest::{Rest, StoredRest};
use super::session::Session;
use super::transcript::Failure;
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

    /// As [`Session::last_failure`].
    pub fn last_failure(&self) -> Option<Failure> {
        self.inner.session.last_failure()
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
        while let (Redirect::Follow, Some(to)) = (request.redirect, self.redirect(place)) {
            let leads_there = |recorded: &Recorded| is_same_url(&recorded.exchange.request.url, &to);
            let next = if again {
                (place + 1..self.recorded.len()).find(|at| leads_there(&self.recorded[*at]))
            } else {
                self.recorded.iter().position(|recorded| !recorded.used && leads_there(recorded))
            };
            let Some(next) = next.filter(|_| hops < REDIRECTS) else {
                return Err(permanent(format!("no recorded answer for the redirect to {to}")));
            };
            self.recorded[next].used = true;
            (place, hops) = (next, hops + 1);
        }
        self.recorded[place].answer(hops > 0)
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
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::egress::{AllowList, Egress, ScriptedAnswer, TargetPolicy};
    use crate::security::NamedSecret;

    fn replay(exchanges: Value, rest: Value) -> (Replay, Arc<TargetPolicy>) {
        let secrets = vec![NamedSecret::new("token", "hunter22")];
        let policy = Arc::new(TargetPolicy::new(AllowList::default(), secrets));
        let exchanges = serde_json::from_value(exchanges).unwrap();
        let rest = serde_json::from_value(rest).unwrap();
        let session = Egress::new().session(policy.clone());
        (Replay::new(session, exchanges, &rest, Script::default()), policy)
    }

    fn exchange(method: &str, url: &str, status: u16, body: &str) -> Value {
        let headers = [["location", "/next"], ["x-echo", "[secret:token]"]];
        json!({
            "atMs": 0, "durationMs": 1, "request": { "method": method, "url": url, "headers": [] },
            "response": { "status": status, "headers": headers, "body": body },
        })
    }

    fn fetch(replay: &Replay, method: &str, url: &str) -> Result<FetchResponse, HostCallError> {
        replay.inner.fetch(&FetchRequest {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            redirect: Redirect::Follow,
            effect: None,
        })
    }

    #[test]
    fn redirects_go_where_they_went() {
        let first = exchange("POST", "https://a.example/users?k=[secret:token]", 303, "");
        let next = exchange("GET", "https://a.example/next", 200, "there");
        let (replay, policy) = replay(json!([first, next]), json!({}));
        let handle = policy.handles()["token"].clone();
        let answer = fetch(&replay, "POST", &format!("https://a.example/users?k={handle}")).unwrap();
        assert_eq!((answer.status, answer.redirected, &answer.body[..]), (200, true, &b"there"[..]));
        assert!(answer.headers.contains(&("x-echo".into(), handle)), "logic gets its handle back");
        assert_eq!(replay.differences(), []);
    }

    #[test]
    fn what_the_log_hides_of_an_address_is_no_difference() {
        let first = exchange("GET", "https://a.example/users?access_token=[hidden]", 302, "");
        let mut next = exchange("GET", "https://a.example/next?access_token=[hidden]", 200, "there");
        next["response"]["headers"] = json!([]);
        let mut first = first;
        first["response"]["headers"] = json!([["location", "/next?access_token=[hidden]"]]);
        let (replay, _) = replay(json!([first, next]), json!({}));
        let answer = fetch(&replay, "GET", "https://a.example/users?access_token=new").unwrap();
        assert_eq!(&answer.body[..], b"there");
        assert_eq!(replay.differences(), []);
    }

    #[test]
    fn a_read_that_was_redirected_can_be_made_again() {
        let hops = |first: &str| {
            let at = |path: &str| format!("https://a.example{path}");
            [exchange("GET", &at(first), 302, ""), exchange("GET", &at("/next"), 200, first)]
        };
        let (replay, _) = replay(json!([hops("/one"), hops("/two")].concat()), json!({}));
        let body =
            |path| fetch(&replay, "GET", &format!("https://a.example{path}")).map(|answer| answer.body);
        for path in ["/one", "/two", "/two", "/one", "/one"] {
            assert_eq!(body(path), Ok(path.into()), "{path}");
        }
        let kinds: Vec<_> = replay.differences().iter().map(|difference| difference.kind).collect();
        assert_eq!(kinds, [DifferenceKind::Repeated; 3]);
        // What leads there again is no other answer.
        let (replay, _) =
            self::replay(json!([exchange("GET", "https://a.example/loop", 302, "")]), json!({}));
        assert!(fetch(&replay, "GET", "https://a.example/loop").is_err());
    }

    #[test]
    fn answers_come_in_their_order_and_reads_again() {
        let (url, other) = ("https://a.example/users/1", "https://a.example/users/2");
        let put = |status| exchange("PUT", url, status, "");
        let (replay, _) = replay(json!([put(503), put(200), exchange("GET", url, 200, "one")]), json!({}));
        assert_eq!(fetch(&replay, "PUT", url).unwrap().status, 503);
        assert_eq!(fetch(&replay, "PUT", url).unwrap().status, 200);
        let missed = fetch(&replay, "PUT", url).unwrap_err();
        assert_eq!(missed.message, format!("no recorded answer for PUT {url}"));
        assert!(fetch(&replay, "GET", url).is_ok() && fetch(&replay, "GET", url).is_ok());
        assert!(fetch(&replay, "GET", other).is_err());
        let kinds: Vec<_> = replay.differences().iter().map(|difference| difference.kind).collect();
        use DifferenceKind::{NotRecorded, Repeated};
        assert_eq!(kinds, [NotRecorded, Repeated, NotRecorded]);
    }

    #[test]
    fn a_request_that_a_script_answers_was_made() {
        let url = "https://a.example/users/1";
        let (replay, _) = replay(json!([exchange("PUT", url, 503, "")]), json!({}));
        let answer = ScriptedAnswer {
            method: None,
            url: None,
            status: 200,
            headers: vec![],
            body: Bytes::new(),
            times: 1,
        };
        replay.inner.state().script = vec![answer].into();
        assert_eq!(fetch(&replay, "PUT", url).unwrap().status, 200);
        assert_eq!(replay.differences(), []);
    }

    #[test]
    fn what_was_not_kept_whole_is_no_answer() {
        let url = "https://a.example/";
        let binary = exchange("GET", url, 200, "<7 bytes>");
        let long = exchange("GET", "https://a.example/long", 200, "abc… <9999 bytes>");
        let lost = exchange("GET", "https://a.example/lost", 200, "abc… <99999 bytes>");
        let rest = json!({ "bodies": { "1": { "response": "abcdef" }, "2": { "response": "" } } });
        let (replay, _) = replay(json!([binary, long, lost]), rest);
        let message = |url| fetch(&replay, "GET", url).unwrap_err().message;
        assert_eq!(message(url), "the recorded answer of GET https://a.example/ was not kept whole");
        assert!(message("https://a.example/lost").ends_with("was not kept whole"));
        assert_eq!(&fetch(&replay, "GET", "https://a.example/long").unwrap().body[..], b"abcdef");
    }
}
