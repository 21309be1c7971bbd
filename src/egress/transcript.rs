//! What a run said to the outside and what it heard, as the log keeps it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::hide::{self, Format};
use super::policy::TargetPolicy;
use super::request::is_forbidden;
use super::response::failure_of;
use super::rest::{LONGEST, Long, LongBodies, Rest};
use crate::domain::host_call::{
    Exchange, ExchangeRequest, ExchangeResponse, FetchRequest, FetchResponse, Handling, HostCallError,
};
use crate::domain::status::ErrorClass;

/// Bytes of a body, a URL or a header value that the log keeps.
pub(super) const BODY_KEPT: usize = 4096;
/// Bytes of the longest form of a secret: each of its bytes may take three.
const LONGEST_SECRET: usize = 3 * 16_384;
/// Header fields that the log keeps.
const HEADERS_KEPT: usize = 100;
/// The first and the latest exchanges are kept, this many of each: the first
/// show how it began and the latest why it ended as it did.
const KEPT_EACH: usize = 25;

/// The class of a failed exchange, and how long the remote asked to wait.
pub type Failure = (ErrorClass, Option<Duration>);

/// The exchanges of one run.
pub(super) struct Transcript {
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    first: Vec<Noted>,
    latest: VecDeque<Noted>,
    left_out: usize,
    /// Bytes of long bodies that are kept.
    long: usize,
    last_failure: Option<Failure>,
}

/// An exchange, and what the log does not show of it.
struct Noted {
    exchange: Exchange,
    long: LongBodies,
}

/// A request as the log shows it, and what the log does not show of it.
#[derive(Clone)]
pub(super) struct Shown {
    pub request: ExchangeRequest,
    pub long: Option<Long>,
}

impl Transcript {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), state: Mutex::default() }
    }

    /// Begins an exchange. It is written down when it finishes, or as abandoned
    /// when the run ends before it does.
    pub(super) fn begin(self: &Arc<Self>, request: Shown) -> Recording {
        Recording {
            transcript: self.clone(),
            began: Instant::now(),
            request: Some(request),
            answer: None,
            effect: None,
        }
    }

    /// The exchanges that were kept, in the order they finished, and what the
    /// log leaves out of them.
    pub(super) fn take(&self) -> (Vec<Exchange>, Rest) {
        let mut state = self.state();
        let mut noted = std::mem::take(&mut state.first);
        noted.extend(std::mem::take(&mut state.latest));
        state.long = 0;
        let (exchanges, bodies) = noted.into_iter().map(|noted| (noted.exchange, noted.long)).unzip();
        (exchanges, Rest { bodies, left_out: state.left_out })
    }

    /// How many were not kept.
    pub(super) fn left_out(&self) -> usize {
        self.state().left_out
    }

    /// Of the latest answer, or of what went wrong since.
    pub(super) fn last_failure(&self) -> Option<Failure> {
        self.state().last_failure
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, exchange: Exchange, long: LongBodies) {
        if self.first.len() == KEPT_EACH && self.latest.len() == KEPT_EACH {
            let oldest = self.latest.pop_front();
            self.long -= oldest.map_or(0, |oldest| oldest.long.size());
            self.left_out += 1;
        }
        let noted = Noted { exchange, long: long.within_limits(self.long) };
        self.long += noted.long.size();
        if self.first.len() < KEPT_EACH {
            self.first.push(noted);
        } else {
            self.latest.push_back(noted);
        }
    }
}

/// An exchange under way.
pub(super) struct Recording {
    transcript: Arc<Transcript>,
    began: Instant,
    request: Option<Shown>,
    answer: Option<Answer>,
    effect: Option<Handling>,
}

/// What of an answer has come.
struct Answer {
    /// The head, and the beginning of the body.
    response: FetchResponse,
    body: Received,
    /// What its status says.
    failure: Option<Failure>,
    policy: Arc<TargetPolicy>,
}

/// How much of a body has come.
#[derive(Clone, Copy)]
pub(super) struct Received {
    pub bytes: usize,
    pub whole: bool,
}

impl Received {
    /// All of a body.
    pub(super) const fn whole(body: &[u8]) -> Self {
        Self { bytes: body.len(), whole: true }
    }
}

/// `7 bytes`, and whether there would have been more.
impl std::fmt::Display for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} bytes{}>", self.bytes, if self.whole { "" } else { " read of more" })
    }
}

impl Recording {
    /// Notes that the request is not sent, and where its answer comes from.
    pub(super) fn not_sent(mut self, effect: Handling) -> Self {
        self.effect = Some(effect);
        self
    }

    /// Writes down how it ended, with a whole body.
    pub(super) fn finish(
        mut self,
        outcome: &Result<FetchResponse, HostCallError>,
        policy: &Arc<TargetPolicy>,
    ) {
        match outcome {
            Ok(response) => {
                self.answered(response, policy);
                self.complete();
            }
            Err(error) => self.fail(error.clone()),
        }
    }

    /// Notes the head and the beginning of the body. What its status says of the
    /// run counts from now on: the body may never be read to its end.
    pub(super) fn answered(&mut self, response: &FetchResponse, policy: &Arc<TargetPolicy>) {
        let failure = failure_of(response);
        self.transcript.state().last_failure = failure;
        let body = Received { bytes: response.body.len(), whole: false };
        self.answer = Some(Answer { response: response.clone(), body, failure, policy: policy.clone() });
    }

    /// Notes more of the body.
    pub(super) fn add(&mut self, part: &[u8]) {
        let Some(Answer { response, body, .. }) = &mut self.answer else { return };
        body.bytes += part.len();
        let room = LONGEST.saturating_sub(response.body.len()).min(part.len());
        if room > 0 {
            let mut start = BytesMut::from(std::mem::take(&mut response.body));
            start.extend_from_slice(&part[..room]);
            response.body = start.freeze();
        }
    }

    /// Writes it down: the body has come to its end.
    pub(super) fn complete(mut self) {
        if let Some(answer) = &mut self.answer {
            answer.body.whole = true;
        }
        self.write(None);
    }

    /// Writes it down: this went wrong.
    pub(super) fn fail(mut self, error: HostCallError) {
        self.write(Some(error));
    }

    fn write(&mut self, error: Option<HostCallError>) {
        let Some(request) = self.request.take() else { return };
        let answer = self.answer.take();
        let failed = error.as_ref().map(|error| (error.class, error.retry_after));
        let failure = failed.or_else(|| answer.as_ref()?.failure);
        let (response, long) = answer.map(Answer::shown).unzip();
        let exchange = Exchange {
            at_ms: millis(self.began - self.transcript.started),
            duration_ms: millis(self.began.elapsed()),
            request: request.request,
            response,
            error: error.map(|error| error.message),
            error_class: failure.map(|(class, _)| class),
            retry_after: failure.and_then(|(_, wait)| wait).map(|wait| wait.as_secs()),
            effect: self.effect,
        };
        let mut state = self.transcript.state();
        state.last_failure = failed.or(state.last_failure);
        state.add(exchange, LongBodies { request: request.long, response: long.flatten() });
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let error = self.answer.is_none().then(|| HostCallError {
            class: ErrorClass::Transient,
            message: "abandoned: the run ended before there was an answer".into(),
            retry_after: None,
        });
        self.write(error);
    }
}

impl Answer {
    /// As the log shows it, and what it does not show of it.
    fn shown(self) -> (ExchangeResponse, Option<Long>) {
        let Self { response: FetchResponse { status, headers, body: mut start, .. }, body, policy, .. } =
            self;
        if !body.whole {
            start.truncate(without_part_of_character(&start));
        }
        let shown = ExchangeResponse {
            status,
            headers: shown_headers(headers.iter(), &policy),
            body: shown_body(&start, body, &headers, &policy),
        };
        (shown, Long::of(&start, body, &headers))
    }
}

/// The length without a character at the end that is not there to its own end.
fn without_part_of_character(text: &[u8]) -> usize {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => text.len(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The request as the log shows it: made from what logic asked for, which holds
/// handles. Values are looked for all the same.
pub(super) fn shown_request(request: &FetchRequest, policy: &TargetPolicy) -> Shown {
    let long = request.body.as_ref().and_then(|body| Long::of(body, Received::whole(body), &request.headers));
    let request = ExchangeRequest {
        method: kept(&policy.redact(&request.method)),
        url: kept(&shown_url(&request.url, policy)),
        headers: shown_headers(request.headers.iter().filter(|(name, _)| !is_forbidden(name)), policy),
        body: request
            .body
            .as_ref()
            .and_then(|body| shown_body(body, Received::whole(body), &request.headers, policy)),
    };
    Shown { request, long }
}

fn shown_headers<'a>(
    headers: impl Iterator<Item = &'a (String, String)>,
    policy: &TargetPolicy,
) -> Vec<(String, String)> {
    let shown = |(name, value): &(String, String)| {
        let labelled = policy.handles.label_header(value);
        let value = policy.hide.redact(&labelled);
        let shown_name = policy.hide_in_names.redact(name);
        let value = policy.handles.label(&value);
        (kept(&policy.handles.label(&shown_name)), kept(&hide::header(name, &value)))
    };
    headers.take(HEADERS_KEPT).map(shown).collect()
}

/// What the log keeps of a text. A request is shown before it is checked, so
/// it may be of any length and hold a NUL, which PostgreSQL cannot store.
pub(super) fn kept(text: &str) -> String {
    let end = text.floor_char_boundary(BODY_KEPT);
    let ellipsis = if end < text.len() { "…" } else { "" };
    format!("{}{ellipsis}", &text[..end]).replace('\0', "\u{fffd}")
}

/// `None` for an empty body; its size for one that is not text, or that holds
/// a NUL, which PostgreSQL cannot store. `body` may be its beginning only.
fn shown_body(
    body: &[u8],
    received: Received,
    headers: &[(String, String)],
    policy: &TargetPolicy,
) -> Option<String> {
    if body.is_empty() {
        return None;
    }
    let Some(text) = text_start(body, BODY_KEPT) else { return Some(received.to_string()) };
    // A secret at the end is found before it is cut, and so is what says that
    // something before it is a credential. What was hidden makes room: not for
    // a secret that is cut itself.
    let more = text_start(body, BODY_KEPT + LONGEST_SECRET).unwrap_or(text);
    let mut shown = shown_text(more, Format::of(headers), policy);
    if text.len() < received.bytes || !received.whole {
        let unsure = if more.len() < body.len() { LONGEST_SECRET } else { 0 };
        let certain = shown.len().saturating_sub(unsure).min(BODY_KEPT);
        shown.truncate(shown.floor_char_boundary(certain));
        shown.push_str(&format!("… {received}"));
    }
    Some(shown)
}

/// A body's text without secrets and other credentials.
pub(super) fn shown_text(text: &str, format: Format, policy: &TargetPolicy) -> String {
    hide::body(&policy.redact(text), format)
}

/// A URL likewise.
pub(super) fn shown_url(url: &str, policy: &TargetPolicy) -> String {
    hide::url(&policy.redact(url))
}

/// The first `limit` bytes, less the part of a character at the end; `None`
/// when they are no text, or hold a NUL.
pub(super) fn text_start(body: &[u8], limit: usize) -> Option<&str> {
    let start = &body[..body.len().min(limit)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && start.len() < body.len() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::host_call::Redirect;
    use crate::egress::AllowList;
    use crate::security::NamedSecret;

    fn shown(body: &[u8]) -> Option<String> {
        shown_body(body, Received::whole(body), &[], &policy())
    }

    fn policy() -> TargetPolicy {
        TargetPolicy::new(AllowList::default(), vec![NamedSecret::new("token", "correct horse")])
    }

    fn request(url: &str) -> Shown {
        let (method, url) = ("GET".to_owned(), url.to_owned());
        Shown { request: ExchangeRequest { method, url, headers: Vec::new(), body: None }, long: None }
    }

    #[test]
    fn bodies_are_text_up_to_a_limit() {
        assert_eq!(shown(b""), None);
        assert_eq!(shown("é".as_bytes()), Some("é".to_owned()));
        assert_eq!(shown(&[0xff, 0xfe]), Some("<2 bytes>".to_owned()));
        assert_eq!(shown(b"a\0b"), Some("<3 bytes>".to_owned()));
        let long = format!("a{}", "é".repeat(3000));
        let cut = shown(long.as_bytes()).unwrap();
        assert_eq!(cut, format!("a{}… <6001 bytes>", "é".repeat(2047)));
    }

    #[test]
    fn an_answer_that_was_not_read_to_its_end_says_so() {
        let transcript = Arc::new(Transcript::new());
        let policy = Arc::new(policy());
        let mut recording = transcript.begin(request("x"));
        let response = FetchResponse {
            status: 503,
            status_text: String::new(),
            url: "x".into(),
            redirected: false,
            headers: vec![("retry-after".into(), "7".into())],
            body: "one ".into(),
        };
        recording.answered(&response, &policy);
        recording.add("two é".as_bytes().split_last().unwrap().1);
        let late = transcript.begin(request("y"));
        let failure = Some((ErrorClass::Transient, Some(Duration::from_secs(7))));
        assert_eq!(transcript.last_failure(), failure);
        late.finish(&Ok(FetchResponse { status: 200, headers: Vec::new(), ..response }), &policy);
        drop(recording);
        assert_eq!(transcript.last_failure(), None, "the later answer counts");
        let (exchanges, rest) = transcript.take();
        let shown = exchanges[1].response.as_ref().unwrap();
        assert_eq!(shown.body.as_deref(), Some("one two … <9 bytes read of more>"));
        assert_eq!((exchanges[1].retry_after, exchanges[1].error.as_deref()), (Some(7), None));
        assert_eq!(rest.store(&policy).response(1), Some("one two "));
    }

    #[test]
    fn a_secret_is_found_where_a_body_is_cut() {
        let body = format!("{}correct horse", "x".repeat(BODY_KEPT - 7));
        let cut = shown(body.as_bytes()).unwrap();
        assert!(cut.ends_with("x[secret… <4102 bytes>"), "{cut}");
    }

    #[test]
    fn values_are_found_in_requests_too() {
        let request = FetchRequest {
            method: "POST".to_owned(),
            url: "https://a.example/?k=correct%20horse".to_owned(),
            headers: vec![("x-key".to_owned(), "a correct horse".to_owned())],
            body: Some("{\"k\":\"correct horse\"}".into()),
            redirect: Redirect::Follow,
            effect: None,
        };
        let shown = shown_request(&request, &policy()).request;
        assert_eq!(shown.url, "https://a.example/?k=[secret:token]");
        assert_eq!(shown.headers[0].1, "a [secret:token]");
        assert_eq!(shown.body.as_deref(), Some("{\"k\":\"[secret:token]\"}"));
    }

    #[test]
    fn credentials_are_hidden_by_their_place() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = FetchRequest {
            method: "POST".to_owned(),
            url: "https://a.example/?k=hello&access_token=P".to_owned(),
            headers: vec![field("content-type", "text/xml")],
            body: Some("<a><password>P</password></a>".into()),
            redirect: Redirect::Follow,
            effect: None,
        };
        let shown = shown_request(&request, &policy()).request;
        assert_eq!(shown.url, "https://a.example/?k=hello&access_token=[hidden]");
        assert_eq!(shown.body.as_deref(), Some("<a><password>[hidden]</password></a>"));
        let location = [field("location", "/next?token=P")];
        assert_eq!(shown_headers(location.iter(), &policy()), [field("location", "/next?token=[hidden]")]);
    }

    #[test]
    fn what_is_hidden_in_a_long_body_is_known_from_behind_the_cut() {
        let value = "P".repeat(BODY_KEPT);
        let body = format!(r#"{{"op":"replace","value":"{value}","path":"password"}}"#);
        let cut = shown(body.as_bytes()).unwrap();
        assert!(!cut.contains('P'), "{cut}");
        // A long password makes room for what lies behind it, but not for half a secret.
        let long = "P".repeat(BODY_KEPT + LONGEST_SECRET - 100);
        let body = format!(r#"{{"password":"{long}","b":"{}correct horse"}}"#, "x".repeat(69));
        let cut = shown(body.as_bytes()).unwrap();
        assert!(!cut.contains("correct") && cut.ends_with(" bytes>"), "{cut}");
        // Short bodies are shown whole, also where labels make them longer.
        let body = format!("{}correct horse", "x".repeat(BODY_KEPT - 13));
        assert!(shown(body.as_bytes()).unwrap().ends_with("x[secret:token]"));
    }

    #[test]
    fn what_is_kept_can_be_stored() {
        assert_eq!(kept("a\0b"), "a\u{fffd}b");
        assert_eq!(kept(&"é".repeat(3000)), format!("{}…", "é".repeat(2048)));
    }

    #[test]
    fn the_middle_of_many_exchanges_is_left_out() {
        let transcript = Arc::new(Transcript::new());
        for number in 0..60 {
            drop(transcript.begin(request(&number.to_string())));
        }
        assert_eq!(transcript.left_out(), 10);
        let urls: Vec<_> = transcript.take().0.into_iter().map(|exchange| exchange.request.url).collect();
        assert_eq!(urls.len(), 50);
        assert_eq!((urls[24].as_str(), urls[25].as_str(), urls[49].as_str()), ("24", "35", "59"));
    }

    #[test]
    fn an_exchange_that_is_dropped_is_written_down() {
        let transcript = Arc::new(Transcript::new());
        drop(transcript.begin(request("x")));
        assert_eq!(transcript.last_failure(), Some((ErrorClass::Transient, None)));
        assert!(transcript.take().0[0].error.as_deref().unwrap().starts_with("abandoned"));
    }
}
