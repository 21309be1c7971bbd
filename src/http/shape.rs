//! serde's words for a value of the wrong shape, as a rule about a field.

use crate::domain::subject::FieldError;

/// Longest piece of a client's text that an answer repeats, in characters.
const MAX_ECHO: usize = 64;

/// The head of a text, for an answer.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_ECHO) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The field and the rule behind a message of serde about the value at `path`.
pub(super) fn field_error(path: &str, message: &str) -> FieldError {
    let here = if path == "." { "" } else { path };
    if let Some(name) = quoted(message, "unknown field `") {
        return FieldError::new(within(here, name), "is not a field that is known here");
    }
    if let Some(name) = quoted(message, "missing field `") {
        return FieldError::new(join(here, name), "is mandatory");
    }
    if let Some(name) = quoted(message, "duplicate field `") {
        return FieldError::new(within(here, name), "must not be given twice");
    }
    let wrong = message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: "));
    let rule = if let Some((found, expected)) = wrong.and_then(|rest| rest.rsplit_once(", expected ")) {
        format!("must be {}, not {}", in_json(expected), in_json(found))
    } else if let Some(word) = quoted(message, "unknown variant `") {
        format!("must not be `{}`:{}", shorten(word), alternatives(message))
    } else {
        message.chars().take(4 * MAX_ECHO).collect()
    };
    FieldError::new(shorten(here), rule)
}

/// What serde calls a kind of value, in the words of JSON.
fn in_json(name: &str) -> String {
    let word = match name.split_once([' ', '`']).map_or(name, |(first, _)| first) {
        "map" => "an object",
        "sequence" => "an array",
        "string" => "a string",
        "boolean" => "a boolean",
        "integer" | "floating" | "number" => "a number",
        "null" | "unit" => "null",
        _ => match name {
            "a map" => "an object",
            "a sequence" => "an array",
            other => return shorten(other),
        },
    };
    word.to_owned()
}

fn quoted<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    let rest = message.strip_prefix(start)?;
    // The client's own text may hold back-quotes; serde's tail has the last ones.
    let end = rest.find("`, expected").or_else(|| rest.find("`, there are")).or_else(|| rest.rfind('`'))?;
    rest.get(..end)
}

fn alternatives(message: &str) -> &str {
    message.rfind("expected").and_then(|start| message.get(start + "expected".len()..)).unwrap_or_default()
}

/// The path of an unknown member, whose name serde_path_to_error has appended
/// already.
fn within(path: &str, name: &str) -> String {
    let known = path == name || path.ends_with(&format!(".{name}"));
    if known { shorten(path) } else { join(path, name) }
}

fn join(path: &str, name: &str) -> String {
    let name = shorten(name);
    if path.is_empty() { name } else { format!("{}.{name}", shorten(path)) }
}
