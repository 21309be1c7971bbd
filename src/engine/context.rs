//! `ctx`, as logic sees it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::job::Job;
use super::surroundings::Surroundings;
use crate::domain::ids::SubjectId;
use crate::domain::status::{ProvisionStatus, Reason, Trigger};
use crate::domain::subject::{Container, Subject, SubjectKind, SubjectStatus};
use crate::storage::claim::Claimed;
use crate::storage::gate::Dependency;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    reason: Reason,
    trigger: Trigger,
    attempt: u32,
    idempotency_key: String,
    subject: SubjectView<'a>,
    groups: Vec<ContainerView<'a>>,
    organizations: Vec<ContainerView<'a>>,
    members: [(); 0],
    changes: &'a [String],
    previous: Previous<'a>,
    target: &'a RawValue,
    connection: &'a RawValue,
    dependencies: BTreeMap<&'a str, DependencyView<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubjectView<'a> {
    kind: SubjectKind,
    id: SubjectId,
    external_id: Option<&'a str>,
    user_name: Option<&'a str>,
    display_name: Option<&'a str>,
    status: SubjectStatus,
    attributes: &'a Map<String, Value>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerView<'a> {
    id: SubjectId,
    external_id: Option<&'a str>,
    display_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Previous<'a> {
    status: ProvisionStatus,
    remote_id: Option<&'a str>,
    metadata: Option<&'a Value>,
    last_run_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DependencyView<'a> {
    status: ProvisionStatus,
    remote_id: Option<&'a str>,
    metadata: Option<&'a Value>,
}

/// The JSON text of `ctx` for a claimed subject. The JavaScript side adds
/// `signal`, and `account` as another name of `subject`.
pub fn context(around: &Surroundings, job: &Job) -> Result<String, serde_json::Error> {
    let Job { claimed, reason, trigger, .. } = job;
    let (reason, trigger) = (*reason, *trigger);
    let subject = &claimed.subject;
    serde_json::to_string(&Context {
        reason,
        trigger,
        attempt: claimed.attempt,
        idempotency_key: idempotency_key(around, claimed, reason),
        subject: view(subject),
        groups: subject.groups().map(container).collect(),
        organizations: subject.organization().into_iter().map(container).collect(),
        members: [],
        changes: &claimed.changes,
        previous: Previous {
            status: claimed.known.status.unwrap_or(ProvisionStatus::Pending),
            remote_id: claimed.remote_id.as_deref(),
            metadata: claimed.metadata.as_ref(),
            last_run_at: claimed.last_run_at,
        },
        target: &around.target_json,
        connection: &around.connection_json,
        dependencies: job.dependencies.iter().map(dependency).collect(),
    })
}

/// Stable across retries of a version and reason, and across the looks that
/// logic schedules for itself, which continue the same work. A version that was
/// done before and is run again because a person asks gets a key of its own, or
/// the external system would take the new run for a repetition.
fn idempotency_key(around: &Surroundings, claimed: &Claimed, reason: Reason) -> String {
    let Subject { id, version, .. } = claimed.subject;
    let key = format!("{}-{id}-{version}-{reason}", around.target.id);
    if claimed.known.done_version >= version { format!("{key}-{}", claimed.change_seq) } else { key }
}

fn view(subject: &Subject) -> SubjectView<'_> {
    SubjectView {
        kind: subject.kind,
        id: subject.id,
        external_id: subject.external_id.as_deref(),
        user_name: subject.user_name.as_deref(),
        display_name: subject.display_name.as_deref(),
        status: subject.status,
        attributes: &subject.attributes,
        version: subject.version,
        created_at: subject.created_at,
        updated_at: subject.updated_at,
        deleted_at: subject.deleted_at,
    }
}

fn dependency(left: &Dependency) -> (&str, DependencyView<'_>) {
    let Dependency { target, status, remote_id, metadata } = left;
    let view =
        DependencyView { status: *status, remote_id: remote_id.as_deref(), metadata: metadata.as_ref() };
    (target, view)
}

fn container(container: &Container) -> ContainerView<'_> {
    ContainerView {
        id: container.id,
        external_id: container.external_id.as_deref(),
        display_name: &container.display_name,
    }
}
