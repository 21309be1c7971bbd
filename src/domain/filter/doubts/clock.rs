//! Filters that look at the time, and when their verdict about a subject turns.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::super::Filter;
use super::super::ast::{Check, Expression, Field, JsonTest, Literal, Step, SubjectTest};
use super::super::time::{Moment, instant};
use super::each;
use crate::domain::subject::Subject;

/// Most times of one subject that are looked at.
const MOST: usize = 1_000;

impl Filter {
    /// Whether it compares with a time that moves: `now`, `now-7d`.
    pub fn looks_at_time(&self) -> bool {
        let mut found = false;
        if let Some(expression) = self.expression() {
            each(expression, &mut |test| found |= looks(test));
        }
        found
    }

    /// The first moment after `now` at which the verdict about a subject is another,
    /// if nothing about the subject changes until then.
    pub fn turns(&self, subject: &Subject, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut moments = Vec::new();
        each(self.expression()?, &mut |test| moments_of(test, subject, &mut moments));
        let begin = now.timestamp_micros();
        // A comparison turns at the moment itself or right behind it.
        let mut moments: Vec<i64> = moments
            .into_iter()
            .take(MOST)
            .flat_map(|moment| [moment, moment.saturating_add(1)])
            .filter(|moment| *moment > begin)
            .collect();
        moments.sort_unstable();
        moments.dedup();
        let verdict = self.matches(subject, now);
        let mut moments = moments.into_iter().filter_map(DateTime::from_timestamp_micros);
        moments.find(|moment| self.matches(subject, *moment) != verdict)
    }
}

fn offset(check: &Check) -> Option<i64> {
    match check {
        Check::Compare(_, Literal::Text(text)) => match text.moment() {
            Some(Moment::Relative(offset)) => Some(offset),
            _ => None,
        },
        _ => None,
    }
}

fn looks(test: &SubjectTest) -> bool {
    match test {
        SubjectTest::Core(_, check) => offset(check).is_some(),
        SubjectTest::Containers(_) => false,
        SubjectTest::Attributes(test) => looks_within(test),
    }
}

fn looks_within(test: &JsonTest) -> bool {
    let within = |step: &Step| match step {
        Step::Member(_) => false,
        Step::Where(condition) => any(condition, &looks_within),
    };
    offset(&test.check).is_some() || test.steps.iter().any(within)
}

fn any<T>(expression: &Expression<T>, test: &dyn Fn(&T) -> bool) -> bool {
    let mut found = false;
    each(expression, &mut |leaf| found |= test(leaf));
    found
}

/// When `value <operator> now + offset` may turn: at `value - offset`.
fn moments_of(test: &SubjectTest, subject: &Subject, moments: &mut Vec<i64>) {
    match test {
        SubjectTest::Core(field, check) => {
            let value = match field {
                Field::CreatedAt => subject.created_at,
                Field::UpdatedAt => subject.updated_at,
                _ => return,
            };
            moments.extend(offset(check).map(|offset| value.timestamp_micros().saturating_sub(offset)));
        }
        SubjectTest::Containers(_) => {}
        SubjectTest::Attributes(test) => {
            if let Some((Step::Member(first), rest)) = test.steps.split_first()
                && let Some(value) = subject.attributes.get(first)
            {
                times(value, rest, &test.check, moments);
            }
        }
    }
}

/// Too many rather than too few: what brackets leave out is looked at as well.
fn times(value: &Value, steps: &[Step], check: &Check, moments: &mut Vec<i64>) {
    if moments.len() >= MOST {
        return;
    }
    if let Value::Array(items) = value {
        return items.iter().for_each(|item| times(item, steps, check, moments));
    }
    match steps.split_first() {
        None => {
            let text = value.as_str().or_else(|| value.get("value").and_then(Value::as_str));
            let moment = text.and_then(instant).zip(offset(check));
            moments.extend(moment.map(|(value, offset)| value.saturating_sub(offset)));
        }
        Some((Step::Member(name), rest)) => match value.get(name) {
            Some(value) => times(value, rest, check, moments),
            // In brackets a simple value goes by this name.
            None if name == "value" => times(value, rest, check, moments),
            None => {}
        },
        Some((Step::Where(condition), rest)) => {
            each(condition, &mut |inner| times(value, &inner.steps, &inner.check, moments));
            times(value, rest, check, moments);
        }
    }
}
