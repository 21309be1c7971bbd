//! The external system: an HTTP server on one thread of its own that answers
//! every request alike, counts them and notes when a marker came.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] =
    b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"id\":\"remote\"}";

#[derive(Default)]
struct State {
    calls: AtomicU64,
    thread: AtomicI32,
    delay: Duration,
    /// When a marker came, each time.
    markers: Mutex<HashMap<u64, Vec<Instant>>>,
    first: Mutex<Option<Instant>>,
}

/// The running sink; it lives as long as the process.
#[derive(Clone)]
pub struct Sink {
    /// `127.0.0.1:<port>`
    pub address: String,
    state: Arc<State>,
}

impl Sink {
    /// Starts one that answers after `delay`.
    pub fn start(delay: Duration) -> Self {
        let state = Arc::new(State { delay, ..State::default() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = state.clone();
        std::thread::Builder::new().name("sink".into()).spawn(move || serve(listener, served)).unwrap();
        Self { address, state }
    }

    pub fn calls(&self) -> u64 {
        self.state.calls.load(Ordering::Relaxed)
    }

    /// CPU time that it used, in microseconds.
    pub fn cpu(&self) -> u64 {
        crate::cpu::of_thread(self.state.thread.load(Ordering::Relaxed))
    }

    /// Waits until it had so many calls in all.
    pub async fn until(&self, calls: u64) {
        let mut last = (self.calls(), Instant::now());
        while self.calls() < calls {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if self.calls() > last.0 {
                last = (self.calls(), Instant::now());
            }
            assert!(
                last.1.elapsed() < Duration::from_secs(60),
                "no call for a minute, {} of {calls}",
                last.0
            );
        }
    }

    /// When the `nth` call with a marker came, from 1.
    pub fn marker(&self, marker: u64, nth: usize) -> Option<Instant> {
        self.state.markers.lock().unwrap().get(&marker)?.get(nth - 1).copied()
    }

    /// Waits for the next call; `forget_first` begins anew.
    pub async fn first_call(&self) -> Instant {
        loop {
            if let Some(first) = *self.state.first.lock().unwrap() {
                return first;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub fn forget_first(&self) {
        *self.state.first.lock().unwrap() = None;
    }
}

fn serve(listener: std::net::TcpListener, state: Arc<State>) {
    state.thread.store(nix::unistd::gettid().as_raw(), Ordering::Relaxed);
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            tokio::spawn(converse(stream, state.clone()));
        }
    });
}

async fn converse(mut stream: TcpStream, state: Arc<State>) -> Option<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        while let Some(length) = request(&buffer) {
            state.note(&buffer[..length]);
            if !state.delay.is_zero() {
                tokio::time::sleep(state.delay).await;
            }
            stream.write_all(ANSWER).await.ok()?;
            buffer.drain(..length);
        }
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// The length of the first request, if it is complete. Just as much HTTP as
/// the daemon speaks: a body comes with its length.
fn request(buffer: &[u8]) -> Option<usize> {
    let head = find(buffer, b"\r\n\r\n")? + 4;
    let fields = &buffer[..head];
    let length = match find(fields, b"content-length: ").or_else(|| find(fields, b"Content-Length: ")) {
        Some(at) => number(&fields[at + 16..]) as usize,
        None => 0,
    };
    (buffer.len() >= head + length).then_some(head + length)
}

impl State {
    fn note(&self, request: &[u8]) {
        if self.calls.fetch_add(1, Ordering::Relaxed) == 0 || self.first.lock().unwrap().is_none() {
            self.first.lock().unwrap().get_or_insert(Instant::now());
        }
        if let Some(at) = find(request, b"\"marker\":") {
            let marker = number(&request[at + 9..]);
            if marker > 0 {
                self.markers.lock().unwrap().entry(marker).or_default().push(Instant::now());
            }
        }
    }
}

fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, byte| number * 10 + u64::from(byte - b'0'))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
