//! What a run would do, in one word, and whether two pieces of logic would do the
//! same.

use serde::Serialize;
use serde_json::{Map, Value};

use super::act::Act;
use super::case::Case;
use crate::domain::host_call::{Exchange, Handling};
use crate::domain::status::{ErrorClass, ProvisionStatus, Reason, Trigger};

/// What a run would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Provision what is not there yet.
    Create,
    /// Provision what is there.
    Update,
    /// Nothing would be written there.
    Unchanged,
    /// Remove or deactivate.
    Deprovision,
    /// There is nothing to do.
    NotNeeded,
    /// The external system would go on working.
    Ongoing,
    /// It would fail.
    Failure,
}

/// In one word, what a run would do.
pub(super) fn verdict(case: &Case, act: &Act) -> Verdict {
    let there = case.job.claimed.known.present || case.before.remote_id.is_some();
    let end = &act.conclusion;
    let asks = end.next.as_ref().is_some_and(|next| next.deprovision && next.trigger == Trigger::Logic);
    match end.status {
        ProvisionStatus::ProvisionFailed => Verdict::Failure,
        ProvisionStatus::ProvisionOngoing => Verdict::Ongoing,
        ProvisionStatus::ProvisionNotNeeded => Verdict::NotNeeded,
        _ if asks || end.status == ProvisionStatus::Deprovisioned => Verdict::Deprovision,
        // An interrupted run leaves the status that was.
        _ if act.outcome.is_none() || end.message.starts_with("interrupted: ") => Verdict::Failure,
        _ if case.job.reason == Reason::Deprovision => Verdict::Deprovision,
        _ if !there => Verdict::Create,
        _ if act.exchanges.iter().any(is_write) => Verdict::Update,
        _ => Verdict::Unchanged,
    }
}

/// What would be written, here and there.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Effects {
    status: ProvisionStatus,
    error_class: Option<ErrorClass>,
    message: String,
    remote_id: Option<String>,
    metadata: Option<Value>,
    attributes: Option<Map<String, Value>>,
    writes: Vec<Write>,
}

/// A request that would have been sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Write {
    method: String,
    url: String,
    /// As JSON where it is.
    body: Option<Value>,
}

impl Effects {
    pub(super) fn of(act: &Act) -> Self {
        let end = &act.conclusion;
        Self {
            status: end.status,
            error_class: end.error_class,
            message: end.message.clone(),
            remote_id: end.remote_id.clone(),
            metadata: end.metadata.clone(),
            attributes: end.attributes.clone(),
            writes: act.exchanges.iter().filter(|exchange| is_write(exchange)).map(Write::of).collect(),
        }
    }

    /// Whether both do the same; how they put it is not compared.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let silent = |effects: &Self| Self { message: String::new(), ..effects.clone() };
        silent(self) == silent(other)
    }
}

impl Write {
    fn of(exchange: &Exchange) -> Self {
        let request = &exchange.request;
        let text = request.body.as_deref();
        let json = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        Self { method: request.method.clone(), url: request.url.clone(), body: text.map(json) }
    }
}

fn is_write(exchange: &Exchange) -> bool {
    match exchange.effect {
        Some(Handling::Recorded) => true,
        Some(Handling::Scripted) => !matches!(exchange.request.method.as_str(), "GET" | "HEAD" | "OPTIONS"),
        _ => false,
    }
}
