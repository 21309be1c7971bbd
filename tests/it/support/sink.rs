//! A target that remembers: an HTTP server on a free loopback port that records
//! every call and answers as the test says.
//!
//! It runs on threads of its own, so that neither a busy nor a blocked test
//! delays it and the recorded times are those of the calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

/// One call that the sink got.
#[derive(Debug, Clone)]
pub struct Call {
    /// Upper-case method.
    pub method: String,
    /// Path with the query.
    pub path: String,
    /// Names are lower-case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: web::Bytes,
    /// When the body had arrived.
    pub start: Instant,
    /// When it was answered or its caller hung up; `None` while it lasts.
    pub end: Option<Instant>,
    /// The status that it was answered with; `None` when its caller hung up.
    pub status: Option<u16>,
}

impl Call {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The first header of that lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Whether both were under way at one moment.
    pub fn overlaps(&self, other: &Self) -> bool {
        let ends_before = |one: &Self, two: &Self| one.end.is_some_and(|end| end <= two.start);
        !ends_before(self, other) && !ends_before(other, self)
    }
}

/// What to answer, and to which calls. `Answer::new(503).to("/users").containing("ada").times(2)`
/// answers the next two calls for Ada with 503.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    delay: Duration,
    headers: Vec<(String, String)>,
    body: web::Bytes,
    method: Option<String>,
    path: String,
    exact: bool,
    content: String,
    times: usize,
}

impl Answer {
    /// An empty JSON object with `status`, to every call.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            delay: Duration::ZERO,
            headers: Vec::new(),
            body: web::Bytes::from_static(b"{}"),
            method: None,
            path: String::new(),
            exact: false,
            content: String::new(),
            times: usize::MAX,
        }
    }

    /// Only after so long.
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// With this body.
    pub fn body(self, body: impl ToString) -> Self {
        Self { body: body.to_string().into(), ..self }
    }

    /// With these bytes.
    pub fn bytes(self, body: Vec<u8>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Only to calls with this method.
    pub fn method(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// Only to calls whose path and query contain this.
    pub fn to(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// Only to calls with exactly this path and query.
    pub fn only_to(self, path: &str) -> Self {
        Self { path: path.to_owned(), exact: true, ..self }
    }

    /// Only to calls whose path, query or body contain this, such as a user name.
    pub fn containing(self, content: &str) -> Self {
        Self { content: content.to_owned(), ..self }
    }

    /// Only so many times.
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    fn is_for(&self, call: &Call) -> bool {
        self.times > 0
            && self.method.as_ref().is_none_or(|method| *method == call.method)
            && (call.path == self.path || !self.exact && call.path.contains(&self.path))
            && (call.path.contains(&self.content)
                || String::from_utf8_lossy(&call.body).contains(&self.content))
    }
}

#[derive(Default)]
struct State {
    calls: Mutex<Vec<Call>>,
    /// What was PUT and not DELETEd since, by path.
    content: Mutex<BTreeMap<String, web::Bytes>>,
    answers: Mutex<Vec<Answer>>,
}

/// A call with a `key` says under which name an account is to be there, and under
/// which it was: the system goes by names alone, whoever bears them by now. What
/// it knows to be the account's under yet another name goes too.
fn keep(content: &mut BTreeMap<String, web::Bytes>, path: &str, body: &web::Bytes) {
    let json = |body: &web::Bytes| serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let told = json(body);
    let Some(key) = told["key"].as_str() else { return };
    content.retain(|_, held| json(held)["id"] != told["id"]);
    content.remove(told["former"].as_str().unwrap_or(key));
    if path.ends_with("/provision") {
        content.insert(key.to_owned(), body.clone());
    }
}

impl State {
    /// What a call does to the content, once it is answered well. Whoever comes
    /// last has the name.
    fn apply(&self, method: &str, path: &str, body: &web::Bytes) {
        let mut content = self.content.lock().unwrap();
        match method {
            "PUT" => drop(content.insert(path.to_owned(), body.clone())),
            "DELETE" => drop(content.remove(path)),
            _ => keep(&mut content, path, body),
        }
    }

    /// The newest answer that is for the call, else an empty 200.
    fn answer(&self, call: &Call) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        match answers.iter_mut().rev().find(|answer| answer.is_for(call)) {
            Some(answer) => {
                answer.times -= 1;
                answer.clone()
            }
            None => Answer::new(200),
        }
    }
}

/// The recording server; it ends when dropped.
pub struct Sink {
    /// `http://127.0.0.1:<port>`
    pub url: String,
    /// `127.0.0.1:<port>`, as `egressAllow` wants it.
    pub address: String,
    state: Arc<State>,
    handle: ServerHandle,
}

impl Sink {
    /// Starts one that answers every call with 200 and an empty JSON object.
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let served = Arc::clone(&state);
        std::thread::spawn(move || actix_web::rt::System::new().block_on(serve(served, sender)));
        let (address, handle) = receiver.await.unwrap();
        Self { url: format!("http://{address}"), address, state, handle }
    }

    /// Adds an answer; it takes precedence over those added before.
    pub fn answer(&self, answer: Answer) {
        self.state.answers.lock().unwrap().push(answer);
    }

    /// Forgets all answers: 200 again.
    pub fn answer_well(&self) {
        self.state.answers.lock().unwrap().clear();
    }

    /// The calls so far, in the order of their arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().unwrap().clone()
    }

    /// What was PUT and not DELETEd since: JSON by path.
    pub fn content(&self) -> BTreeMap<String, serde_json::Value> {
        let content = self.state.content.lock().unwrap();
        content.iter().map(|(path, body)| (path.clone(), serde_json::from_slice(body).unwrap())).collect()
    }

    /// The calls so far whose path, query or body contain `content`.
    pub fn calls_about(&self, content: &str) -> Vec<Call> {
        let about = Answer::new(0).containing(content);
        self.calls().into_iter().filter(|call| about.is_for(call)).collect()
    }

    /// Forgets the calls so far that have ended.
    pub fn forget(&self) {
        self.state.calls.lock().unwrap().clear();
    }

    /// Waits until `enough` says so of the calls so far; panics after 30 s.
    pub async fn wait_until(&self, enough: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let calls = self.calls();
            if enough(&calls) {
                return calls;
            }
            assert!(Instant::now() < deadline, "waited in vain, the sink got {calls:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for `count` answered calls.
    pub async fn wait_for(&self, count: usize) -> Vec<Call> {
        self.wait_until(|calls| calls.iter().filter(|call| call.end.is_some()).count() >= count).await
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // The command is sent by the call; waiting for its effect is not needed.
        drop(self.handle.stop(false));
    }
}

async fn serve(state: Arc<State>, started: tokio::sync::oneshot::Sender<(String, ServerHandle)>) {
    let state = web::Data::from(state);
    let app = move || {
        App::new()
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(64 << 20))
            .default_service(web::to(record))
    };
    let server = HttpServer::new(app).workers(2).disable_signals();
    // A caller that hangs up ends its call, rather than after the delay.
    let server = server.h1_allow_half_closed(false).bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0].to_string();
    let running = server.run();
    if started.send((address, running.handle())).is_ok() {
        running.await.unwrap();
    }
}

async fn record(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let call = call_of(&request, body);
    let answer = state.answer(&call);
    let (method, path, body) = (call.method.clone(), call.path.clone(), call.body.clone());
    let mut recording = Recording::begin(Arc::clone(&state), call);
    tokio::time::sleep(answer.delay).await;
    if answer.status < 300 {
        state.apply(&method, &path, &body);
    }
    recording.status = Some(answer.status);
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).unwrap());
    response.content_type("application/json");
    for (name, value) in answer.headers {
        response.insert_header((name, value));
    }
    response.body(answer.body)
}

fn call_of(request: &HttpRequest, body: web::Bytes) -> Call {
    let header = |(name, value): (&actix_web::http::header::HeaderName, &_)| {
        let value: &actix_web::http::header::HeaderValue = value;
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Call {
        method: request.method().to_string(),
        path: request.uri().to_string(),
        headers: request.headers().iter().map(header).collect(),
        body,
        start: Instant::now(),
        end: None,
        status: None,
    }
}

/// A call under way; its drop is its end, also when the caller hung up.
struct Recording {
    state: Arc<State>,
    start: Instant,
    index: usize,
    status: Option<u16>,
}

impl Recording {
    fn begin(state: Arc<State>, call: Call) -> Self {
        let mut calls = state.calls.lock().unwrap();
        let (index, start) = (calls.len(), call.start);
        calls.push(call);
        drop(calls);
        Self { state, start, index, status: None }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let mut calls = self.state.calls.lock().unwrap();
        // Another call may stand there after `forget`.
        if let Some(call) = calls.get_mut(self.index).filter(|call| call.start == self.start) {
            call.end = Some(Instant::now());
            call.status = self.status;
        }
    }
}
