//! A client of the daemon's REST API.

use std::path::Path;

use reqwest::header::ETAG;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Failure;
use super::args::Remote;
use super::print::inset;
use super::source::read_text;
use super::terminal::secret;
use crate::domain::encoding;
use crate::security::Token;

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
    token: Token,
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
        self.http.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(self.token.expose())
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

    /// The same with the entity tag, for those who then change what they have seen.
    pub async fn try_send_tagged(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Result<Tagged, Refusal>, Failure> {
        let answer = self.answer(request).await?;
        Ok(answer.map(|(text, tag)| Tagged { body: serde_json::from_str(&text).unwrap_or(Value::Null), tag }))
    }

    /// The same, of an answer that is no JSON.
    pub async fn text(&self, request: reqwest::RequestBuilder) -> Result<Result<String, Refusal>, Failure> {
        Ok(self.answer(request).await?.map(|(text, _)| text))
    }

    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Result<(String, Option<String>), Refusal>, Failure> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let tag = answer.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let text = answer.text().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return Ok(Ok((text, tag)));
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

/// From the file that is named, the environment, a file that this names, or the
/// person. Not from an argument, which every process of the machine can see.
fn token(remote: &Remote) -> Result<Token, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let (text, from) = if let Some(file) = &remote.token_file {
        (read_text(file)?, format!("`{}`", file.display()))
    } else if let Some(token) = set("PROVISIOND_TOKEN") {
        (token.to_string_lossy().into_owned(), "PROVISIOND_TOKEN".to_owned())
    } else if let Some(file) = set("PROVISIOND_TOKEN_FILE") {
        let file = Path::new(&file);
        (read_text(file)?, format!("`{}`", file.display()))
    } else if let Some(token) = secret("API token:") {
        (token, "what you entered".to_owned())
    } else {
        return Err(Failure::Usage(
            "no API token\nhint: set PROVISIOND_TOKEN, or give `--token-file`; make one with \
             `provisiond token create --role owner`"
                .into(),
        ));
    };
    Token::parse(encoding::word(&text)).map_err(|error| Failure::Usage(format!("{from} is {error}")))
}

/// Something as it was at that time.
pub struct Tagged {
    /// What it is.
    pub body: Value,
    /// Names that state of it.
    pub tag: Option<String>,
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
    /// What was seen is not what is there any more.
    pub fn is_outdated(&self) -> bool {
        self.status == StatusCode::PRECONDITION_FAILED
    }

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
            (title, "", _) => inset(title),
            (_, detail, [] | [_]) => inset(detail),
            (title, _, errors) => errors.iter().fold(inset(title), |message, error| {
                let part = |name: &str| inset(error[name].as_str().unwrap_or_default());
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
