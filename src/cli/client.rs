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
        Ok(self.try_send(request).await??)
    }

    /// The same, for those who look into what is wrong themselves.
    pub async fn try_send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Result<Value, Refusal>, Failure> {
        let answer = self.text(request).await?;
        Ok(answer.map(|text| serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// The same, of an answer that is no JSON.
    pub async fn text(&self, request: reqwest::RequestBuilder) -> Result<Result<String, Refusal>, Failure> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return Ok(Ok(text));
        }
        Ok(Err(Refusal { status, problem: serde_json::from_str(&text).unwrap_or(Value::Null) }))
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

/// An answer that is no success.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    /// What the daemon said (RFC 9457), if it said something.
    pub problem: Value,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.message();
        match refusal.status {
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Self::Conflict(message),
            StatusCode::SERVICE_UNAVAILABLE => Self::Unreachable(message),
            _ => Self::Failed(message),
        }
    }
}

impl Refusal {
    /// One sentence, or a line for each field that breaks a rule.
    fn message(&self) -> String {
        let part = |name: &str| self.problem[name].as_str().unwrap_or_default();
        let errors = self.problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        if self.status == StatusCode::UNAUTHORIZED {
            return "the token is unknown, revoked or expired\nhint: `provisiond token create` makes one"
                .into();
        }
        match (part("title"), part("detail"), errors) {
            ("", _, _) => format!("the daemon answered {}", self.status),
            (title, "", _) => title.to_owned(),
            (_, detail, [] | [_]) => detail.to_owned(),
            (title, _, errors) => errors.iter().fold(title.to_owned(), |message, error| {
                let part = |name: &str| error[name].as_str().unwrap_or_default();
                format!("{message}\n  `{}` {}", part("field"), part("rule"))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_said_once() {
        let refused = |errors: Value| {
            let problem = json!({ "title": "Fields break rules", "detail": "`a` is bad", "errors": errors });
            Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, problem }.message()
        };
        let (a, b) = (json!({ "field": "a", "rule": "is bad" }), json!({ "field": "b", "rule": "is worse" }));
        assert_eq!(refused(json!([a])), "`a` is bad");
        assert_eq!(refused(json!([a, b])), "Fields break rules\n  `a` is bad\n  `b` is worse");
        let nothing = Refusal { status: StatusCode::BAD_GATEWAY, problem: Value::Null };
        assert_eq!(nothing.message(), "the daemon answered 502 Bad Gateway");
    }
}
