//! JSON that comes from outside: what may be stored, and merging (RFC 7396).

use serde_json::{Map, Value};

/// Largest integer that JavaScript holds exactly, 2^53 − 1.
pub const MAX_SAFE_INTEGER: u64 = 9_007_199_254_740_991;

/// Why a JSON value cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJson {
    /// PostgreSQL keeps no NUL in text.
    #[error("must not contain the NUL character (U+0000)")]
    Nul,
    /// JavaScript would round it.
    #[error("numbers must lie within ±(2^53 − 1), where JavaScript is exact: send larger ones as a string")]
    HugeNumber,
    /// Deeper than [`MAX_DEPTH`].
    #[error("must not be nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// How deep attributes, metadata and the like may be nested.
pub const MAX_DEPTH: usize = 32;

/// Checks that a value can be stored and handed to logic without loss. On
/// failure the first element of the pair is the path, such as `emails[0].value`.
pub fn check_storable(value: &Value) -> Result<(), (String, BadJson)> {
    check(value, &mut String::new(), 0)
}

fn check(value: &Value, path: &mut String, depth: usize) -> Result<(), (String, BadJson)> {
    if depth > MAX_DEPTH {
        return Err((path.clone(), BadJson::TooDeep));
    }
    match value {
        Value::String(text) if text.contains('\0') => Err((path.clone(), BadJson::Nul)),
        Value::Number(number) if number.as_f64().is_none_or(|n| n.abs() > MAX_SAFE_INTEGER as f64) => {
            Err((path.clone(), BadJson::HugeNumber))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check_at(item, path, &format!("[{index}]"), depth)),
        Value::Object(members) => members.iter().try_for_each(|(name, item)| {
            if name.contains('\0') {
                return Err((path.clone(), BadJson::Nul));
            }
            let step = if path.is_empty() { name.clone() } else { format!(".{name}") };
            check_at(item, path, &step, depth)
        }),
        _ => Ok(()),
    }
}

fn check_at(value: &Value, path: &mut String, step: &str, depth: usize) -> Result<(), (String, BadJson)> {
    let length = path.len();
    path.push_str(step);
    check(value, path, depth + 1)?;
    path.truncate(length);
    Ok(())
}

/// Applies a JSON merge patch (RFC 7396 §2): `null` removes, objects merge,
/// everything else replaces.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(members) = target {
        merge_members(members, patch);
    }
}

/// [`merge_patch`] for two objects.
pub fn merge_members(members: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, change) in patch {
        if change.is_null() {
            members.remove(name);
        } else {
            merge_patch(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Steps from an object to a value in it, through objects only.
pub type Path = Vec<String>;

/// What a merge patch gives a value: the paths to all in it that is no object.
pub fn given_paths(patch: &Map<String, Value>) -> Vec<Path> {
    let mut paths = Vec::new();
    for (name, value) in patch {
        match value {
            Value::Null => {}
            Value::Object(members) if !members.is_empty() => {
                paths.extend(given_paths(members).into_iter().map(|rest| {
                    let mut path = vec![name.clone()];
                    path.extend(rest);
                    path
                }));
            }
            _ => paths.push(vec![name.clone()]),
        }
    }
    paths
}

/// The value at a path.
pub fn value_at<'a>(members: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (name, rest) = path.split_first()?;
    let value = members.get(name)?;
    if rest.is_empty() { Some(value) } else { value_at(value.as_object()?, rest) }
}

/// Puts a value where nothing is said: neither there nor in the place of an object
/// on the way.
pub fn fill_in(members: &mut Map<String, Value>, path: &[String], value: &Value) {
    let Some((name, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        members.entry(name.clone()).or_insert_with(|| value.clone());
    } else if let Value::Object(inner) =
        members.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()))
    {
        fill_in(inner, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn merge_patch_follows_the_examples_of_the_rfc() {
        for (original, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = original;
            merge_patch(&mut merged, &patch);
            assert_eq!(merged, result);
        }
    }

    #[test]
    fn what_a_patch_gives_is_found_and_filled_in() {
        let members = |value: Value| value.as_object().cloned().unwrap();
        let patch = members(json!({"a": {"b": 1, "c": {"d": [2], "e": null}}, "f": {}, "g": null, "h": "x"}));
        let paths = given_paths(&patch);
        let joined: Vec<String> = paths.iter().map(|path| path.join(".")).collect();
        assert_eq!(joined, ["a.b", "a.c.d", "f", "h"]);
        for (said, filled) in [
            (json!({}), json!({"a": {"b": 1, "c": {"d": [2]}}, "f": {}, "h": "x"})),
            (
                json!({"a": {"z": 0}, "h": null}),
                json!({"a": {"z": 0, "b": 1, "c": {"d": [2]}}, "h": null, "f": {}}),
            ),
            (json!({"a": null, "f": 5}), json!({"a": null, "f": 5, "h": "x"})),
            (json!({"a": {"b": 9, "c": []}}), json!({"a": {"b": 9, "c": []}, "f": {}, "h": "x"})),
        ] {
            let mut said = members(said);
            for path in &paths {
                fill_in(&mut said, path, value_at(&patch, path).unwrap());
            }
            assert_eq!(Value::Object(said), filled);
        }
        assert_eq!(value_at(&patch, &["h".into(), "i".into()]), None);
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        assert_eq!(check_storable(&json!({"a": [1, 2.5, "x", null]})), Ok(()));
        let nul = json!({"a": {"b": ["x", "y\0"]}});
        assert_eq!(check_storable(&nul), Err(("a.b[1]".into(), BadJson::Nul)));
        let huge = json!({"salary": 1e300});
        assert_eq!(check_storable(&huge), Err(("salary".into(), BadJson::HugeNumber)));
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert!(matches!(check_storable(&deep), Err((_, BadJson::TooDeep))));
    }
}
