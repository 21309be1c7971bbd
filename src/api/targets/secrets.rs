//! The secrets of a target on their way in, judged together with where they may
//! go.

use std::collections::{BTreeMap, BTreeSet};

use super::body::{MAX_SECRETS, PlainSecrets};
use crate::domain::ids::TargetId;
use crate::domain::subject::FieldError;
use crate::http::Problem;
use crate::security::Secret;
use crate::storage::Connection;
use crate::storage::targets;

/// What is to be stored of them; `None` removes one.
pub(super) fn values_of(secrets: &PlainSecrets) -> BTreeMap<String, Option<Secret>> {
    secrets.iter().map(|(name, value)| (name.clone(), value.clone().map(Secret::new))).collect()
}

/// Judges what a request leaves behind, secrets and their hosts together: hosts
/// of a name that no secret has are a slip, and the secret that was meant goes
/// nowhere.
pub(super) fn judge(
    connection: &mut Connection,
    target: TargetId,
    hosts: &BTreeMap<String, Vec<String>>,
) -> Result<(), Problem> {
    let names: BTreeSet<String> = targets::secrets(connection, target)?.into_keys().collect();
    let errors = errors(&names, hosts);
    if errors.is_empty() { Ok(()) } else { Err(Problem::validation(errors)) }
}

fn errors(names: &BTreeSet<String>, hosts: &BTreeMap<String, Vec<String>>) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = hosts
        .keys()
        .filter(|name| !names.contains(*name))
        .map(|name| FieldError::new(format!("connection.secretHosts.{name}"), no_secret(names)))
        .collect();
    if names.len() > MAX_SECRETS {
        let rule = format!("must not be more than {MAX_SECRETS} with those that the target has already");
        errors.push(FieldError::new("connection.secrets", rule));
    }
    errors
}

fn no_secret(names: &BTreeSet<String>) -> String {
    let known = match names.is_empty() {
        true => "the target has none".to_owned(),
        false => format!(
            "the target has {}",
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    };
    format!("must name a secret of the target ({known}): set the secret too, or remove this entry (`null`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str]) -> BTreeMap<String, Vec<String>> {
        names.iter().map(|name| ((*name).to_owned(), vec!["a.example".to_owned()])).collect()
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn hosts_go_with_secrets_that_exist() {
        assert_eq!(errors(&names(&["token", "key"]), &hosts(&["token"])), []);
        let wrong = errors(&names(&["key", "token"]), &hosts(&["Token", "key", "tokens"]));
        let fields: Vec<_> = wrong.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["connection.secretHosts.Token", "connection.secretHosts.tokens"]);
        assert_eq!(
            wrong[0].rule,
            "must name a secret of the target (the target has `key`, `token`): set the secret too, or remove \
             this entry (`null`)"
        );
        assert!(errors(&names(&[]), &hosts(&["token"]))[0].rule.contains("the target has none"));
    }

    #[test]
    fn secrets_are_counted_with_those_that_are_there() {
        let many: BTreeSet<String> = (0..=MAX_SECRETS).map(|number| format!("s{number}")).collect();
        assert_eq!(errors(&many, &hosts(&[]))[0].field, "connection.secrets");
    }
}
