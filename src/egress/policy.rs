//! What one target's logic may do outside, and with which secrets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::allow::AllowList;
use super::dialer::Clients;
use super::handles::Handles;
use super::secret_hosts::SecretHosts;
use super::shown::kept;
use super::signing::Signers;
use crate::domain::host_call::HostCallError;
use crate::security::{NamedSecret, Redactor};

/// How much one host call may use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressLimits {
    /// Resolving, connecting and the TLS handshake together.
    pub connect_timeout: Duration,
    /// A whole call, redirects and the body of the answer included.
    pub request_timeout: Duration,
    /// Largest request body, in bytes, after secrets were filled in.
    pub request_body: usize,
    /// Largest response body, in bytes.
    pub response_body: usize,
    /// Longest address of a request, in bytes.
    pub url_bytes: usize,
    /// Header fields of a request or of an answer.
    pub header_count: usize,
    /// Names and values of the header fields together, in bytes.
    pub header_bytes: usize,
    /// Redirects followed in one call.
    pub redirects: usize,
    /// Calls of one run in flight; more wait for their turn.
    pub concurrent: usize,
}

impl Default for EgressLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            request_body: 10 << 20,
            response_body: 10 << 20,
            url_bytes: 64 << 10,
            header_count: 100,
            header_bytes: 64 << 10,
            redirects: 10,
            concurrent: 16,
        }
    }
}

/// The rules, the secrets and the pooled connections of one version of a
/// target. Make it once per version and share it: its connections are reused by
/// every run that holds it and close with the last of them.
pub struct TargetPolicy {
    pub(super) allow: Arc<AllowList>,
    pub(super) limits: EgressLimits,
    pub(super) handles: Handles,
    /// Secret values become their handles: for what logic gets to see.
    pub(super) hide: Redactor,
    /// The same for names of header fields.
    pub(super) hide_in_names: Redactor,
    pub(super) clients: Clients,
    pub(super) secret_hosts: SecretHosts,
    pub(super) signers: Signers,
}

impl TargetPolicy {
    /// A policy with the default limits.
    pub fn new(allow: AllowList, secrets: Vec<NamedSecret>) -> Self {
        Self::with_limits(allow, secrets, EgressLimits::default())
    }

    /// A policy with limits of its own.
    pub fn with_limits(allow: AllowList, secrets: Vec<NamedSecret>, limits: EgressLimits) -> Self {
        let handles = Handles::issue(secrets);
        let (hide, hide_in_names) = (handles.value_redactor(), handles.name_redactor());
        Self {
            allow: Arc::new(allow),
            limits,
            handles,
            hide,
            hide_in_names,
            clients: Clients::default(),
            secret_hosts: SecretHosts::default(),
            signers: Signers::default(),
        }
    }

    /// The same, with hosts for each secret.
    #[must_use]
    pub fn with_secret_hosts(self, secret_hosts: SecretHosts) -> Self {
        Self { secret_hosts, ..self }
    }

    /// The handle of each secret by its name, for `ctx.connection.secrets`.
    /// They are drawn anew with each policy and mean nothing to any other.
    pub fn handles(&self) -> BTreeMap<String, String> {
        self.handles.by_name()
    }

    /// `text` without secrets, as a log may show it: values and handles become
    /// `[secret:NAME]`. For what logic writes and returns.
    pub fn redact(&self, text: &str) -> String {
        self.handles.label(&self.hide.redact(text)).into_owned()
    }

    /// An error whose message has no secrets, and nothing that cannot be stored.
    pub(super) fn clean(&self, error: HostCallError) -> HostCallError {
        HostCallError { message: kept(&self.redact(&error.message)), ..error }
    }

    /// As [`TargetPolicy::redact`] for every text in a value, names of members included.
    pub fn redact_value(&self, value: &mut Value) {
        match value {
            _ if self.hide.is_empty() => {}
            Value::String(text) => *text = self.redact(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_value(item)),
            Value::Object(members) => {
                for (name, mut member) in std::mem::take(members) {
                    self.redact_value(&mut member);
                    members.insert(self.redact(&name), member);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
