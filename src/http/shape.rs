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
    let wrong = ["invalid type: ", "invalid value: ", "invalid length "];
    let wrong = wrong.iter().find_map(|start| message.strip_prefix(start));
    let rule = if let Some((found, expected)) = wrong.and_then(|rest| rest.rsplit_once(", expected ")) {
        mismatch(found, expected)
    } else if let Some(word) = quoted(message, "unknown variant `") {
        format!("must not be `{}`:{}", shorten(word), alternatives(message))
    } else {
        in_words(message)
    };
    FieldError::new(shorten(here), rule)
}

/// What is wrong with a value, in the words of JSON.
fn mismatch(found: &str, expected: &str) -> String {
    let is_whole = found.starts_with("integer");
    if let Some(range) = whole_numbers(expected) {
        return match is_whole {
            true => format!("must be a whole number{range}"),
            false if in_json(found) == "a number" => "must be a whole number".to_owned(),
            false => format!("must be a whole number, not {}", in_json(found)),
        };
    }
    // serde counts the entries of an array that is too short.
    match found.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("must be {} with another number of entries", in_json(expected)),
        false => format!("must be {}, not {}", in_json(expected), in_json(found)),
    }
}

/// Which whole numbers a type of Rust takes, as the end of a sentence.
fn whole_numbers(name: &str) -> Option<&'static str> {
    Some(match name {
        "i8" => " from -128 to 127",
        "i16" => " from -32768 to 32767",
        "i32" => " from -2147483648 to 2147483647",
        "u8" => " from 0 to 255",
        "u16" => " from 0 to 65535",
        "u32" => " from 0 to 4294967295",
        "u64" | "usize" => ", 0 or more",
        "i64" | "isize" => "",
        _ => return None,
    })
}

/// What serde calls a kind of value, or a kind of type, in the words of JSON.
fn in_json(name: &str) -> String {
    let name = name.strip_prefix("a ").unwrap_or(name);
    let word = match name.split_once([' ', '`']).map_or(name, |(first, _)| first) {
        "map" | "struct" => "an object",
        "sequence" | "tuple" => "an array",
        "string" | "str" | "borrowed" | "enum" | "variant" | "field" => "a string",
        "character" => "a character",
        "boolean" | "bool" => "a boolean",
        "integer" | "floating" | "number" | "f32" | "f64" => "a number",
        "null" | "unit" | "Option" => "null",
        "newtype" => "of another kind",
        _ if name.starts_with("any ") => name,
        _ => return shorten(name),
    };
    word.to_owned()
}

/// Sentences of serde, and of Rust's own parsers, that name no type.
fn in_words(message: &str) -> String {
    let rule = match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "must be a whole number"
        }
        "number too large to fit in target type" => "is too large a number",
        "number too small to fit in target type" => "is too small a number",
        "provided string was not `true` or `false`" => "must be true or false",
        "invalid number" => "must be a number of another kind",
        _ if message.starts_with("data did not match any variant") => {
            "has none of the forms that are known here"
        }
        _ => return message.chars().take(4 * MAX_ECHO).collect(),
    };
    rule.to_owned()
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
