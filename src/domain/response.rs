//! What logic answers, and what a bad answer is called.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Number, Value};

use super::json::{MAX_SAFE_INTEGER, check_storable};
use super::status::{ErrorClass, ProvisionStatus, Reason};
use super::subject::{MAX_ATTRIBUTES, MAX_NAME};
use super::timestamp::{BadTimestamp, Timestamp};

/// Longest message kept, in characters.
pub const MAX_MESSAGE: usize = 2_000;
/// Furthest that logic may schedule itself.
pub const MAX_RUN_AGAIN: Duration = Duration::from_secs(366 * 24 * 3600);

/// The status member of a response: a provision status, or the wish to be run
/// again with the reason `deprovision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A status to record.
    Status(ProvisionStatus),
    /// Run again with the reason `deprovision`.
    Deprovision,
}

/// When logic wants to run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAgain {
    /// After so long.
    In(Duration),
    /// Not before.
    At(DateTime<Utc>),
}

/// A response that holds to the contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// What became of the subject.
    pub verdict: Verdict,
    /// One sentence for people.
    pub message: String,
    /// The subject's id in the external system; `None` leaves the one known.
    pub remote_id: Option<String>,
    /// Kept until the next run; `None` leaves what is kept.
    pub metadata: Option<Value>,
    /// A merge patch for the subject's attributes.
    pub attributes: Option<Map<String, Value>>,
    /// When to run again.
    pub run_again: Option<RunAgain>,
    /// Decides about the retry of a failure.
    pub error_class: Option<ErrorClass>,
}

/// Why a response breaks the contract; the message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadResponse {
    /// Nothing was returned, or something that is no object.
    #[error("logic must return an object such as {{ status: \"provisioned\" }}, but returned {0}")]
    NotAnObject(&'static str),
    /// The mandatory member is missing.
    #[error("the response has no `status`")]
    NoStatus,
    /// A member has a value that it cannot have.
    #[error("`{member}` in the response {rule}")]
    Member {
        /// Which one.
        member: String,
        /// What it must be.
        rule: String,
    },
    /// A member that the contract does not know, a typing error as a rule.
    #[error("the response has a member `{0}` that means nothing: {MEMBERS} are known")]
    UnknownMember(String),
    /// The status does not answer the reason.
    #[error("a run with the reason `{reason}` cannot end as `{status}`: answer {allowed}")]
    WrongStatus {
        /// Why logic ran.
        reason: Reason,
        /// What it answered.
        status: String,
        /// What it may answer.
        allowed: &'static str,
    },
}

const MEMBERS: &str = "status, message, remoteId, metadata, attributes, runAgainIn, runAgainAt, errorClass";

impl Response {
    /// Reads what logic returned from a run with `reason`.
    pub fn read(value: &Value, reason: Reason) -> Result<Self, BadResponse> {
        let members = value.as_object().ok_or(BadResponse::NotAnObject(kind_of(value)))?;
        if let Some(name) = members.keys().find(|name| !MEMBERS.split(", ").any(|known| known == *name)) {
            return Err(BadResponse::UnknownMember(name.chars().take(64).collect()));
        }
        Ok(Self {
            verdict: read_verdict(members.get("status").unwrap_or(&Value::Null), reason)?,
            message: read_message(present(members, "message"))?,
            remote_id: present(members, "remoteId").map(read_remote_id).transpose()?,
            metadata: present(members, "metadata").map(read_metadata).transpose()?,
            attributes: present(members, "attributes").map(read_attributes).transpose()?,
            run_again: read_run_again(members)?,
            error_class: present(members, "errorClass").map(read_error_class).transpose()?,
        })
    }
}

fn present<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn bad(member: &str, rule: impl Into<String>) -> BadResponse {
    BadResponse::Member { member: member.into(), rule: rule.into() }
}

fn read_verdict(value: &Value, reason: Reason) -> Result<Verdict, BadResponse> {
    use ProvisionStatus::{Deprovisioned, Pending, Provisioned};
    let word = match value {
        Value::Null => return Err(BadResponse::NoStatus),
        Value::String(word) => word.as_str(),
        other => return Err(bad("status", format!("must be a string, not {}", kind_of(other)))),
    };
    let wrong = |allowed| BadResponse::WrongStatus { reason, status: word.to_owned(), allowed };
    if word == "deprovision" {
        return match reason {
            Reason::Provision => Ok(Verdict::Deprovision),
            Reason::Deprovision => Err(wrong(DEPROVISION_ANSWERS)),
        };
    }
    let status = word.parse::<ProvisionStatus>().map_err(|_| {
        let word: String = word.chars().take(64).collect();
        bad("status", format!("must be one of {PROVISION_ANSWERS} or deprovisioned, not `{word}`"))
    })?;
    match (status, reason) {
        (Pending | Deprovisioned, Reason::Provision) => Err(wrong(PROVISION_ANSWERS)),
        (Pending | Provisioned, Reason::Deprovision) => Err(wrong(DEPROVISION_ANSWERS)),
        _ => Ok(Verdict::Status(status)),
    }
}

const PROVISION_ANSWERS: &str =
    "provisioned, provisionFailed, provisionNotNeeded, provisionOngoing, deprovision";
const DEPROVISION_ANSWERS: &str = "deprovisioned, provisionFailed, provisionNotNeeded or provisionOngoing";

fn read_message(value: Option<&Value>) -> Result<String, BadResponse> {
    match value {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(cut_message(text)),
        Some(other) => Err(bad("message", format!("must be a string, not {}", kind_of(other)))),
    }
}

/// Cuts a message to [`MAX_MESSAGE`] characters and removes what cannot be stored.
pub fn cut_message(text: &str) -> String {
    let clean = text.chars().map(|c| if c == '\0' { '\u{fffd}' } else { c });
    let mut cut: String = clean.clone().take(MAX_MESSAGE).collect();
    if clean.count() > MAX_MESSAGE {
        cut.push('…');
    }
    cut
}

fn read_remote_id(value: &Value) -> Result<String, BadResponse> {
    let id = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => whole_number(number).ok_or_else(|| bad("remoteId", WHOLE_NUMBER))?,
        other => return Err(bad("remoteId", format!("must be a string, not {}", kind_of(other)))),
    };
    if id.is_empty() || id.contains('\0') || id.chars().count() > 4 * MAX_NAME {
        return Err(bad("remoteId", format!("must have 1 to {} characters and no NUL", 4 * MAX_NAME)));
    }
    Ok(id)
}

const WHOLE_NUMBER: &str = "must be a string, or a whole number within ±(2^53 − 1): JavaScript rounds larger ones, write them as a string from the beginning";

/// The digits of an integer that JavaScript holds exactly: of any other nobody
/// knows what it was, or how the external system writes it.
fn whole_number(number: &Number) -> Option<String> {
    let integer = number.as_i64().filter(|integer| integer.unsigned_abs() <= MAX_SAFE_INTEGER)?;
    Some(integer.to_string())
}

fn read_metadata(value: &Value) -> Result<Value, BadResponse> {
    check_size("metadata", value)?;
    Ok(value.clone())
}

fn read_attributes(value: &Value) -> Result<Map<String, Value>, BadResponse> {
    let members = value.as_object().ok_or_else(|| bad("attributes", "must be an object"))?;
    check_size("attributes", value)?;
    Ok(members.clone())
}

fn check_size(member: &str, value: &Value) -> Result<(), BadResponse> {
    check_storable(value).map_err(|(path, rule)| {
        let path: String = path.chars().take(256).collect();
        bad(&format!("{member}.{path}"), rule.to_string())
    })?;
    let size = value.to_string().len();
    if size > MAX_ATTRIBUTES {
        return Err(bad(
            member,
            format!("must not be larger than {MAX_ATTRIBUTES} bytes of JSON, is {size}"),
        ));
    }
    Ok(())
}

fn read_error_class(value: &Value) -> Result<ErrorClass, BadResponse> {
    let word = value.as_str().ok_or_else(|| bad("errorClass", "must be a string"))?;
    word.parse().map_err(|error| bad("errorClass", format!("is unknown: {error}")))
}

fn read_run_again(members: &Map<String, Value>) -> Result<Option<RunAgain>, BadResponse> {
    match (present(members, "runAgainIn"), present(members, "runAgainAt")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(bad("runAgainIn", "must not stand beside `runAgainAt`")),
        (Some(delay), None) => read_delay(delay).map(|delay| Some(RunAgain::In(delay))),
        (None, Some(time)) => read_time(time).map(|time| Some(RunAgain::At(time))),
    }
}

fn read_delay(value: &Value) -> Result<Duration, BadResponse> {
    let rule = "must be seconds (0 or more) or an ISO 8601 duration such as \"PT15M\"";
    let seconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => iso_duration(text),
        _ => None,
    };
    let delay = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let delay = delay.ok_or_else(|| bad("runAgainIn", rule))?;
    if delay > MAX_RUN_AGAIN {
        return Err(bad("runAgainIn", "must not be more than 366 days"));
    }
    Ok(delay)
}

fn read_time(value: &Value) -> Result<DateTime<Utc>, BadResponse> {
    let time = value.as_str().ok_or(BadTimestamp).and_then(str::parse);
    time.map(|Timestamp(time)| time).map_err(|rule| bad("runAgainAt", rule.to_string()))
}

/// Seconds of an ISO 8601 duration in weeks, days, hours, minutes and seconds.
/// Years and months have no fixed length and are refused.
fn iso_duration(text: &str) -> Option<f64> {
    let body = text.strip_prefix('P')?;
    let (date, time) = body.split_once('T').unwrap_or((body, "0S"));
    let date = sum_parts(date, &[('W', 604_800.0), ('D', 86_400.0)])?;
    let time = sum_parts(time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    (!body.is_empty() && !body.ends_with('T')).then_some(date + time)
}

fn sum_parts(text: &str, units: &[(char, f64)]) -> Option<f64> {
    let mut rest = text;
    let mut sum = 0.0;
    for (unit, seconds) in units {
        if let Some((number, tail)) = rest.split_once(*unit) {
            let plain = number.starts_with(|c: char| c.is_ascii_digit())
                && number.chars().all(|c| c.is_ascii_digit() || c == '.');
            sum += plain.then(|| number.parse::<f64>().ok())?? * seconds;
            rest = tail;
        }
    }
    rest.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn provision(value: Value) -> Result<Response, BadResponse> {
        Response::read(&value, Reason::Provision)
    }

    #[test]
    fn a_full_response_is_read() {
        let response = provision(json!({
            "status": "provisioned", "message": "created", "remoteId": 17, "metadata": {"etag": "x"},
            "attributes": {"mailbox": "ada@example.org"}, "runAgainIn": "PT1H30M", "errorClass": null,
        }))
        .unwrap();
        assert_eq!(response.remote_id.as_deref(), Some("17"));
        assert_eq!(response.run_again, Some(RunAgain::In(Duration::from_secs(5_400))));
        assert_eq!(response.error_class, None);
    }

    #[test]
    fn bad_responses_say_what_is_wrong() {
        let messages: Vec<_> = [
            json!(null),
            json!("ok"),
            json!({}),
            json!({"status": "done"}),
            json!({"status": "deprovisioned"}),
            json!({"status": "provisioned", "runagain": 5}),
            json!({"status": "provisioned", "runAgainIn": "P1M"}),
            json!({"status": "provisioned", "runAgainIn": -1}),
            json!({"status": "provisioned", "runAgainIn": 1, "runAgainAt": "2030-01-31T08:00:00Z"}),
            json!({"status": "provisioned", "runAgainAt": "tomorrow"}),
            json!({"status": "provisioned", "runAgainAt": "-262143-01-01T00:00:00Z"}),
            json!({"status": "provisioned", "attributes": [1]}),
            json!({"status": "provisioned", "metadata": {"a": "\0"}}),
            json!({"status": "provisionFailed", "errorClass": "fatal"}),
        ]
        .into_iter()
        .map(|value| provision(value).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn a_remote_id_is_a_text_or_a_whole_number() {
        let read = |text: &str| {
            let value =
                serde_json::from_str(&format!(r#"{{"status":"provisioned","remoteId":{text}}}"#)).unwrap();
            provision(value).map(|response| response.remote_id)
        };
        for (text, id) in [
            ("0", "0"),
            ("-7", "-7"),
            ("9007199254740991", "9007199254740991"),
            ("-9007199254740991", "-9007199254740991"),
            ("\"9007199254740993\"", "9007199254740993"),
            ("\"1e21\"", "1e21"),
        ] {
            assert_eq!(read(text), Ok(Some(id.into())), "{text}");
        }
        for text in
            ["9007199254740992", "-9007199254740992", "18446744073709551615", "1e+21", "1.5", "1e-7", "1e300"]
        {
            let expected = BadResponse::Member { member: "remoteId".into(), rule: WHOLE_NUMBER.into() };
            assert_eq!(read(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn what_is_said_of_a_bad_response_is_short() {
        let long = "x".repeat(100_000);
        for member in ["status", "errorClass", "runAgainIn", "runAgainAt", "remoteId", "metadata", &long] {
            let mut response = json!({ "status": "provisioned" });
            response[member] = match member {
                "metadata" => json!({ &long: "\0" }),
                _ => json!(long),
            };
            let message = provision(response).unwrap_err().to_string();
            assert!(message.len() < 1_000, "{member}: {} bytes", message.len());
        }
    }

    #[test]
    fn a_deprovision_run_answers_otherwise() {
        let read = |status| Response::read(&json!({ "status": status }), Reason::Deprovision);
        assert!(read("deprovisioned").is_ok() && read("provisionNotNeeded").is_ok());
        assert!(read("provisioned").is_err() && read("deprovision").is_err());
    }

    #[test]
    fn iso_durations() {
        assert_eq!(iso_duration("PT0.5S"), Some(0.5));
        assert_eq!(iso_duration("P1W2DT3H"), Some(604_800.0 + 2.0 * 86_400.0 + 10_800.0));
        for bad in ["", "P", "PT", "P1Y", "1H", "PT1H1H", "PT-5S", "PTS", "P5S"] {
            assert_eq!(iso_duration(bad), None, "{bad}");
        }
    }
}
