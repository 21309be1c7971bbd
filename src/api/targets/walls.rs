//! The walls around logic: where it may connect to, where secrets go, when
//! removals wait for a person. Whoever writes the logic does not set them alone.

use serde_json::{Map, Value};

use super::body::PlainSecrets;
use crate::domain::subject::FieldError;
use crate::domain::target::TargetSettings;
use crate::egress::{AllowList, Ceiling, entry_of_url};
use crate::http::{Kind, Problem};
use crate::security::Role;

/// Properties of a connection that say where the external system is.
const ADDRESSES: [&str; 2] = ["baseUrl", "url"];

/// What a request would change.
pub(super) struct Change<'a> {
    /// The role of the token.
    pub role: Role,
    /// What no target may go beyond.
    pub ceiling: &'a std::sync::Arc<Ceiling>,
    /// The settings as they are, `None` for a new target.
    pub before: Option<&'a TargetSettings>,
    /// The secrets that it sets and removes.
    pub secrets: &'a PlainSecrets,
    /// The `connection.properties` that the request itself has.
    pub properties: Option<&'a Map<String, Value>>,
    /// The request has an `egressAllow`.
    pub says_egress: bool,
}

impl Change<'_> {
    /// The settings as they are to be saved.
    ///
    /// # Errors
    /// A 403 when the role may not do that, a 422 for what no role may.
    pub fn settings(&self, mut after: TargetSettings) -> Result<TargetSettings, Problem> {
        self.add_hosts(&mut after);
        let hosts = self.before.map(|before| &before.secret_hosts);
        if !self.secrets.is_empty() || Some(&after.secret_hosts) != hosts.or(Some(&Default::default())) {
            self.needs_secrets_admin("set secrets and where they may go")?;
        }
        if after.guard != self.before.map(|before| before.guard).unwrap_or_default() {
            self.needs_secrets_admin("change `guard`, which says when removals wait for a person")?;
        }
        after.egress_inside = self.inside(&after)?;
        let errors = self.beyond_ceiling(&after);
        if errors.is_empty() { Ok(after) } else { Err(Problem::validation(errors)) }
    }

    /// Somebody who sets a secret together with the address of the external
    /// system has said where the secret goes.
    fn add_hosts(&self, after: &mut TargetSettings) {
        let urls = ADDRESSES.iter().filter_map(|name| self.properties?.get(*name)?.as_str());
        let hosts: Vec<String> = urls.filter_map(entry_of_url).collect();
        for (name, _) in self.secrets.iter().filter(|(_, value)| value.is_some() && !hosts.is_empty()) {
            after.secret_hosts.entry(name.clone()).or_insert_with(|| hosts.clone());
        }
    }

    /// The entries that open what is not public.
    fn inside(&self, after: &TargetSettings) -> Result<Vec<String>, Problem> {
        let before = self.before.map_or(&[][..], |before| &before.egress_inside);
        let changed = self.before.is_none_or(|before| before.egress_allow != after.egress_allow);
        if self.role.allows(Role::SecretsAdmin) && (changed || self.says_egress) {
            return Ok(after.egress_allow.clone());
        }
        if let Some(entry) = AllowList::plainly_inside(&self.added(after)) {
            let what = format!("add `{entry}` to `egressAllow`, which is more than public addresses");
            self.needs_secrets_admin(&what)?;
        }
        Ok(before.iter().filter(|entry| after.egress_allow.contains(entry)).cloned().collect())
    }

    fn added(&self, after: &TargetSettings) -> Vec<String> {
        let before = self.before.map_or(&[][..], |before| &before.egress_allow);
        after.egress_allow.iter().filter(|entry| !before.contains(entry)).cloned().collect()
    }

    fn beyond_ceiling(&self, after: &TargetSettings) -> Vec<FieldError> {
        let added = self.added(after);
        let Ok(list) = AllowList::parse(&after.egress_allow) else { return Vec::new() };
        let beyond = list.below(self.ceiling).beyond_ceiling().into_iter();
        let new = beyond.filter(|error| added.contains(&after.egress_allow[error.index]));
        new.map(|error| FieldError::new(format!("egressAllow[{}]", error.index), error.message)).collect()
    }

    fn needs_secrets_admin(&self, what: &str) -> Result<(), Problem> {
        let (needed, role) = (Role::SecretsAdmin, self.role);
        if role.allows(needed) {
            return Ok(());
        }
        let detail = format!("the role `{needed}` is needed to {what}; the token has `{role}`");
        Err(Problem::new(Kind::Forbidden, detail))
    }
}
