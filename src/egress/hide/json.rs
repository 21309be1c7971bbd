//! JSON, and texts that look like it.

use super::tokens::{Kind, Token, inner, unescaped, without};
use super::{Seen, graphql};

/// The text without credentials: each string and number that is the value of
/// such a member, or lies in it. It keeps its structure.
pub(super) fn members(text: &str, seen: &mut Seen) -> String {
    without(text, &tokens(text), seen, in_string)
}

/// A string that is JSON or a GraphQL document (the member that GraphQL over
/// HTTP puts one in), without the credentials in it; `None` when it has none.
fn in_string(value: &Token, key: Option<&Token>, seen: &mut Seen) -> Option<String> {
    let is_query = key.is_some_and(|key| key.text == "\"query\"");
    // Most strings are neither, and need not be read for it.
    if !is_query && !inner(value).trim_start().starts_with(['{', '[', '\\']) {
        return None;
    }
    let text = unescaped(value);
    let shown = if is_query { graphql::arguments(&text, seen) } else { members(&text, seen) };
    (shown != text).then(|| serde_json::Value::from(shown).to_string())
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut start) = (Vec::new(), 0);
    while let Some(byte) = text.as_bytes().get(start) {
        let (kind, length) = match byte {
            b'"' => (Kind::String, length_of_string(&text[start..])),
            b'{' | b'[' => (Kind::Open, 1),
            b'}' | b']' => (Kind::Close, 1),
            b':' => (Kind::Colon, 1),
            b',' => (Kind::Comma, 1),
            byte if byte.is_ascii_whitespace() => {
                start += 1;
                continue;
            }
            _ => (Kind::Word, length_of_word(&text[start..])),
        };
        tokens.push(Token { kind, start, text: &text[start..start + length] });
        start += length;
    }
    tokens
}

/// A string without an end reaches to the end of the text.
fn length_of_string(text: &str) -> usize {
    let mut escaped = false;
    let is_end = |(_, byte): &(usize, u8)| {
        let end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        end
    };
    text.bytes().enumerate().skip(1).find(is_end).map_or(text.len(), |(at, _)| at + 1)
}

fn length_of_word(text: &str) -> usize {
    text.find(|c: char| "\"{}[]:,".contains(c) || c.is_ascii_whitespace()).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::HIDDEN;
    use super::*;

    fn members(text: &str) -> String {
        super::members(text, &mut Seen::default())
    }

    #[test]
    fn what_is_hidden_is_kept_in_mind() {
        let mut seen = Seen::default();
        let text = r#"{"password":"Tr0ub\"4dor","n":{"tokens":["token-0001",12345678]},"b":"other-0002",
            "body":"{\"path\":\"password\",\"value\":\"inner-0003\"}","query":"{ a(pin: \"47110815\") }"}"#;
        super::members(text, &mut seen);
        let hider = seen.hider(&[]).unwrap();
        let text = "Tr0ub\"4dor token-0001 12345678 inner-0003 47110815 other-0002";
        assert_eq!(hider.text(text), "[hidden] [hidden] [hidden] [hidden] [hidden] other-0002");
    }

    #[test]
    fn whatever_a_credential_is_it_is_hidden() {
        for (text, shown) in [
            (
                r#"{"userName":"a","password" : "x\"y","n":{"access_token":"ey","expires":5},"b":"z"}"#,
                r#"{"userName":"a","password" : "[hidden]","n":{"access_token":"[hidden]","expires":5},"b":"z"}"#,
            ),
            (
                r#"{"credentials":{"password":{"value":"P","n":[1,true,null]},"provider":{"type":"OKTA"}}}"#,
                r#"{"credentials":{"password":{"value":"[hidden]","n":["[hidden]",true,null]},"provider":{"type":"OKTA"}}}"#,
            ),
            (r#"{"password":123456,"b":7}"#, r#"{"password":"[hidden]","b":7}"#),
            (r#"{"secret":["a","b"],"b":"c"}"#, r#"{"secret":["[hidden]","[hidden]"],"b":"c"}"#),
            (r#"{"pass\u0077ord":"a"}"#, r#"{"pass\u0077ord":"[hidden]"}"#),
            (r#"{"clientSecret":"[secret:c]"}"#, r#"{"clientSecret":"[secret:c]"}"#),
            (r#"{"token":null,"mustChangePassword":false}"#, r#"{"token":null,"mustChangePassword":false}"#),
            (r#"{"nextPageToken":"a"}"#, r#"{"nextPageToken":"a"}"#),
        ] {
            assert_eq!(members(text), shown);
        }
    }

    #[test]
    fn another_member_may_name_it() {
        for (text, shown) in [
            (
                r#"{"op":"replace","path":"password","value":"P"}"#,
                r#"{"op":"replace","path":"password","value":"[hidden]"}"#,
            ),
            (
                r#"{"Operations":[{"value":"P","path":"urn:x:User:password"},{"path":"title","value":"T"}]}"#,
                r#"{"Operations":[{"value":"[hidden]","path":"urn:x:User:password"},{"path":"title","value":"T"}]}"#,
            ),
            (
                r#"{"credentials":[{"type":"password","value":"P","temporary":true}]}"#,
                r#"{"credentials":[{"type":"password","value":"[hidden]","temporary":true}]}"#,
            ),
            (
                r#"[{"op":"add","path":"/password","value":{"a":"P"}}]"#,
                r#"[{"op":"add","path":"/password","value":{"a":"[hidden]"}}]"#,
            ),
            (r#"{"path":"password","value":"P"#, r#"{"path":"password","value":"[hidden]""#),
            (r#"{"type":"work","value":"a@example.org"}"#, r#"{"type":"work","value":"a@example.org"}"#),
        ] {
            assert_eq!(members(text), shown);
        }
    }

    #[test]
    fn a_string_may_hold_another_text() {
        for (text, shown) in [
            (
                r#"{"body":"{\"password\":\"P\",\"a\":\"b\"}","c":"{d"}"#,
                r#"{"body":"{\"password\":\"[hidden]\",\"a\":\"b\"}","c":"{d"}"#,
            ),
            (
                r#"[{"query":"mutation { a(password: \"P\") }","variables":{"password":"P","name":"n"}}]"#,
                r#"[{"query":"mutation { a(password: \"[hidden]\") }","variables":{"password":"[hidden]","name":"n"}}]"#,
            ),
            (r#"{"query":"{ a(pwd: \"P"#, r#"{"query":"{ a(pwd: \"[hidden]\"""#),
            (r#"{"body":"{\"token\":\"P\u00"#, r#"{"body":"{\"token\":\"[hidden]\"""#),
            (
                r#"{"query":"name eq \"a\" and {","body":"\u007b\"a\":1}"}"#,
                r#"{"query":"name eq \"a\" and {","body":"\u007b\"a\":1}"}"#,
            ),
            (r#"{"body":"[secret:b]"}"#, r#"{"body":"[secret:b]"}"#),
        ] {
            assert_eq!(members(text), shown);
        }
    }

    #[test]
    fn texts_may_be_cut_or_be_no_json() {
        for (text, shown) in [
            (r#"{"password":"cut in the mid"#, r#"{"password":"[hidden]""#),
            (r#"{"token":null,"password":""#, r#"{"token":null,"password":"[hidden]""#),
            (r#"{"password":{"value":"cu"#, r#"{"password":{"value":"[hidden]""#),
            (r#"{"password":12"#, r#"{"password":"[hidden]""#),
            ("no json \" at all", "no json \" at all"),
            ("]}]} 12 é \\\"", "]}]} 12 é \\\""),
        ] {
            assert_eq!(members(text), shown);
        }
    }

    proptest! {
        #[test]
        fn no_part_of_a_password_is_shown(
            before in "[a-z\"{}\\[\\]:,\\\\ ]{0,12}",
            password in "[!-~é]{1,12}",
            cut in 0..200usize,
        ) {
            let secret = format!("§{password}§");
            let value = serde_json::json!({ "a": [before, { "password": { "v": [secret] } }], "z": 1 });
            let text = value.to_string();
            let cut = text.floor_char_boundary(cut);
            prop_assert!(!members(&text[..cut]).contains('§'));
            let whole: serde_json::Value = serde_json::from_str(&members(&text)).unwrap();
            prop_assert_eq!(&whole["a"][1]["password"]["v"][0], HIDDEN);
            prop_assert_eq!(&whole["a"][0], &value["a"][0]);
        }

        #[test]
        fn what_has_no_credentials_is_left_alone(text in "[a-k\"{}\\[\\]:,\\\\ 0-9]{0,60}") {
            prop_assert_eq!(members(&text), text);
        }
    }
}
