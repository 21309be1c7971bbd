//! Whether two records say the same.

use serde_json::{Map, Value};

use crate::domain::subject::{Subject, SubjectDraft};

/// Whether the columns of a subject's own row would stay as they are.
pub(super) fn same_row(before: &Subject, draft: &SubjectDraft) -> bool {
    before.external_id == draft.external_id
        && before.user_name == draft.user_name
        && before.display_name == draft.display_name
        && before.status == draft.status
        && same_members(&before.attributes, &draft.attributes)
}

/// Whether two objects have equal members.
pub(in crate::storage) fn same_members(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| same(value, other)))
}

/// Equality of JSON values by what they mean: PostgreSQL hands `1e2` back as
/// `100`, which must not look like a change.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => same_members(a, b),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_compared_by_value() {
        for (a, b, equal) in [
            (json!({"a": 1e2}), json!({"a": 100}), true),
            (json!({"a": [1.0, {"b": -0.0}]}), json!({"a": [1, {"b": 0}]}), true),
            (json!({"a": 1}), json!({"a": "1"}), false),
            (json!({"a": 1}), json!({"a": 1, "b": null}), false),
            (json!({"a": [1, 2]}), json!({"a": [2, 1]}), false),
        ] {
            assert_eq!(same(&a, &b), equal, "{a} {b}");
        }
    }
}
