//! The fingerprint of a failure that nothing will retry.

use serde_json::Value;

use crate::domain::subject::Subject;
use crate::plan::{Conclusion, fingerprint};
use crate::storage::claim::Claimed;

/// The fingerprint to record, if the conclusion is a dead letter.
pub(super) fn fingerprint_of(claimed: &Claimed, conclusion: &Conclusion) -> Option<String> {
    conclusion.dead.then(|| fingerprint_of_failure(claimed, conclusion))
}

/// The fingerprint of a failure, dead or not.
pub(super) fn fingerprint_of_failure(claimed: &Claimed, conclusion: &Conclusion) -> String {
    let mut names = names(&claimed.subject);
    names.extend(claimed.remote_id.as_deref());
    names.extend(conclusion.remote_id.as_deref());
    fingerprint(conclusion.error_class, &conclusion.message, &names)
}

/// What the subject is called: its own fields, and attributes that are names
/// by their own name (`familyName`, `name.givenName`).
fn names(subject: &Subject) -> Vec<&str> {
    let mut names: Vec<&str> = [&subject.user_name, &subject.display_name, &subject.external_id]
        .into_iter()
        .filter_map(|name| name.as_deref())
        .collect();
    for (key, value) in &subject.attributes {
        match value {
            Value::String(text) if key.to_ascii_lowercase().ends_with("name") => names.push(text),
            Value::Object(parts) if key == "name" => names.extend(parts.values().filter_map(Value::as_str)),
            _ => {}
        }
    }
    names
}
