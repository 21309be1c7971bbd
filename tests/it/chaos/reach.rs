//! Requests to a daemon that comes and goes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

/// How the generators reach the daemon: its address changes with every start.
pub struct Reach {
    client: reqwest::Client,
    token: String,
    url: Mutex<String>,
    /// Requests without a clear answer.
    pub unclear: AtomicU64,
}

/// What came of a request.
#[derive(Debug)]
pub enum Outcome {
    /// A success, acknowledged.
    Done(Value),
    /// There is no such thing.
    Gone,
    /// No answer, or one that says to come again: it may have been done.
    Unclear,
}

impl Reach {
    pub fn new(url: &str, token: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let (token, url) = (token.to_owned(), Mutex::new(url.to_owned()));
        Self { client, token, url, unclear: AtomicU64::new(0) }
    }

    pub fn moved_to(&self, url: &str) {
        url.clone_into(&mut self.url.lock().unwrap());
    }

    /// Any request below `/api/v1`. What is neither success nor 404 nor 503 is
    /// an answer that no fault explains.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Outcome {
        let url = format!("{}/api/v1{path}", self.url.lock().unwrap());
        let mut request = self.client.request(method.clone(), url).bearer_auth(&self.token);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let Ok(answer) = request.send().await else { return self.unclear() };
        let status = answer.status().as_u16();
        match (status, answer.text().await) {
            (200..300, Ok(text)) => Outcome::Done(serde_json::from_str(&text).unwrap_or_default()),
            (404, _) => Outcome::Gone,
            (503, _) | (_, Err(_)) => self.unclear(),
            (_, Ok(text)) => panic!("{method} {path} {body:?} was answered {status}: {text}"),
        }
    }

    /// A question until it is answered; `None` when there is no such thing.
    pub async fn insist(&self, path: &str) -> Option<Value> {
        loop {
            match self.ask(Method::GET, path, None).await {
                Outcome::Done(value) => return Some(value),
                Outcome::Gone => return None,
                Outcome::Unclear => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn unclear(&self) -> Outcome {
        self.unclear.fetch_add(1, Ordering::Relaxed);
        Outcome::Unclear
    }
}
