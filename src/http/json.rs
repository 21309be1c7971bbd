//! Reading JSON in two steps: first as JSON, where a fault has a position;
//! then as what the endpoint expects, where a fault has a field.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::shape;
use super::strict::Strict;
use crate::domain::encoding::{self, BadEncoding};
use crate::domain::subject::FieldError;

/// Why bytes are not what an endpoint expects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJsonText {
    /// They are not JSON (RFC 8259); the message names the position.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// They are, and a rule is broken.
    #[error("{}{}", quoted(&.0.field), .0.rule)]
    Rule(FieldError),
}

fn quoted(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("`{field}` ") }
}

/// Reads one JSON text, an object. Beyond RFC 8259, a member may stand only once in its
/// object: which of two counts is a matter of the parser, and such texts mean
/// different things to different programs.
///
/// # Errors
/// [`BadJsonText`].
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadJsonText> {
    let text = encoding::decode(bytes).map_err(|error| {
        BadJsonText::Syntax(match error {
            BadEncoding::NotUtf8 { after } => format!("invalid UTF-8 after byte {after}"),
            BadEncoding::Utf16 => "the text is UTF-16, and must be UTF-8".into(),
        })
    })?;
    let Unambiguous(value) =
        serde_json::from_str(text).map_err(|error| BadJsonText::Syntax(error.to_string()))?;
    // serde reads an array as an object whose members stand in order.
    if !value.is_object() {
        return Err(BadJsonText::Rule(FieldError::new("", "must be an object")));
    }
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| {
        let path = error.path().to_string();
        BadJsonText::Rule(shape::field_error(&path, &error.into_inner().to_string()))
    })
}

/// How serde_json hands over a number while some crate of the build has it keep
/// every digit: as an object with this member.
const EXACT_NUMBER: &str = "$serde_json::private::Number";

/// A number as JavaScript has it (RFC 8259 §6).
fn number<E: serde::de::Error>(text: &str) -> Result<Value, E> {
    if let Ok(integer) = text.parse::<i64>() {
        return Ok(integer.into());
    }
    let number = text.parse().ok().and_then(serde_json::Number::from_f64);
    number.map(Value::Number).ok_or_else(|| E::custom("number out of range"))
}

/// A JSON value none of whose objects has a member twice.
struct Unambiguous(Value);

impl<'de> serde::Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name == EXACT_NUMBER && map.is_empty() {
                return number(&members.next_value::<String>()?);
            }
            if map.contains_key(&name) {
                let name = shape::shorten(&name);
                return Err(A::Error::custom(format!("member `{name}` stands twice in its object")));
            }
            let Unambiguous(value) = members.next_value()?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[allow(dead_code)]
    struct Sample {
        user_name: String,
        #[serde(default)]
        attributes: Map<String, Value>,
        #[serde(default)]
        groups: Vec<String>,
    }

    fn fault(text: &[u8]) -> String {
        read::<Sample>(text).unwrap_err().to_string()
    }

    #[test]
    fn faults_of_the_text_have_a_position() {
        insta::assert_debug_snapshot!([
            fault(b"{"),
            fault(b"{} x"),
            fault(b"\xff"),
            fault(br#"{"userName": "a", "attributes": {"n": 1e400}}"#),
            fault(br#"{"userName": "a", "attributes": {"x": 1, "x": 2}}"#),
            fault(br#"{"userName": "\ud800"}"#),
            fault(format!("{{\"userName\": {}1{}}}", "[".repeat(200), "]".repeat(200)).as_bytes()),
            fault(b""),
            fault(b"{\"userName\": NaN}"),
        ]);
    }

    #[test]
    fn faults_of_the_shape_have_a_field() {
        insta::assert_debug_snapshot!([
            fault(br#"{"userName": "a", "nickName": "b"}"#),
            fault(br#"{"userName": 3}"#),
            fault(br#"{"userName": "a", "groups": ["b", null]}"#),
            fault(br#"{"userName": "a", "attributes": []}"#),
            fault(br#"{}"#),
            fault(br#"[]"#),
            fault(br#""text""#),
        ]);
    }

    #[test]
    fn a_byte_order_mark_means_nothing() {
        let body = b"\xef\xbb\xbf{\"userName\": \"\xef\xbb\xbfa\"}";
        assert_eq!(read::<Sample>(body).unwrap().user_name, "\u{feff}a", "only at the beginning");
        assert_eq!(fault(b"\xff\xfe{\0}\0"), "not JSON: the text is UTF-16, and must be UTF-8");
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        #[serde(rename = "one")]
        One,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {}

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Every {
        byte: Option<u8>,
        signed: Option<i32>,
        wide: Option<u64>,
        share: Option<f64>,
        flag: Option<bool>,
        text: Option<String>,
        letter: Option<char>,
        list: Option<Vec<u8>>,
        pair: Option<(u8, u8)>,
        kind: Option<Kind>,
        inner: Option<Inner>,
        map: Option<Map<String, Value>>,
        nothing: Option<()>,
    }

    /// A table of every kind of type and every kind of value.
    #[test]
    fn no_words_of_rust_in_faults_of_the_shape() {
        let names = "byte signed wide share flag text letter list pair kind inner map nothing";
        let values = ["true", "-1", "300", "1.5", "5000000000", "\"x1\"", "[]", "[true]", "{}", "null"];
        let faults: Vec<String> = names
            .split(' ')
            .flat_map(|name| values.map(|value| format!("{{\"{name}\": {value}}}")))
            .filter_map(|text| read::<Every>(text.as_bytes()).err().map(|error| format!("{text}: {error}")))
            .collect();
        insta::assert_snapshot!(faults.join("\n"));
    }
}
