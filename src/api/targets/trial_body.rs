//! What a caller says of a dry run.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::logic_to_run::{Choice, ChoiceBody};
use crate::api::subject_json::AccountBody;
use crate::domain::ids::SubjectId;
use crate::domain::json::check_storable;
use crate::domain::status::{ProvisionStatus, Reason, Trigger};
use crate::domain::subject::{FieldError, SubjectDraft, SubjectKind};
use crate::egress::{Script, ScriptedAnswer};
use crate::engine::trial::{Previous, Size, Who, Wish};
use crate::logic::{Dependencies, Language};

/// Most scripted answers.
const MOST_ANSWERS: usize = 100;
/// Most subjects of a sample that is answered at once.
const MOST_AT_ONCE: i64 = 200;

/// A dry run for one account, or a plan for a sample of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(super) struct TrialBody {
    account_id: Option<SubjectId>,
    account: Option<AccountBody>,
    reason: Option<Reason>,
    trigger: Option<Trigger>,
    attempt: Option<u32>,
    previous: Option<PreviousBody>,
    logic: Option<Value>,
    code: Option<String>,
    language: Option<Language>,
    package_dependencies: Option<Dependencies>,
    #[serde(default)]
    answers: Vec<AnswerBody>,
    reads: Option<bool>,
    sample: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
struct PreviousBody {
    status: Option<ProvisionStatus>,
    remote_id: Option<String>,
    metadata: Option<Value>,
}

/// An answer to requests that are not sent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
pub(in crate::api) struct AnswerBody {
    method: Option<String>,
    url: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    times: Option<u32>,
}

/// What is to be tried, for whom.
#[derive(Debug)]
pub(super) enum Asked {
    /// One account.
    One(Who),
    /// Many.
    Many(Size),
}

/// A body that holds to the rules.
pub(super) struct Trial {
    pub asked: Asked,
    pub choice: Choice,
    pub wish: Wish,
}

impl TrialBody {
    /// Reads it; a list of all rules that it breaks otherwise. `many` says what a
    /// body without an account and a sample asks for.
    pub(super) fn read(mut self, many: Option<Size>) -> Result<Trial, Vec<FieldError>> {
        let mut errors = Vec::new();
        let choice = ChoiceBody {
            logic: self.logic.take(),
            code: self.code.take(),
            language: self.language.take(),
            package_dependencies: self.package_dependencies.take(),
        };
        let choice = choice.read(&mut errors);
        let asked = self.asked(many, &mut errors);
        if matches!(asked, Some(Asked::Many(_))) {
            self.refuse_details(&mut errors);
        }
        if self.attempt == Some(0) {
            errors.push(FieldError::new("attempt", "must be 1 or more"));
        }
        let script = script(self.answers, &mut errors);
        let wish = Wish {
            reason: self.reason,
            trigger: self.trigger,
            attempt: self.attempt.unwrap_or(1),
            previous: self.previous.map(|previous| previous.read(&mut errors)),
            script,
            reads: self.reads.unwrap_or(true),
        };
        match asked {
            Some(asked) if errors.is_empty() => Ok(Trial { asked, choice, wish }),
            _ => Err(errors),
        }
    }

    fn asked(&mut self, many: Option<Size>, errors: &mut Vec<FieldError>) -> Option<Asked> {
        let sample = self.sample.take();
        let given = [self.account_id.is_some(), self.account.is_some(), sample.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            errors.push(FieldError::new("accountId", "goes alone: without `account` and `sample`"));
            return None;
        }
        if let Some(account) = self.account.take() {
            return made_up(account, errors).map(|draft| Asked::One(Who::MadeUp(Box::new(draft))));
        }
        if let Some(id) = self.account_id {
            return Some(Asked::One(Who::Account(id)));
        }
        let size = match sample {
            None => many,
            Some(Value::String(word)) if word == "all" => Some(Size::All),
            Some(value) => value.as_i64().filter(|n| (1..=MOST_AT_ONCE).contains(n)).map(Size::Sample),
        };
        if size.is_none() {
            errors.push(if given[2] {
                let rule = format!("must be a whole number from 1 to {MOST_AT_ONCE}, or \"all\"");
                FieldError::new("sample", rule)
            } else {
                FieldError::new("accountId", "must be given, or else `account` or `sample`")
            });
        }
        size.map(Asked::Many)
    }

    /// What makes sense for one account alone.
    fn refuse_details(&self, errors: &mut Vec<FieldError>) {
        let given = [
            (self.reason.is_some(), "reason"),
            (self.trigger.is_some(), "trigger"),
            (self.attempt.is_some(), "attempt"),
            (self.previous.is_some(), "previous"),
        ];
        for (_, field) in given.into_iter().filter(|(given, _)| *given) {
            errors.push(FieldError::new(field, "does not go with `sample`: it is that of each account"));
        }
    }
}

impl PreviousBody {
    fn read(self, errors: &mut Vec<FieldError>) -> Previous {
        let Self { status, remote_id, metadata } = self;
        if let Some(Err((path, rule))) = metadata.as_ref().map(check_storable) {
            errors.push(FieldError::new(format!("previous.metadata.{path}"), rule.to_string()));
        }
        Previous { status, remote_id, metadata }
    }
}

fn made_up(account: AccountBody, errors: &mut Vec<FieldError>) -> Option<SubjectDraft> {
    let claimed = account.claimed();
    let draft = SubjectDraft::from(account);
    let broken: Vec<FieldError> = claimed.into_iter().chain(draft.errors(SubjectKind::Account)).collect();
    let fine = broken.is_empty();
    errors.extend(
        broken.into_iter().map(|error| FieldError::new(format!("account.{}", error.field), error.rule)),
    );
    fine.then_some(draft)
}

/// Reads scripted answers; broken rules go to `errors`.
pub(in crate::api) fn script(answers: Vec<AnswerBody>, errors: &mut Vec<FieldError>) -> Script {
    if answers.len() > MOST_ANSWERS {
        errors.push(FieldError::new("answers", format!("must not have more than {MOST_ANSWERS} entries")));
    }
    let answer = |(place, answer): (usize, AnswerBody)| {
        answer.read().map_err(|(field, rule)| FieldError::new(format!("answers[{place}].{field}"), rule))
    };
    let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().enumerate().map(answer).partition(Result::is_ok);
    errors.extend(bad.into_iter().filter_map(Result::err));
    Script::from(good.into_iter().filter_map(Result::ok).collect::<Vec<_>>())
}

impl AnswerBody {
    fn read(self) -> Result<ScriptedAnswer, (&'static str, &'static str)> {
        let status = self.status.unwrap_or(200);
        if !(200..=599).contains(&status) {
            return Err(("status", "must be from 200 to 599"));
        }
        if self.method.as_ref().is_some_and(|method| !is_token(method)) {
            return Err(("method", "must be an HTTP method"));
        }
        if self.times == Some(0) {
            return Err(("times", "must be 1 or more"));
        }
        let is_value = |value: &String| value.chars().all(|c| !c.is_control());
        if !self.headers.iter().all(|(name, value)| is_token(name) && is_value(value)) {
            return Err(("headers", "must be names and values of header fields"));
        }
        let has_body = !matches!(&self.body, None | Some(Value::Null)) && self.body != Some("".into());
        if has_body && matches!(status, 204 | 205 | 304) {
            return Err(("body", "must be left out: an answer with this status has none"));
        }
        let mut headers: Vec<(String, String)> =
            self.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let body = match self.body {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text,
            Some(json) => {
                if !headers.iter().any(|(name, _)| name == "content-type") {
                    headers.push(("content-type".into(), "application/json".into()));
                }
                json.to_string()
            }
        };
        Ok(ScriptedAnswer {
            method: self.method.map(|method| method.to_ascii_uppercase()),
            url: self.url,
            status,
            headers,
            body: body.into(),
            times: self.times.unwrap_or(u32::MAX),
        })
    }
}

/// RFC 9110 §5.6.2
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
