//! What the tests of the host share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use provisiond::domain::host_call::{
    ConsoleLine, FetchRequest, FetchResponse, Fetched, HostCallError, HostCallFuture, HostCalls,
};
use provisiond::domain::target::Limits;
use provisiond::js::{HostProgram, JsHost, RunEnd, RunOutcome, RunRequest, StartError, Thrown};
use serde_json::Value;

pub fn program() -> HostProgram {
    HostProgram::new(env!("CARGO_BIN_EXE_provisiond"))
}

pub fn small_limits() -> Limits {
    Limits { cpu_ms: 500, wall_ms: 5_000, heap_mib: 64 }
}

pub async fn try_start(code: &str) -> Result<JsHost, StartError> {
    JsHost::start(&program(), code, &small_limits()).await
}

pub async fn start(code: &str) -> JsHost {
    start_within(code, small_limits()).await
}

pub async fn start_within(code: &str, limits: Limits) -> JsHost {
    match JsHost::start(&program(), code, &limits).await {
        Ok(host) => host,
        Err(error) => panic!("the host does not start: {error}"),
    }
}

pub async fn run(host: &JsHost, context: Value) -> RunEnd {
    run_with(host, context, Arc::new(NoCalls)).await
}

pub async fn run_with(host: &JsHost, context: Value, calls: Arc<dyn HostCalls>) -> RunEnd {
    host.run(RunRequest { context: context.to_string() }, calls).await
}

/// Runs a piece of code in a host of its own.
pub async fn run_once(code: &str) -> RunEnd {
    run(&start(code).await, serde_json::json!({})).await
}

/// What a body that returns a value comes to.
pub async fn evaluate(body: &str) -> Value {
    value(run_once(&format!("export default async (ctx) => {{ {body} }}")).await)
}

pub fn value(end: RunEnd) -> Value {
    match end.outcome {
        RunOutcome::Returned(value) => value,
        other => panic!("the run did not return: {other:?}; console: {:?}", end.console),
    }
}

pub fn thrown(end: RunEnd) -> Thrown {
    match end.outcome {
        RunOutcome::Threw(thrown) => thrown,
        other => panic!("the run did not throw: {other:?}"),
    }
}

pub fn texts(console: &[ConsoleLine]) -> Vec<&str> {
    console.iter().map(|line| line.text.as_str()).collect()
}

/// Host calls of logic that should make none.
pub struct NoCalls;

impl HostCalls for NoCalls {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        panic!("logic made a request that it should not have made: {request:?}")
    }
}

type Respond = dyn Fn(&FetchRequest) -> Result<FetchResponse, HostCallError> + Send + Sync;

/// Answers every request in the same way, and remembers them.
pub struct Peer {
    pub requests: Mutex<Vec<FetchRequest>>,
    pub delay: Duration,
    respond: Box<Respond>,
}

impl Peer {
    pub fn new(
        respond: impl Fn(&FetchRequest) -> Result<FetchResponse, HostCallError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::slow(Duration::ZERO, respond)
    }

    pub fn slow(
        delay: Duration,
        respond: impl Fn(&FetchRequest) -> Result<FetchResponse, HostCallError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { requests: Mutex::default(), delay, respond: Box::new(respond) })
    }

    pub fn ok(body: &'static str) -> Arc<Self> {
        Self::new(move |request| Ok(response(request, 200, body.as_bytes())))
    }

    pub fn seen(&self) -> Vec<FetchRequest> {
        self.requests.lock().unwrap().clone()
    }
}

impl HostCalls for Peer {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        let answer = (self.respond)(&request);
        self.requests.lock().unwrap().push(request);
        let delay = self.delay;
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            answer.map(Fetched::from)
        })
    }
}

pub fn response(request: &FetchRequest, status: u16, body: &[u8]) -> FetchResponse {
    FetchResponse {
        status,
        status_text: String::new(),
        url: request.url.clone(),
        redirected: false,
        headers: vec![("content-type".into(), "application/json".into())],
        body: Bytes::copy_from_slice(body),
    }
}
