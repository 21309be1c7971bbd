//! A client of the daemon's REST API.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Failure;
use super::args::Remote;

/// Runs a command's future on a small runtime of its own.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("no runtime: {error}")))?
        .block_on(work)
}

/// Talks to one daemon with one token.
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    /// A client; fails when there is no token.
    pub fn new(remote: &Remote) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .user_agent(concat!("provisiond/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(std::time::Duration::from_secs(10))
            .build()
            .map_err(|error| Failure::Failed(format!("no HTTP client: {error}")))?;
        Ok(Self { http, url: remote.url.trim_end_matches('/').to_owned(), token: token(remote)? })
    }

    /// A request below `/api/v1`, not yet sent.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(&self.token)
    }

    /// Sends a request; anything but success is a failure in the daemon's words.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, Failure> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| self.unreachable(&error))?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() { Ok(body) } else { Err(refused(status, &body)) }
    }

    /// Shorthand for a GET.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Shorthand for a POST without content.
    pub async fn post(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.request(Method::POST, path).json(&serde_json::json!({}))).await
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let reason = innermost(error);
        Failure::Unreachable(format!(
            "cannot reach the daemon at `{}`: {reason}\nhint: is `provisiond serve` running? \
             Name another address with `--url` or PROVISIOND_URL",
            self.url
        ))
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

fn token(remote: &Remote) -> Result<String, Failure> {
    match (&remote.token, &remote.token_file) {
        (Some(token), _) => Ok(token.trim().to_owned()),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map(|token| token.trim().to_owned())
            .map_err(|error| Failure::Usage(format!("cannot read `{}`: {error}", file.display()))),
        (None, None) => Err(Failure::Usage(
            "no API token\nhint: set PROVISIOND_TOKEN, or give `--token-file`; make one with \
             `provisiond token create --role owner`"
                .into(),
        )),
    }
}

fn refused(status: StatusCode, problem: &Value) -> Failure {
    let part = |name: &str| problem[name].as_str().unwrap_or_default();
    let mut message = match (part("title"), part("detail")) {
        ("", _) => format!("the daemon answered {status}"),
        (title, "") => title.to_owned(),
        (_, detail) => detail.to_owned(),
    };
    for error in problem["errors"].as_array().into_iter().flatten() {
        let (field, rule) = (error["field"].as_str(), error["rule"].as_str());
        message += &format!("\n  `{}` {}", field.unwrap_or_default(), rule.unwrap_or_default());
    }
    match status {
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Failure::Conflict(message),
        StatusCode::SERVICE_UNAVAILABLE => Failure::Unreachable(message),
        _ => Failure::Failed(message),
    }
}
