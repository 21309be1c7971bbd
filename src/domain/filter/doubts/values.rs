//! Attributes that a filter names, followed into the accounts of a sample by the
//! rules of `evaluate`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::ast::{Check, JsonTest, Literal, Operator, Step};
use super::super::text::Text;
use super::super::time::{Moment, instant};
use super::{Doubt, Sample, closest, each};

/// Words that people write for a time.
const WORDS: [&str; 6] = ["today", "tomorrow", "yesterday", "now", "never", "infinity"];

pub(super) fn attribute(test: &JsonTest, sample: &Sample, doubts: &mut BTreeSet<Doubt>) {
    let Some((Step::Member(first), rest)) = test.steps.split_first() else { return };
    let accounts: Vec<Place<'_>> = sample.accounts.iter().map(Place::Members).collect();
    if accounts.is_empty() {
        return compared(first, &test.check, &[], doubts);
    }
    let Some(values) = member(&accounts, first, first, doubts) else { return };
    follow(&values, first, rest, &test.check, doubts);
}

/// Where a name is looked for.
#[derive(Clone, Copy)]
enum Place<'a> {
    Members(&'a serde_json::Map<String, Value>),
    /// In and behind brackets it stands for `{"value": it}`.
    Simple(&'a Value),
}

impl<'a> Place<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        match self {
            Self::Members(members) => members.get(name),
            Self::Simple(value) => (name == "value").then_some(value),
        }
    }

    fn names(self) -> Vec<&'a str> {
        match self {
            Self::Members(members) => members.keys().map(String::as_str).collect(),
            Self::Simple(_) => vec!["value"],
        }
    }
}

/// The values of a member, arrays unwrapped by one level; a doubt when nobody has
/// one.
fn member<'a>(
    places: &[Place<'a>],
    name: &str,
    path: &str,
    doubts: &mut BTreeSet<Doubt>,
) -> Option<Vec<&'a Value>> {
    let found = places.iter().filter_map(|place| place.get(name));
    let values: Vec<&Value> = found
        .flat_map(|value| match value {
            Value::Array(items) => items.iter().collect(),
            other => vec![other],
        })
        .filter(|value| !value.is_null())
        .collect();
    if values.is_empty() {
        let names: BTreeSet<&str> = places.iter().flat_map(|place| place.names()).collect();
        let above = path.strip_suffix(name).unwrap_or_default();
        let meant = closest(name, names.into_iter()).map(|meant| format!("{above}{meant}"));
        doubts.insert(Doubt::Unknown { path: path.to_owned(), meant });
        return None;
    }
    Some(values)
}

fn follow(values: &[&Value], path: &str, steps: &[Step], check: &Check, doubts: &mut BTreeSet<Doubt>) {
    let Some((step, rest)) = steps.split_first() else { return compared(path, check, values, doubts) };
    match step {
        Step::Member(name) => {
            let places = objects(values);
            let path = format!("{path}.{name}");
            if let Some(values) = member(&places, name, &path, doubts) {
                follow(&values, &path, rest, check, doubts);
            }
        }
        Step::Where(condition) => {
            let places = elements(values);
            each(condition, &mut |inner| within(&places, path, &inner.steps, &inner.check, doubts));
            within(&places, path, rest, check, doubts);
        }
    }
}

/// The same in and behind brackets.
fn within(places: &[Place<'_>], path: &str, steps: &[Step], check: &Check, doubts: &mut BTreeSet<Doubt>) {
    let Some((Step::Member(name), rest)) = steps.split_first() else { return };
    let path = format!("{path}.{name}");
    if let Some(values) = member(places, name, &path, doubts) {
        follow(&values, &path, rest, check, doubts);
    }
}

fn objects<'a>(values: &[&'a Value]) -> Vec<Place<'a>> {
    values.iter().filter_map(|value| value.as_object()).map(Place::Members).collect()
}

fn elements<'a>(values: &[&'a Value]) -> Vec<Place<'a>> {
    let place = |value: &&'a Value| value.as_object().map_or(Place::Simple(value), Place::Members);
    values.iter().map(place).collect()
}

/// Whether anything that accounts have can be compared with the literal.
fn compared(path: &str, check: &Check, values: &[&Value], doubts: &mut BTreeSet<Doubt>) {
    let Check::Compare(operator, literal) = check else { return };
    let values: Vec<&Value> = values.iter().map(|value| significant(value)).collect();
    let (wanted, fits): (_, fn(&Value) -> bool) = match literal {
        Literal::Text(_) => ("text", Value::is_string),
        Literal::Number(_) => ("a number", Value::is_number),
        Literal::Bool(_) => ("`true` or `false`", Value::is_boolean),
        Literal::Null => return,
    };
    if !values.is_empty() && !values.iter().any(|value| fits(value)) {
        let found: BTreeSet<&str> = values.iter().map(|value| kind(value)).collect();
        let found = found.into_iter().collect::<Vec<_>>().join(" and ");
        doubts.insert(Doubt::OtherType { path: path.to_owned(), literal: wanted, found });
    }
    if let Literal::Text(text) = literal {
        let texts: Vec<&str> = values.iter().filter_map(|value| value.as_str()).collect();
        timely(path, *operator, text, &texts, doubts);
    }
}

fn significant(value: &Value) -> &Value {
    value.as_object().map_or(value, |members| members.get("value").unwrap_or(&Value::Null))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Number(_) => "numbers",
        Value::Bool(_) => "`true` and `false`",
        Value::Array(_) => "lists",
        Value::Object(_) | Value::Null => "objects",
    }
}

/// Whether a text that is meant as a time is one.
fn timely(path: &str, operator: Operator, text: &Text, values: &[&str], doubts: &mut BTreeSet<Doubt>) {
    let raw = text.raw();
    let times = values.iter().filter(|value| instant(value).is_some()).count();
    match text.moment() {
        Some(Moment::Relative(_)) if !values.is_empty() && times == 0 => {
            let found = "text that is no time such as `2024-01-31` or `2024-01-31T12:00:00Z`".to_owned();
            doubts.insert(Doubt::OtherType { path: path.to_owned(), literal: "a time", found });
        }
        Some(_) => {}
        None if operator.searches() => {}
        None => {
            let known = values.iter().any(|value| value.eq_ignore_ascii_case(raw));
            let misplaced = matches!(Moment::read(raw), Some(Moment::Relative(_)));
            let ordered = operator.orders() && times > 0 && times == values.len();
            if !known && (misplaced || ordered || word_of_time(raw)) {
                doubts.insert(Doubt::NoTime { literal: raw.to_owned(), misplaced });
            }
        }
    }
}

/// `today`, `today+7d`, `now + 7d`, `+7d`.
fn word_of_time(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    let behind = WORDS.iter().find_map(|word| text.strip_prefix(word)).map(str::trim_start);
    match behind {
        Some(rest) => rest.is_empty() || rest.starts_with(['+', '-']),
        None => text.strip_prefix(['+', '-']).is_some_and(|rest| {
            let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            unit.len() < rest.len() && ["m", "h", "d", "w", "y"].contains(&unit)
        }),
    }
}
