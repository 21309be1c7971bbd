//! A merge patch (RFC 7396) for a subject.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::domain::json::merge_members;
use crate::domain::subject::{SubjectDraft, SubjectStatus};

/// What to change. The outer `None` leaves a field as it is; the inner one, a
/// `null` on the wire, removes it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SubjectPatch {
    /// The id that its source gave it.
    pub external_id: Option<Option<String>>,
    /// Log-in name.
    pub user_name: Option<Option<String>>,
    /// Name for people.
    pub display_name: Option<Option<String>>,
    /// Life cycle; removing it makes it `active`.
    pub status: Option<Option<SubjectStatus>>,
    /// Merged into the attributes; removing them leaves none.
    pub attributes: Option<Option<Map<String, Value>>>,
    /// Replaces the groups; removing them leaves none.
    pub groups: Option<Option<BTreeSet<String>>>,
    /// Replaces the organization.
    pub organization: Option<Option<String>>,
}

impl SubjectPatch {
    /// The record after the patch.
    pub fn apply(&self, draft: SubjectDraft) -> SubjectDraft {
        let mut attributes = draft.attributes;
        match &self.attributes {
            Some(Some(patch)) => merge_members(&mut attributes, patch),
            Some(None) => attributes.clear(),
            None => {}
        }
        SubjectDraft {
            external_id: self.external_id.clone().unwrap_or(draft.external_id),
            user_name: self.user_name.clone().unwrap_or(draft.user_name),
            display_name: self.display_name.clone().unwrap_or(draft.display_name),
            status: self.status.map_or(draft.status, |status| status.unwrap_or(SubjectStatus::Active)),
            attributes,
            groups: self.groups.clone().map_or(draft.groups, Option::unwrap_or_default),
            organization: self.organization.clone().unwrap_or(draft.organization),
        }
    }
}
