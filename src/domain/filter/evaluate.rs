//! Filters in memory. Every rule here has its counterpart in
//! `storage::filter_sql`; a property test holds the two equal.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::ast::{
    Check, ContainerField, ContainerTest, ContainersTest, Expression, Field, JsonTest, Literal, Operator,
    Step, SubjectTest,
};
use super::text::{Case, Text, admits};
use super::time::{Moment, instant};
use crate::domain::subject::{Container, Subject};

/// Whether a subject satisfies an expression at `now`.
pub(super) fn subject(expression: &Expression<SubjectTest>, subject: &Subject, now: DateTime<Utc>) -> bool {
    let now = now.timestamp_micros();
    expression.holds(&|test| match test {
        SubjectTest::Core(field, check) => core(subject, *field, check, now),
        SubjectTest::Containers(test) => containers(subject, test),
        SubjectTest::Attributes(test) => test.check.negated() != attributes(subject, test, now),
    })
}

fn core(subject: &Subject, field: Field, check: &Check, now: i64) -> bool {
    let accepted = match field {
        Field::UserName => text(check, subject.user_name.as_deref(), Case::Folded),
        Field::DisplayName => text(check, subject.display_name.as_deref(), Case::Folded),
        Field::ExternalId => text(check, subject.external_id.as_deref(), Case::Exact),
        Field::Status => text(check, Some(subject.status.as_str()), Case::Folded),
        Field::Id => text(check, Some(&subject.id.to_string()), Case::Exact),
        Field::CreatedAt => time(check, subject.created_at, now),
        Field::UpdatedAt => time(check, subject.updated_at, now),
    };
    check.negated() != accepted
}

fn text(check: &Check, value: Option<&str>, case: Case) -> bool {
    match (check, value) {
        (_, None) => false,
        (Check::Present | Check::Compare(_, Literal::Null), Some(value)) => !value.is_empty(),
        (Check::Compare(operator, Literal::Text(text)), Some(value)) => text.accepts(*operator, value, case),
        (Check::Compare(..), Some(_)) => false,
    }
}

fn time(check: &Check, value: DateTime<Utc>, now: i64) -> bool {
    match check {
        Check::Present | Check::Compare(_, Literal::Null) => true,
        Check::Compare(operator, Literal::Text(text)) => text
            .moment()
            .is_some_and(|moment| admits(*operator, value.timestamp_micros().cmp(&moment.micros(now)))),
        Check::Compare(..) => false,
    }
}

fn containers(subject: &Subject, test: &ContainersTest) -> bool {
    let accepted = |container: &Container| {
        let admitted = test.condition.as_ref().is_none_or(|condition| {
            condition.holds(&|inner: &ContainerTest| {
                inner.check.negated() != container_field(container, inner.field, &inner.check)
            })
        });
        admitted && container_check(container, test)
    };
    let members = subject.containers.iter().filter(|container| container.kind == test.kind);
    test.check.negated() != members.into_iter().any(accepted)
}

fn container_check(container: &Container, test: &ContainersTest) -> bool {
    match (test.field, &test.check) {
        (Some(field), check) => container_field(container, field, check),
        (None, Check::Present | Check::Compare(_, Literal::Null)) => true,
        (None, check) => ContainerField::ALL.iter().any(|field| container_field(container, *field, check)),
    }
}

fn container_field(container: &Container, field: ContainerField, check: &Check) -> bool {
    match field {
        ContainerField::DisplayName => text(check, Some(&container.display_name), Case::Folded),
        ContainerField::ExternalId => text(check, container.external_id.as_deref(), Case::Exact),
        // Spares the text of the id where the literal could not be part of one.
        ContainerField::Id => match check {
            Check::Compare(operator, Literal::Text(text))
                if !operator.orders() && !text.raw().bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                false
            }
            _ => text(check, Some(&container.id.to_string()), Case::Exact),
        },
    }
}

fn attributes(subject: &Subject, test: &JsonTest, now: i64) -> bool {
    match test.steps.split_first() {
        Some((Step::Member(name), rest)) => {
            let value = subject.attributes.get(name);
            value.is_some_and(|value| within(value, rest, &test.check, now))
        }
        _ => false,
    }
}

/// Whether `check` accepts any value that the steps lead to. An array stands
/// for its elements, by one level, at every step and at the end.
fn within(value: &Value, steps: &[Step], check: &Check, now: i64) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| element(item, steps, check, now)),
        other => element(other, steps, check, now),
    }
}

fn element(value: &Value, steps: &[Step], check: &Check, now: i64) -> bool {
    match steps.split_first() {
        None => accepts(check, value, now),
        Some((Step::Member(name), rest)) => value
            .as_object()
            .and_then(|members| members.get(name))
            .is_some_and(|value| within(value, rest, check, now)),
        Some((Step::Where(condition), rest)) => {
            let admitted = condition
                .holds(&|test| test.check.negated() != relative(value, &test.steps, &test.check, now));
            admitted && relative(value, rest, check, now)
        }
    }
}

/// Like [`element`], in brackets or behind them, where a simple value stands
/// for the object `{"value": it}` (RFC 7643 §2.4).
fn relative(value: &Value, steps: &[Step], check: &Check, now: i64) -> bool {
    match (value, steps.split_first()) {
        (Value::Object(_), _) | (_, None) => element(value, steps, check, now),
        (_, Some((Step::Member(name), rest))) => name == "value" && within(value, rest, check, now),
        (_, Some((Step::Where(_), _))) => false,
    }
}

fn accepts(check: &Check, value: &Value, now: i64) -> bool {
    match check {
        Check::Present | Check::Compare(_, Literal::Null) => !is_empty(value),
        Check::Compare(operator, literal) => match (literal, significant(value)) {
            (Literal::Text(text), Value::String(value)) => accepts_text(text, *operator, value, now),
            (Literal::Number(literal), Value::Number(value)) => value
                .as_f64()
                .and_then(|value| value.partial_cmp(literal))
                .is_some_and(|ordering| admits(*operator, ordering)),
            (Literal::Bool(literal), Value::Bool(value)) => literal == value,
            _ => false,
        },
    }
}

/// An object is compared by its `value` member, so that `emails co "x"` means
/// `emails.value co "x"` (RFC 7643 §2.4).
fn significant(value: &Value) -> &Value {
    match value {
        Value::Object(members) => members.get("value").unwrap_or(&Value::Null),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Two times compare as times; a relative time compares with nothing else.
fn accepts_text(text: &Text, operator: Operator, value: &str, now: i64) -> bool {
    match (text.moment(), text.moment().and_then(|_| instant(value))) {
        (Some(moment), Some(value)) => admits(operator, value.cmp(&moment.micros(now))),
        (Some(Moment::Relative(_)), None) => false,
        _ => text.accepts(operator, value, Case::Folded),
    }
}
