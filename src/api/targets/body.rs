//! A target on the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::preview::WarningView;
use crate::domain::ids::{StoreId, TargetId};
use crate::domain::subject::FieldError;
use crate::domain::target::{
    GuardSettings, Isolation, Limits, MAX_EGRESS_ENTRIES, Mode, RetryPolicy, Target, TargetSettings,
};
use crate::egress::{AllowList, SecretHosts, SecretHostsError};

/// Most secrets of a target.
pub(super) const MAX_SECRETS: usize = 32;

/// Secrets by name; `None` removes one.
pub type PlainSecrets = BTreeMap<String, Option<String>>;

/// What a caller sets; also what a merge patch is applied to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetBody {
    /// 3–64 characters.
    pub name: String,
    /// For administrators.
    #[serde(default)]
    pub description: String,
    /// Whether it works; a target is created disabled.
    #[serde(default)]
    pub enabled: bool,
    /// `immediate`, `manual` or `disabled`.
    #[serde(default = "immediate")]
    pub mode: Mode,
    /// Lowest first.
    #[serde(default)]
    pub order: i32,
    /// Targets that have to provision a subject first, by name or id.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// 1–100.
    #[serde(default = "five")]
    pub max_parallel_jobs: u32,
    /// A SCIM filter.
    #[serde(default)]
    pub filter: String,
    /// Where logic may connect to.
    #[serde(default)]
    pub egress_allow: Vec<String>,
    /// `ctx.target.config`.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// `ctx.connection`.
    #[serde(default)]
    pub connection: ConnectionBody,
    /// What a run may use up.
    #[serde(default)]
    pub limits: Limits,
    /// `shared` or `exclusive`.
    #[serde(default = "shared")]
    pub isolation: Isolation,
    /// When a failure is tried again.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// When removals wait for a person; `null` is as the instance says.
    #[serde(default)]
    pub guard: GuardSettings,
}

/// Properties and secrets of the external system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConnectionBody {
    /// Visible to logic and to readers of the API.
    pub properties: Map<String, Value>,
    /// Where each secret may go, like `egressAllow`, with `http://` in front for
    /// plain HTTP; a secret that is not here goes nowhere.
    pub secret_hosts: BTreeMap<String, Vec<String>>,
    /// Write-only: a string sets, `null` removes.
    #[serde(skip_serializing)]
    pub secrets: PlainSecrets,
}

fn immediate() -> Mode {
    Mode::Immediate
}

fn shared() -> Isolation {
    Isolation::Shared
}

fn five() -> u32 {
    5
}

impl TargetBody {
    /// The body that would give these settings.
    pub fn of(settings: &TargetSettings) -> Self {
        Self {
            name: settings.name.clone(),
            description: settings.description.clone(),
            enabled: settings.enabled,
            mode: settings.mode,
            order: settings.order,
            depends_on: settings.depends_on.clone(),
            max_parallel_jobs: settings.max_parallel_jobs,
            filter: settings.filter.clone(),
            egress_allow: settings.egress_allow.clone(),
            config: settings.config.clone(),
            connection: ConnectionBody {
                properties: settings.connection.clone(),
                secret_hosts: settings.secret_hosts.clone(),
                secrets: BTreeMap::new(),
            },
            limits: settings.limits,
            isolation: settings.isolation,
            retry: settings.retry,
            guard: settings.guard,
        }
    }

    /// The settings, or every rule that they break.
    pub fn read(mut self) -> Result<(TargetSettings, PlainSecrets), Vec<FieldError>> {
        self.connection.secrets.values_mut().flatten().for_each(trim_line);
        let settings = TargetSettings {
            name: self.name,
            description: self.description,
            enabled: self.enabled,
            mode: self.mode,
            order: self.order,
            depends_on: self.depends_on,
            max_parallel_jobs: self.max_parallel_jobs,
            filter: self.filter,
            egress_allow: self.egress_allow,
            config: self.config,
            connection: self.connection.properties,
            secret_hosts: self.connection.secret_hosts,
            egress_inside: Vec::new(),
            limits: self.limits,
            isolation: self.isolation,
            retry: self.retry,
            guard: self.guard,
        };
        let mut errors = settings.errors();
        if let Err(error) = AllowList::parse(&settings.egress_allow) {
            errors.push(FieldError::new(format!("egressAllow[{}]", error.index), error.message));
        }
        errors.extend(secret_errors(&self.connection.secrets));
        errors.extend(host_errors(&settings.secret_hosts));
        if settings.connection.contains_key("secrets") {
            errors.push(FieldError::new("connection.properties.secrets", "is a reserved name"));
        }
        if errors.is_empty() { Ok((settings, self.connection.secrets)) } else { Err(errors) }
    }
}

fn name_error(field: &str, name: &str) -> Option<FieldError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_bad = name.is_empty() || name.len() > 64 || !name.chars().all(plain);
    let rule = "must be a name of 1 to 64 ASCII letters, digits and underscores";
    is_bad.then(|| FieldError::new(format!("connection.{field}.{name}"), rule))
}

fn host_errors(rules: &BTreeMap<String, Vec<String>>) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> =
        rules.keys().filter_map(|name| name_error("secretHosts", name)).collect();
    for (name, hosts) in rules.iter().filter(|(_, hosts)| hosts.len() > MAX_EGRESS_ENTRIES) {
        let rule = format!("must not have more than {MAX_EGRESS_ENTRIES} entries, not {}", hosts.len());
        errors.push(FieldError::new(format!("connection.secretHosts.{name}"), rule));
    }
    if rules.len() > MAX_SECRETS {
        let rule = format!("must not name more than {MAX_SECRETS} secrets");
        errors.push(FieldError::new("connection.secretHosts", rule));
    }
    if let Err(SecretHostsError { secret, index, message }) = SecretHosts::parse(rules) {
        errors.push(FieldError::new(format!("connection.secretHosts.{secret}[{index}]"), message));
    }
    errors
}

/// Takes the line end off a secret of one line: the file or the shell that it comes from
/// has put it there. What has several lines, such as a key in PEM, stays as it is.
fn trim_line(value: &mut String) {
    const LINE_ENDS: [char; 2] = ['\r', '\n'];
    let line = value.trim_matches(LINE_ENDS);
    if line.len() < value.len() && !line.contains(LINE_ENDS) {
        *value = line.to_owned();
    }
}

fn secret_errors(secrets: &PlainSecrets) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = secrets.keys().filter_map(|name| name_error("secrets", name)).collect();
    for (name, value) in secrets {
        if value.as_ref().is_some_and(|value| value.is_empty() || value.len() > 16_384) {
            let rule = "must have 1 to 16,384 bytes beside line ends around it";
            errors.push(FieldError::new(format!("connection.secrets.{name}"), rule));
        }
    }
    if secrets.len() > MAX_SECRETS {
        let rule = format!("must not hold more than {MAX_SECRETS} secrets");
        errors.push(FieldError::new("connection.secrets", rule));
    }
    errors
}

/// A target as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetView {
    id: TargetId,
    store_id: StoreId,
    #[serde(flatten)]
    settings: TargetBody,
    secret_names: Vec<String>,
    paused: bool,
    logic_version: Option<i32>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// Only in the answer to a change.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<WarningView>>,
}

impl TargetView {
    /// The view of a target whose secrets have these names.
    pub fn of(target: &Target, secret_names: Vec<String>) -> Self {
        Self {
            id: target.id,
            store_id: target.store,
            settings: TargetBody::of(&target.settings),
            secret_names,
            paused: target.paused,
            logic_version: target.logic_version,
            version: target.version,
            created_at: target.created_at,
            updated_at: target.updated_at,
            warnings: None,
        }
    }

    /// The same, with what may be wrong about the filter.
    pub fn with(self, warnings: Vec<WarningView>) -> Self {
        Self { warnings: Some(warnings), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_one_line_has_no_line_end() {
        let trimmed = |value: &str| {
            let mut value = value.to_owned();
            trim_line(&mut value);
            value
        };
        for pasted in ["token\n", "token\r\n", "\ntoken\n\n", "token"] {
            assert_eq!(trimmed(pasted), "token", "{pasted:?}");
        }
        for whole in
            ["-----BEGIN PRIVATE KEY-----\nYQ==\n-----END PRIVATE KEY-----\n", " token ", "a\tb", "a\rb\n"]
        {
            assert_eq!(trimmed(whole), whole);
        }
        assert_eq!(trimmed("\r\n"), "");
    }
}
