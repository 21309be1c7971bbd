//! A small HTTP/1.1 server that does what a test says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server got.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Request line and header fields, as they came.
    pub head: String,
    pub body: String,
}

impl Received {
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let field =
            |line: &&str| line.split_once(": ").is_some_and(|(own, _)| own.eq_ignore_ascii_case(name));
        self.head.lines().find(field).and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }
}

/// A server that runs until the test ends.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// Answers each request with the text that `answer` makes of it.
    pub async fn start(answer: impl Fn(&Received) -> String + Send + Sync + 'static) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), received.clone());
        let server = Self::raw(move |stream| serve(stream, answer.clone(), log.clone())).await;
        Self { received, ..server }
    }

    /// Gives each connection to `handle`.
    pub async fn raw<F: Future<Output = ()> + Send + 'static>(
        handle: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(handle(stream));
            }
        });
        Self { address, connections, received: Arc::default() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The entry that allows it.
    pub fn entry(&self) -> String {
        self.address.to_string()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// An answer with its length.
pub fn answer(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

/// Reads one request; `None` at the end of the connection.
pub async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut request = Received::default();
    while !request.head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut request.head).await.ok()? == 0 {
            return None;
        }
    }
    let length = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}

async fn serve<A: Fn(&Received) -> String>(
    stream: TcpStream,
    answer: Arc<A>,
    log: Arc<Mutex<Vec<Received>>>,
) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream).await {
        let text = answer(&request);
        log.lock().unwrap().push(request);
        if stream.get_mut().write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
