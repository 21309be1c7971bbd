//! Where two JSON values differ.

use serde::Serialize;
use serde_json::Value;

/// A place where two values differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Change {
    /// Such as `emails[0].value`.
    path: String,
    /// Absent where there was nothing.
    before: Option<Value>,
    /// Absent where there is nothing any more.
    after: Option<Value>,
}

/// The places where two values differ, as deep as possible: members of objects,
/// and items of lists that have the same length.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(Some(before), Some(after), String::new(), &mut found);
    found
}

fn compare(before: Option<&Value>, after: Option<&Value>, path: String, found: &mut Vec<Change>) {
    match (before, after) {
        (one, two) if one == two => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let added = after.keys().filter(|name| !before.contains_key(*name));
            for name in before.keys().chain(added) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(before.get(name), after.get(name), path, found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                compare(Some(before), Some(after), format!("{path}[{index}]"), found);
            }
        }
        (before, after) => found.push(Change { path, before: before.cloned(), after: after.cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_have_paths() {
        let before = json!({ "a": 1, "b": { "c": [1], "d": [{ "e": 2 }] }, "gone": true });
        let after = json!({ "a": 1, "b": { "c": [1, 2], "d": [{ "e": 3 }], "f": null }, "new": "x" });
        let changes = changes(&before, &after);
        let paths: Vec<_> = changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["b.c", "b.d[0].e", "b.f", "gone", "new"]);
        assert_eq!((&changes[3].before, &changes[3].after), (&Some(json!(true)), &None));
        assert_eq!(super::changes(&before, &before), []);
    }
}
