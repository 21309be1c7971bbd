//! What logic finds around it at a target, whichever version it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::deps::Deps;
use super::runtime::RuntimeError;
use crate::domain::filter::Filter;
use crate::domain::target::Target;
use crate::egress::{AllowList, SecretHosts, TargetPolicy};
use crate::plan::Policy;
use crate::security::NamedSecret;
use crate::storage::targets::SealedSecret;

/// Settings, rules and secrets of a target, ready to be used.
pub struct Surroundings {
    /// Settings.
    pub target: Target,
    /// The scope, parsed.
    pub filter: Filter,
    /// What egress lets logic do.
    pub egress: Arc<TargetPolicy>,
    /// What follows a run.
    pub policy: Policy,
    /// `ctx.target`.
    pub target_json: Box<RawValue>,
    /// `ctx.connection`, secrets as handles.
    pub connection_json: Box<RawValue>,
}

impl Surroundings {
    /// Of a target with its sealed secrets. `egress` is one that was made of the
    /// same settings; without it there is a new one, whose handles are new.
    pub fn new(
        deps: &Deps,
        target: Target,
        secrets: &BTreeMap<String, SealedSecret>,
        egress: Option<Arc<TargetPolicy>>,
    ) -> Result<Self, RuntimeError> {
        let egress = match egress {
            Some(egress) => egress,
            None => Arc::new(policy(deps, &target, secrets)?),
        };
        let settings = &target.settings;
        let raw = |value: Value| to_raw_value(&value).map_err(|error| bad("the settings", error));
        Ok(Self {
            filter: Filter::parse(&settings.filter).map_err(|error| bad("the filter", error))?,
            policy: Policy {
                retry: settings.retry,
                run_again_floor: deps.settings.run_again_floor,
                poll_interval: deps.settings.poll_interval,
            },
            target_json: raw(json!({ "id": target.id, "name": settings.name, "config": settings.config }))?,
            connection_json: raw(connection(&target, &egress))?,
            egress,
            target,
        })
    }
}

fn bad(what: &str, error: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::Bad(format!("{what} of the target: {error}"))
}

fn policy(
    deps: &Deps,
    target: &Target,
    secrets: &BTreeMap<String, SealedSecret>,
) -> Result<TargetPolicy, RuntimeError> {
    let settings = &target.settings;
    let allow = AllowList::parse(&settings.egress_allow).map_err(|error| bad("`egressAllow`", error))?;
    let allow = allow.inside_only_by(&settings.egress_allow, &settings.egress_inside);
    let allow = allow.below(deps.egress.ceiling());
    let hosts = SecretHosts::parse(&settings.secret_hosts);
    let hosts = hosts.map_err(|error| bad("`connection.secretHosts`", error))?;
    Ok(TargetPolicy::new(allow, open_secrets(deps, target, secrets)?).with_secret_hosts(hosts))
}

fn open_secrets(
    deps: &Deps,
    target: &Target,
    secrets: &BTreeMap<String, SealedSecret>,
) -> Result<Vec<NamedSecret>, RuntimeError> {
    let open = |(name, sealed): (&String, &SealedSecret)| {
        let value = sealed
            .open(&deps.sealer, target.id, name)
            .map_err(|error| RuntimeError::Bad(format!("secret `{name}`: {error}")))?;
        Ok(NamedSecret { name: name.clone(), value })
    };
    secrets.iter().map(open).collect()
}

fn connection(target: &Target, egress: &TargetPolicy) -> Value {
    let mut members = target.settings.connection.clone();
    members.insert("secrets".into(), json!(egress.handles()));
    Value::Object(members)
}
