//! What may be wrong about a filter that can be read: it names what no account
//! has, compares with what its author took for a time, or waits for a day that
//! nobody looks at. Judged by a sample of the accounts that it is meant for.

mod clock;
mod values;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Filter;
use super::ast::{Check, ContainerField, Expression, Literal, Operator, SubjectTest};
use crate::domain::subject::SubjectKind;

/// Most doubts that one filter is told.
const MOST: usize = 20;

/// Some of the accounts of a store, and its groups and organizations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Attributes, an account each.
    pub accounts: Vec<Map<String, Value>>,
    /// These are all accounts.
    pub whole: bool,
    /// Names of groups; `None` when there are too many to look at.
    pub groups: Option<BTreeSet<String>>,
    /// The same of organizations.
    pub organizations: Option<BTreeSet<String>>,
}

/// Something that is most likely a mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// No account has such an attribute.
    Unknown {
        /// As the filter writes it.
        path: String,
        /// One that some account has.
        meant: Option<String>,
    },
    /// No account has a value of the type that it is compared with.
    OtherType {
        /// Of the attribute.
        path: String,
        /// What the filter compares with: `a number`.
        literal: &'static str,
        /// What the accounts have: `text`.
        found: String,
    },
    /// A text stands where a time belongs.
    NoTime {
        /// The text.
        literal: String,
        /// It would be one behind `gt`, `ge`, `lt` and `le`.
        misplaced: bool,
    },
    /// There is no such group or organization.
    NoContainer {
        /// Which of the two.
        kind: SubjectKind,
        /// The name.
        name: String,
        /// One that there is.
        meant: Option<String>,
    },
    /// Time alone changes nothing.
    Clock,
}

impl Doubt {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "unknownAttribute",
            Self::OtherType { .. } => "otherType",
            Self::NoTime { .. } => "noTime",
            Self::NoContainer { kind: SubjectKind::Organization, .. } => "unknownOrganization",
            Self::NoContainer { .. } => "unknownGroup",
            Self::Clock => "clock",
        }
    }

    /// A sentence for people; `sample` is what it was judged by.
    pub fn sentence(&self, sample: &Sample) -> String {
        match self {
            Self::Unknown { path, meant } => {
                format!("{} has `{path}`{}", nobody(sample), suggestion(meant.as_deref()))
            }
            Self::OtherType { path, literal, found } => format!(
                "`{path}` is compared with {literal}, and {} has one there, only {found}: types are never \
                 converted",
                nobody(sample)
            ),
            Self::NoTime { literal, misplaced: true } => {
                format!("`{literal}` is a time only behind `gt`, `ge`, `lt` and `le`; here it is text")
            }
            Self::NoTime { literal, misplaced: false } => format!(
                "`{literal}` is no time: write `2024-01-31`, `2024-01-31T12:00:00Z`, or `now`, `now-7d` behind \
                 `gt`, `ge`, `lt` or `le`"
            ),
            Self::NoContainer { kind, name, meant } => {
                format!("there is no {kind} `{name}`{}", suggestion(meant.as_deref()))
            }
            Self::Clock => "the filter looks at the time (`now`), and time alone makes no work: an account that \
                comes into it is noticed when it changes next or by a force, one that leaves it when it changes \
                next or by an edit of the filter"
                .into(),
        }
    }
}

fn nobody(sample: &Sample) -> String {
    match sample.whole {
        true => "no account".into(),
        false => format!("none of the {} accounts that were looked at", sample.accounts.len()),
    }
}

fn suggestion(meant: Option<&str>) -> String {
    meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default()
}

impl Filter {
    /// What may be wrong about it. Without any accounts nothing is known, and only
    /// what is wrong whatever they look like is told.
    pub fn doubts(&self, sample: &Sample) -> Vec<Doubt> {
        let mut doubts = BTreeSet::new();
        if let Some(expression) = self.expression() {
            each(expression, &mut |test| judge(test, sample, &mut doubts));
        }
        if self.looks_at_time() {
            doubts.insert(Doubt::Clock);
        }
        doubts.into_iter().take(MOST).collect()
    }
}

impl Filter {
    /// Whether it names groups, or organizations.
    pub fn names(&self, kind: SubjectKind) -> bool {
        let mut found = false;
        if let Some(expression) = self.expression() {
            each(expression, &mut |test| {
                found |= matches!(test, SubjectTest::Containers(test) if test.kind == kind);
            });
        }
        found
    }
}

fn judge(test: &SubjectTest, sample: &Sample, doubts: &mut BTreeSet<Doubt>) {
    match test {
        // What cannot be true of a field is refused when the filter is read.
        SubjectTest::Core(..) => {}
        SubjectTest::Attributes(test) => values::attribute(test, sample, doubts),
        SubjectTest::Containers(test) => {
            let known = match test.kind {
                SubjectKind::Organization => &sample.organizations,
                _ => &sample.groups,
            };
            let Some(known) = known else { return };
            let mut look = |field: Option<ContainerField>, check: &Check| {
                doubts.extend(name_of(field, check).and_then(|name| container(test.kind, name, known)));
            };
            look(test.field, &test.check);
            if let Some(condition) = &test.condition {
                each(condition, &mut |inner| look(Some(inner.field), &inner.check));
            }
        }
    }
}

/// The name that a container is compared with.
fn name_of(field: Option<ContainerField>, check: &Check) -> Option<&str> {
    let names = matches!(field, None | Some(ContainerField::DisplayName));
    match check {
        Check::Compare(Operator::Eq | Operator::Ne, Literal::Text(text)) if names => Some(text.raw()),
        _ => None,
    }
}

fn container(kind: SubjectKind, name: &str, known: &BTreeSet<String>) -> Option<Doubt> {
    // Without a field it may be an id as well, which is not looked up.
    let id = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if id || known.iter().any(|other| other.eq_ignore_ascii_case(name)) {
        return None;
    }
    let meant = closest(name, known.iter().map(String::as_str));
    Some(Doubt::NoContainer { kind, name: name.to_owned(), meant })
}

fn each<T>(expression: &Expression<T>, visit: &mut dyn FnMut(&T)) {
    match expression {
        Expression::All(parts) | Expression::Any(parts) => {
            parts.iter().for_each(|part| each(part, visit));
        }
        Expression::Not(part) => each(part, visit),
        Expression::Test(test) => visit(test),
    }
}

/// The known name that a person most likely meant: the same in another case, or
/// one that differs in up to a third of its letters.
fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let folded = name.to_lowercase();
    let most = (folded.chars().count() / 3).max(1);
    known
        .map(|other| (strsim::damerau_levenshtein(&folded, &other.to_lowercase()), other))
        .filter(|(distance, other)| *distance <= most && *other != name)
        .min()
        .map(|(_, other)| other.to_owned())
}

#[cfg(test)]
mod tests;
