//! Between the host's JSON and the types of `domain`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::Utc;
use serde_json::Value;

use super::super::code::Code;
use super::super::limits::{MAX_FRAME_TO_HOST, MAX_MESSAGE, MAX_REQUEST_HEADERS, MAX_STACK, cut};
use super::super::outcome::Thrown;
use super::super::protocol::{self, Kind, OriginText, Refusal, SignHead, ThrownText};
use crate::domain::host_call::{
    Effect, FetchRequest, FetchResponse, HostCallError, KeyInfo, KeyRequest, Redirect, SignRequest,
};
use crate::domain::retry_after;
use crate::domain::status::ErrorClass;

/// Causes of an error that are told of.
const MAX_CAUSES: usize = 8;

/// Longest wait that logic can ask for with a failure: a year.
const MAX_RETRY_AFTER: f64 = 365.0 * 86_400.0;

/// Reads a fetch. The message of a failure goes back to logic.
pub(super) fn request(head: &[u8], body: Bytes) -> Result<FetchRequest, String> {
    type Head = (String, String, Option<Redirect>, Vec<(String, String)>, bool, Option<Effect>);
    let (method, url, redirect, mut headers, has_body, effect) =
        serde_json::from_slice::<Head>(head).map_err(|error| format!("the request is malformed: {error}"))?;
    if headers.len() > MAX_REQUEST_HEADERS {
        return Err(format!("the limit of {MAX_REQUEST_HEADERS} header fields in a request was reached"));
    }
    for (name, _) in &mut headers {
        name.make_ascii_lowercase();
    }
    let method = method.to_ascii_uppercase();
    let redirect = redirect.unwrap_or_default();
    Ok(FetchRequest { method, url, headers, body: has_body.then_some(body), redirect, effect })
}

/// Reads which key is asked about.
pub(super) fn key_request(payload: &[u8]) -> Result<KeyRequest, String> {
    serde_json::from_slice(payload).map_err(|error| not_signed(&error))
}

/// Reads what is to be signed.
pub(super) fn sign_request(head: &[u8], data: Bytes) -> Result<SignRequest, String> {
    let SignHead { key, options } = serde_json::from_slice(head).map_err(|error| not_signed(&error))?;
    Ok(SignRequest { key, options, data })
}

fn not_signed(error: &serde_json::Error) -> String {
    format!("this is not what secrets can be used for to sign: {error}")
}

/// What a host call says.
pub(super) enum Answer {
    /// With `more`, the rest of its body follows.
    Response {
        response: FetchResponse,
        more: bool,
    },
    /// More of a body.
    Part(Bytes),
    /// The body has come to its end.
    End,
    Key(KeyInfo),
    Signature(Bytes),
}

impl Answer {
    /// Appends it as a frame, unless that is too large.
    pub fn put(self, buffer: &mut Vec<u8>, run: u32, call: u32) -> Result<(), HostCallError> {
        let (kind, head, body) = self.parts();
        if head.len() + body.len() + 4 > MAX_FRAME_TO_HOST {
            return Err(too_large());
        }
        match kind {
            Kind::Reply => protocol::put_with_body(buffer, kind, run, call, &head, &body),
            _ => protocol::put(buffer, kind, run, call, &[&body]),
        }
        Ok(())
    }

    /// Its head, and the body that follows as it is.
    fn parts(self) -> (Kind, Vec<u8>, Bytes) {
        match self {
            Self::Response { response, more } => {
                let FetchResponse { status, status_text, url, redirected, headers, body } = response;
                let head = written(&(status, status_text, url, redirected, headers, more));
                (Kind::Reply, head, body)
            }
            Self::Part(bytes) => (Kind::Part, Vec::new(), bytes),
            Self::End => (Kind::End, Vec::new(), Bytes::new()),
            Self::Key(info) => (Kind::Reply, written(&info), Bytes::new()),
            // As text: a body that happens to be UTF-8 would arrive as such.
            Self::Signature(bytes) => (Kind::Reply, written(&STANDARD.encode(bytes)), Bytes::new()),
        }
    }
}

fn too_large() -> HostCallError {
    let most = MAX_FRAME_TO_HOST / (1024 * 1024);
    let message = format!("the response is larger than {most} MiB");
    HostCallError { class: ErrorClass::Permanent, message, retry_after: None }
}

fn written(head: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(head).unwrap_or_default()
}

/// A failed call.
pub(super) fn refusal(error: &HostCallError) -> Vec<u8> {
    let retry_after = error.retry_after.map(|wait| wait.as_secs_f64());
    let refusal = Refusal { message: &error.message, error_class: error.class, retry_after };
    written(&refusal)
}

/// Reads what logic threw.
pub(super) fn thrown(code: &Code, payload: &[u8]) -> Thrown {
    let Ok(text) = serde_json::from_slice::<ThrownText>(payload) else {
        return Thrown::saying("logic threw a value that cannot be described");
    };
    let (error_class, retry_after) = origin(&text.origins);
    Thrown {
        message: code.readable(cut(&text.message, 4 * MAX_MESSAGE)).into_owned(),
        stack: stack(code, &text),
        error_class,
        retry_after,
    }
}

/// The worst of where it came from, and the longest wait.
fn origin(origins: &[OriginText]) -> (Option<ErrorClass>, Option<Duration>) {
    let classes = origins.iter().take(MAX_CAUSES).filter_map(class_of);
    let waits = origins.iter().take(MAX_CAUSES).filter_map(|origin| wait_of(origin.retry_after.as_ref()?));
    (classes.max_by_key(|class| class.severity()), waits.max())
}

/// What logic says comes first. An answer that is no failure leaves logic to blame.
fn class_of(origin: &OriginText) -> Option<ErrorClass> {
    let said = origin.error_class.as_deref().and_then(|class| class.parse().ok());
    let by_status = |status| ErrorClass::of_http_status(status).unwrap_or(ErrorClass::Logic);
    said.or_else(|| origin.status.map(by_status))
}

fn wait_of(wait: &Value) -> Option<Duration> {
    match wait {
        Value::String(header) => Some(retry_after::parse(header, Utc::now())),
        seconds => Duration::try_from_secs_f64(seconds.as_f64()?.clamp(0.0, MAX_RETRY_AFTER)).ok(),
    }
}

/// The frames of logic and its packages, as `at name (logic.ts:1:2)`, and those
/// of the causes below what they say.
fn stack(code: &Code, text: &ThrownText) -> Option<String> {
    let own = frames_of_logic(code, text.stack.as_deref());
    let causes = text.causes.iter().take(MAX_CAUSES).flat_map(|cause| {
        let said = code.readable(cut(&cause.message, MAX_MESSAGE)).replace('\n', " ");
        let frames = frames_of_logic(code, cause.stack.as_deref());
        std::iter::once(format!("caused by: {said}")).chain(frames)
    });
    let mut length = 0;
    let fits = |line: &String| {
        length += line.len() + 1;
        length <= MAX_STACK
    };
    let lines: Vec<String> = own.chain(causes).take_while(fits).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn frames_of_logic<'a>(code: &'a Code, stack: Option<&'a str>) -> impl Iterator<Item = String> + 'a {
    let frames = stack.unwrap_or_default().lines().map(str::trim).filter(|line| line.starts_with("at "));
    frames.filter_map(|line| code.frame(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_normalized() {
        let head = br#"["patch","https://a.example/","manual",[["X-A","1"],["x-a","2"]],true,"read"]"#;
        let request = request(head, Bytes::from_static(b"x")).unwrap();
        assert_eq!((request.method.as_str(), request.redirect), ("PATCH", Redirect::Manual));
        assert_eq!(request.effect, Some(Effect::Read));
        assert_eq!(request.headers, [("x-a".into(), "1".into()), ("x-a".into(), "2".into())]);
        assert_eq!(request.body.as_deref(), Some(&b"x"[..]));
        assert!(super::request(b"[]", Bytes::new()).unwrap_err().starts_with("the request is malformed"));
    }

    #[test]
    fn thrown_values_keep_what_is_known() {
        let thrown = thrown(
            &Code::from(""),
            br#"{"message":"m","stack":"Error: m\n    at f (file:///logic.js:3:5)\n    at ext:provisiond/run.js:1:1","origins":[{"errorClass":"rateLimited","retryAfter":1.5}]}"#,
        );
        assert_eq!(thrown.stack.as_deref(), Some("at f (logic.js:3:5)"));
        assert_eq!(thrown.error_class, Some(ErrorClass::RateLimited));
        assert_eq!(thrown.retry_after, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn causes_are_told_below() {
        let text = br#"{"message":"outer","stack":"Error: outer\n    at f (file:///logic.js:3:5)","causes":[
            {"message":"TypeError: in\nner","stack":"TypeError: inner\n    at g (file:///logic.js:1:2)\n    at ext:a/b.js:1:1"},
            {"message":"logic threw 3"}]}"#;
        assert_eq!(
            thrown(&Code::from(""), text).stack.as_deref(),
            Some(
                "at f (logic.js:3:5)\ncaused by: TypeError: in ner\nat g (logic.js:1:2)\ncaused by: logic threw 3"
            )
        );
    }

    #[test]
    fn nonsense_is_no_failure() {
        let thrown = thrown(
            &Code::from(""),
            br#"{"message":"m","origins":[{"errorClass":"odd","retryAfter":1e300}]}"#,
        );
        assert_eq!((thrown.error_class, thrown.stack), (None, None));
        assert_eq!(thrown.retry_after, Some(Duration::from_secs(365 * 86_400)));
        assert_eq!(
            super::thrown(&Code::from(""), b"?").message,
            "logic threw a value that cannot be described"
        );
    }

    #[test]
    fn the_answer_that_an_error_came_of_says_what_it_is() {
        let origins = |text: &str| {
            let text = format!(r#"{{"message":"m","origins":[{text}]}}"#);
            let thrown = super::thrown(&Code::from(""), text.as_bytes());
            (thrown.error_class, thrown.retry_after.map(|wait| wait.as_secs()))
        };
        let limited = r#"{"status":429,"retryAfter":"299.997"}"#;
        assert_eq!(origins(limited), (Some(ErrorClass::RateLimited), Some(300)));
        assert_eq!(origins(r#"{"status":200}"#), (Some(ErrorClass::Logic), None));
        let named = r#"{"errorClass":"permanent","status":503,"retryAfter":"-1"}"#;
        assert_eq!(origins(named), (Some(ErrorClass::Permanent), Some(0)));
        assert_eq!(origins(&format!(r#"{{"status":404}},{limited}"#)).0, Some(ErrorClass::RateLimited));
        assert_eq!(origins(""), (None, None));
    }
}
