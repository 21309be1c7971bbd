//! Answers that whoever tries logic has written.

use bytes::Bytes;

use crate::domain::host_call::{FetchRequest, FetchResponse};

/// An answer, and the requests that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedAnswer {
    /// Upper-case method; any when absent.
    pub method: Option<String>,
    /// The whole URL, where `*` stands for any text; any when absent.
    pub url: Option<String>,
    /// Three digits.
    pub status: u16,
    /// Names are lower-case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// How often it is given.
    pub times: u32,
}

/// Answers in their order: the first that fits and is not used up is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script(Vec<ScriptedAnswer>);

impl From<Vec<ScriptedAnswer>> for Script {
    fn from(answers: Vec<ScriptedAnswer>) -> Self {
        Self(answers)
    }
}

impl Script {
    /// The answer to a request. Patterns are compared with `shown_url`, which
    /// has labels in place of secrets.
    pub(in crate::egress) fn answer(
        &mut self,
        request: &FetchRequest,
        shown_url: &str,
    ) -> Option<FetchResponse> {
        let fits = |answer: &&mut ScriptedAnswer| {
            answer.times > 0
                && answer.method.as_ref().is_none_or(|method| *method == request.method)
                && answer.url.as_ref().is_none_or(|pattern| matches(pattern, shown_url))
        };
        let answer = self.0.iter_mut().find(fits)?;
        answer.times -= 1;
        Some(FetchResponse {
            status: answer.status,
            status_text: String::new(),
            url: request.url.clone(),
            redirected: false,
            headers: answer.headers.clone(),
            body: answer.body.clone(),
        })
    }
}

/// `*` stands for any text, also none.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let url = "https://a.example/Users/17?x=1";
        for pattern in [url, "*", "https://a.example/Users/*", "*/Users/*?*", "*Users*", "*17?x=1"] {
            assert!(matches(pattern, url), "{pattern}");
        }
        for pattern in ["", "https://a.example", "*/Users", "*/Groups/*", "*x=1*x=1"] {
            assert!(!matches(pattern, url), "{pattern}");
        }
    }
}
