//! Subjects on the wire.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::ids::{StoreId, SubjectId};
use crate::domain::subject::{FieldError, Subject, SubjectDraft, SubjectStatus};
use crate::http::Problem;
use crate::storage::memberships::Member;
use crate::storage::subject_list::Life;
use crate::storage::subjects::SubjectPatch;

/// Declares the body of a POST and a PUT: optional fields, and those that the
/// store keeps itself. A PUT may send these back as it got them; a POST may
/// not claim them.
macro_rules! body {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "an object")]
        pub(super) struct $name {
            $(pub $field: Option<$type>,)+
            id: Option<IgnoredAny>,
            store_id: Option<IgnoredAny>,
            version: Option<IgnoredAny>,
            created_at: Option<IgnoredAny>,
            updated_at: Option<IgnoredAny>,
            deleted_at: Option<IgnoredAny>,
        }

        impl $name {
            /// A rule for each field that only the store may set.
            pub(super) fn claimed(&self) -> Vec<FieldError> {
                let claims = [
                    (self.id.is_some(), "id"),
                    (self.store_id.is_some(), "storeId"),
                    (self.version.is_some(), "version"),
                    (self.created_at.is_some(), "createdAt"),
                    (self.updated_at.is_some(), "updatedAt"),
                    (self.deleted_at.is_some(), "deletedAt"),
                ];
                let claimed = claims.into_iter().filter(|(claimed, _)| *claimed);
                claimed.map(|(_, field)| FieldError::new(field, "is set by the store, not by its callers")).collect()
            }
        }
    };
}

body!(
    /// An account as a caller describes it, and as a line of an import does.
    AccountBody {
        user_name: String,
        external_id: String,
        display_name: String,
        status: SubjectStatus,
        attributes: Map<String, Value>,
        groups: BTreeSet<String>,
        organization: String,
    }
);

impl From<AccountBody> for SubjectDraft {
    fn from(body: AccountBody) -> Self {
        Self {
            external_id: body.external_id,
            user_name: body.user_name,
            display_name: body.display_name,
            status: body.status.unwrap_or(SubjectStatus::Active),
            attributes: body.attributes.unwrap_or_default(),
            groups: body.groups.unwrap_or_default(),
            organization: body.organization,
        }
    }
}

body!(
    /// A group, an organization or a type as a caller describes it.
    ContainerBody {
        display_name: String,
        external_id: String,
        status: SubjectStatus,
        attributes: Map<String, Value>,
        members: Vec<String>,
    }
);

impl From<ContainerBody> for SubjectDraft {
    fn from(body: ContainerBody) -> Self {
        Self {
            external_id: body.external_id,
            user_name: None,
            display_name: body.display_name,
            status: body.status.unwrap_or(SubjectStatus::Active),
            attributes: body.attributes.unwrap_or_default(),
            groups: BTreeSet::new(),
            organization: None,
        }
    }
}

/// What the parameter `deleted` says about which subjects a list shows.
///
/// # Errors
/// A 400 that names the parameter.
pub(super) fn life(deleted: Option<&str>) -> Result<Life, Problem> {
    match deleted {
        None | Some("false") => Ok(Life::Living),
        Some("true") => Ok(Life::Any),
        Some("only") => Ok(Life::Deleted),
        Some(_) => Err(Problem::parameter("deleted", "must be `true`, `false` or `only`")),
    }
}

/// Tells `null` from absence: a merge patch removes with it.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A merge patch for an account.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "an object")]
#[derive(Default)]
pub(super) struct AccountPatch {
    #[serde(deserialize_with = "given")]
    user_name: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    external_id: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    display_name: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    status: Option<Option<SubjectStatus>>,
    #[serde(deserialize_with = "given")]
    attributes: Option<Option<Map<String, Value>>>,
    #[serde(deserialize_with = "given")]
    groups: Option<Option<BTreeSet<String>>>,
    #[serde(deserialize_with = "given")]
    organization: Option<Option<String>>,
}

impl From<AccountPatch> for SubjectPatch {
    fn from(patch: AccountPatch) -> Self {
        Self {
            external_id: patch.external_id,
            user_name: patch.user_name,
            display_name: patch.display_name,
            status: patch.status,
            attributes: patch.attributes,
            groups: patch.groups,
            organization: patch.organization,
        }
    }
}

/// A merge patch for a group, an organization or a type.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "an object")]
pub(super) struct ContainerPatch {
    #[serde(deserialize_with = "given")]
    display_name: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    external_id: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    status: Option<Option<SubjectStatus>>,
    #[serde(deserialize_with = "given")]
    attributes: Option<Option<Map<String, Value>>>,
    #[serde(deserialize_with = "given")]
    members: Option<Option<Vec<String>>>,
}

impl ContainerPatch {
    /// The members to be, if the patch says anything of them.
    pub(super) fn take_members(&mut self) -> Option<Vec<String>> {
        self.members.take().map(Option::unwrap_or_default)
    }
}

impl From<ContainerPatch> for SubjectPatch {
    fn from(patch: ContainerPatch) -> Self {
        Self {
            external_id: patch.external_id,
            display_name: patch.display_name,
            status: patch.status,
            attributes: patch.attributes,
            ..Self::default()
        }
    }
}

/// An account as the store holds it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountView {
    id: SubjectId,
    store_id: StoreId,
    user_name: Option<String>,
    external_id: Option<String>,
    display_name: Option<String>,
    status: SubjectStatus,
    attributes: Map<String, Value>,
    groups: Vec<String>,
    organization: Option<String>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<DateTime<Utc>>,
}

impl From<Subject> for AccountView {
    fn from(subject: Subject) -> Self {
        Self {
            groups: subject.groups().map(|group| group.display_name.clone()).collect(),
            organization: subject.organization().map(|organization| organization.display_name.clone()),
            id: subject.id,
            store_id: subject.store,
            user_name: subject.user_name,
            external_id: subject.external_id,
            display_name: subject.display_name,
            status: subject.status,
            attributes: subject.attributes,
            version: subject.version,
            created_at: subject.created_at,
            updated_at: subject.updated_at,
            deleted_at: subject.deleted_at,
        }
    }
}

/// A group, an organization or a type as the store holds it. Its members are
/// a list of their own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerView {
    id: SubjectId,
    store_id: StoreId,
    display_name: Option<String>,
    external_id: Option<String>,
    status: SubjectStatus,
    attributes: Map<String, Value>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<DateTime<Utc>>,
}

impl From<Subject> for ContainerView {
    fn from(subject: Subject) -> Self {
        Self {
            id: subject.id,
            store_id: subject.store,
            display_name: subject.display_name,
            external_id: subject.external_id,
            status: subject.status,
            attributes: subject.attributes,
            version: subject.version,
            created_at: subject.created_at,
            updated_at: subject.updated_at,
            deleted_at: subject.deleted_at,
        }
    }
}

/// A member of a container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberView {
    id: SubjectId,
    user_name: String,
    display_name: Option<String>,
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self { id: member.id, user_name: member.user_name, display_name: member.display_name }
    }
}
