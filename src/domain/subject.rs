//! Subjects: what can be provisioned, and what a caller may say of one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::ids::{StoreId, SubjectId};
use super::json::{BadJson, check_storable};
use super::status::words;

words!(
    /// The kinds of subject.
    SubjectKind {
        /// A person's record.
        Account = "account",
        /// A set of accounts.
        Group = "group",
        /// An organization or organizational unit (COU).
        Organization = "organization",
        /// A vocabulary entry, such as an affiliation.
        Type = "type",
    }
);

words!(
    /// Where a person's record stands in its life. Filters compare it; it has
    /// no effect of its own.
    SubjectStatus {
        /// In force.
        Active = "active",
        /// Not in force.
        Inactive = "inactive",
        /// Announced, not in force yet.
        Pending = "pending",
        /// Expired, but still served for a while.
        GracePeriod = "gracePeriod",
        /// Taken out of force by a person.
        Suspended = "suspended",
        /// Taken out of force by the system.
        Locked = "locked",
        /// Past its validity.
        Expired = "expired",
        /// Kept for the record only.
        Archived = "archived",
    }
);

/// Longest user name, display name or external id, in characters.
pub const MAX_NAME: usize = 256;
/// Most groups that one account may name.
pub const MAX_GROUPS: usize = 1_000;
/// Largest attributes of one subject, in bytes of JSON.
pub const MAX_ATTRIBUTES: usize = 256 * 1024;

/// A group, organization or type that a subject belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    /// Its id.
    pub id: SubjectId,
    /// Which kind it is.
    pub kind: SubjectKind,
    /// Its name within the store.
    pub display_name: String,
    /// The id that its source gave it.
    pub external_id: Option<String>,
}

/// A subject as the store holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// Its id.
    pub id: SubjectId,
    /// The store that holds it.
    pub store: StoreId,
    /// Which kind it is.
    pub kind: SubjectKind,
    /// The id that its source gave it.
    pub external_id: Option<String>,
    /// Log-in name; present exactly on accounts.
    pub user_name: Option<String>,
    /// Name for people; always present on other kinds.
    pub display_name: Option<String>,
    /// Life cycle.
    pub status: SubjectStatus,
    /// Everything else.
    pub attributes: Map<String, Value>,
    /// Counts the changes of the record, from 1.
    pub version: i64,
    /// When it came in.
    pub created_at: DateTime<Utc>,
    /// When the version last rose.
    pub updated_at: DateTime<Utc>,
    /// Set on tombstones.
    pub deleted_at: Option<DateTime<Utc>>,
    /// What it belongs to, groups and organization, sorted by kind and name.
    pub containers: Vec<Container>,
}

impl Subject {
    /// The groups that it is a member of.
    pub fn groups(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|container| container.kind == SubjectKind::Group)
    }

    /// The organization that it belongs to; at most one.
    pub fn organization(&self) -> Option<&Container> {
        self.containers.iter().find(|container| container.kind == SubjectKind::Organization)
    }

    /// The record without what the store itself keeps, to compare and to edit.
    pub fn draft(&self) -> SubjectDraft {
        SubjectDraft {
            external_id: self.external_id.clone(),
            user_name: self.user_name.clone(),
            display_name: self.display_name.clone(),
            status: self.status,
            attributes: self.attributes.clone(),
            groups: self.groups().map(|group| group.display_name.clone()).collect(),
            organization: self.organization().map(|organization| organization.display_name.clone()),
        }
    }
}

/// What a caller says of a subject: the whole record, without what the store
/// keeps (id, version, times).
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectDraft {
    /// The id that its source gave it.
    pub external_id: Option<String>,
    /// Log-in name; accounts only, and there mandatory.
    pub user_name: Option<String>,
    /// Name for people; mandatory on other kinds.
    pub display_name: Option<String>,
    /// Life cycle.
    pub status: SubjectStatus,
    /// Everything else.
    pub attributes: Map<String, Value>,
    /// External ids or names of groups.
    pub groups: BTreeSet<String>,
    /// External id or name of an organization.
    pub organization: Option<String>,
}

/// A rule that a field broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field, such as `attributes.emails[0]`.
    pub field: String,
    /// The rule, as the end of a sentence that begins with the field.
    pub rule: String,
}

impl FieldError {
    /// A broken rule of a field.
    pub fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { field: field.into(), rule: rule.into() }
    }
}

impl SubjectDraft {
    /// Every rule that the draft breaks; empty when it can be stored.
    pub fn errors(&self, kind: SubjectKind) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let account = kind == SubjectKind::Account;
        check_name(&mut errors, "userName", self.user_name.as_deref(), account);
        check_name(&mut errors, "displayName", self.display_name.as_deref(), !account);
        check_name(&mut errors, "externalId", self.external_id.as_deref(), false);
        check_name(&mut errors, "organization", self.organization.as_deref(), false);
        for group in &self.groups {
            check_name(&mut errors, "groups", Some(group), false);
        }
        if self.groups.len() > MAX_GROUPS {
            errors.push(FieldError::new("groups", format!("must not hold more than {MAX_GROUPS} names")));
        }
        errors.extend(attribute_errors(&self.attributes));
        errors
    }
}

/// Checks a JSON object that will be stored as attributes.
pub fn attribute_errors(attributes: &Map<String, Value>) -> Option<FieldError> {
    let value = Value::Object(attributes.clone());
    if let Err((path, rule)) = check_storable(&value) {
        let field = if path.is_empty() { "attributes".into() } else { format!("attributes.{path}") };
        return Some(FieldError::new(field, rule.to_string()));
    }
    let size = value.to_string().len();
    (size > MAX_ATTRIBUTES).then(|| {
        FieldError::new(
            "attributes",
            format!("must not be larger than {MAX_ATTRIBUTES} bytes of JSON, are {size}"),
        )
    })
}

fn check_name(errors: &mut Vec<FieldError>, field: &str, name: Option<&str>, mandatory: bool) {
    match name {
        None if mandatory => errors.push(FieldError::new(field, "is mandatory")),
        None => {}
        Some(name) => errors.extend(name_error(name).map(|rule| FieldError::new(field, rule))),
    }
}

fn name_error(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        Some("must not be empty".into())
    } else if name.trim() != name {
        Some("must not begin or end with white space".into())
    } else if name.chars().count() > MAX_NAME {
        Some(format!("must not be longer than {MAX_NAME} characters"))
    } else if name.contains('\0') {
        Some(BadJson::Nul.to_string())
    } else if name.chars().any(char::is_control) {
        Some("must not contain control characters".into())
    } else {
        None
    }
}

/// The names of what differs between two records, as logic sees them in
/// `ctx.changes`: core fields by name, attributes by their top-level name.
pub fn changes(before: &SubjectDraft, after: &SubjectDraft) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut note = |differs: bool, name: &str| {
        if differs {
            names.insert(name.to_owned());
        }
    };
    note(before.external_id != after.external_id, "externalId");
    note(before.user_name != after.user_name, "userName");
    note(before.display_name != after.display_name, "displayName");
    note(before.status != after.status, "status");
    note(before.groups != after.groups, "groups");
    note(before.organization != after.organization, "organization");
    for name in before.attributes.keys().chain(after.attributes.keys()) {
        note(before.attributes.get(name) != after.attributes.get(name), name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn draft() -> SubjectDraft {
        SubjectDraft {
            external_id: None,
            user_name: Some("ada".into()),
            display_name: None,
            status: SubjectStatus::Active,
            attributes: Map::new(),
            groups: BTreeSet::new(),
            organization: None,
        }
    }

    #[test]
    fn an_account_needs_a_user_name() {
        assert_eq!(draft().errors(SubjectKind::Account), []);
        let nameless = SubjectDraft { user_name: None, ..draft() };
        assert_eq!(nameless.errors(SubjectKind::Account), [FieldError::new("userName", "is mandatory")]);
    }

    #[test]
    fn every_broken_rule_is_listed() {
        let bad = SubjectDraft {
            user_name: Some(" ".into()),
            external_id: Some("a\nb".into()),
            organization: Some("x".repeat(300)),
            attributes: json!({"a": "\0"}).as_object().cloned().unwrap(),
            ..draft()
        };
        let fields: Vec<_> = bad.errors(SubjectKind::Account).into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["userName", "externalId", "organization", "attributes.a"]);
    }

    #[test]
    fn changes_name_what_differs() {
        let after = SubjectDraft {
            status: SubjectStatus::Locked,
            attributes: json!({"department": "Sales"}).as_object().cloned().unwrap(),
            ..draft()
        };
        let names: Vec<_> = changes(&draft(), &after).into_iter().collect();
        assert_eq!(names, ["department", "status"]);
    }
}
