//! JSON, and texts that look like it.

use super::{HIDDEN, LABEL, NAMING, VALUES, is_credential_key};

/// What a part of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With its quotation marks, of which the last may have been cut off.
    String,
    /// A number, a literal, or a word of another text.
    Word,
    Open,
    Close,
    Colon,
    Comma,
}

struct Token<'a> {
    kind: Kind,
    start: usize,
    text: &'a str,
}

/// The text without credentials: each string and number that is the value of
/// such a member, or lies in it. It keeps its structure.
pub(super) fn members(text: &str) -> String {
    let tokens = tokens(text);
    let keys = credential_keys(&tokens);
    let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
    let mut place = Place::default();
    for (token, is_key) in tokens.iter().zip(keys) {
        if place.hides(token, is_key) {
            out.push_str(&text[copied..token.start]);
            out.push_str(&format!("\"{HIDDEN}\""));
            copied = token.start + token.text.len();
        }
    }
    out.push_str(&text[copied..]);
    out
}

/// Where in a text something stands.
#[derive(Default)]
struct Place {
    depth: usize,
    /// How deep the outermost credential lies that this is in.
    hides_from: Option<usize>,
    /// The name before was that of a credential.
    is_next: bool,
}

impl Place {
    /// Goes on to the next token; whether it is to be hidden.
    fn hides(&mut self, token: &Token, is_key: Option<bool>) -> bool {
        match (token.kind, is_key) {
            (Kind::Colon, _) => return false,
            (Kind::Open, _) => {
                self.depth += 1;
                self.hides_from = self.hides_from.or(self.is_next.then_some(self.depth));
            }
            (Kind::Close, _) => {
                self.hides_from = self.hides_from.filter(|from| *from < self.depth);
                self.depth = self.depth.saturating_sub(1);
            }
            (Kind::Comma, _) => {}
            (_, Some(is_credential)) => {
                self.is_next = is_credential;
                return false;
            }
            (_, None) => {
                let is_hidden = std::mem::take(&mut self.is_next) || self.hides_from.is_some();
                return is_hidden && is_telling(token);
            }
        }
        self.is_next = false;
        false
    }
}

/// Labels, `true`, `false` and `null` say nothing.
fn is_telling(token: &Token) -> bool {
    match token.kind {
        Kind::String => !inner(token).starts_with(LABEL),
        _ => !matches!(token.text, "true" | "false" | "null"),
    }
}

/// An object that has not ended.
#[derive(Default)]
struct Level {
    /// A member of it says that another is a credential.
    names_credential: bool,
    /// Where the names of such others stand.
    values: Vec<usize>,
}

impl Level {
    fn end(self, keys: &mut [Option<bool>]) {
        for at in self.values.into_iter().filter(|_| self.names_credential) {
            keys[at] = Some(true);
        }
    }
}

/// For each token whether it is the name of a member, and then whether that
/// member's value is a credential.
fn credential_keys(tokens: &[Token]) -> Vec<Option<bool>> {
    let mut keys = vec![None; tokens.len()];
    let mut levels = vec![Level::default()];
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Open => levels.push(Level::default()),
            Kind::Close => levels.pop().into_iter().for_each(|level| level.end(&mut keys)),
            Kind::String if tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Colon) => {
                let key = unescaped(token);
                keys[at] = Some(is_credential_key(&key));
                let Some(level) = levels.last_mut() else { continue };
                if VALUES.contains(&key.as_str()) {
                    level.values.push(at);
                }
                let value = tokens.get(at + 2).filter(|value| value.kind == Kind::String);
                level.names_credential |= NAMING.contains(&key.as_str())
                    && value.is_some_and(|value| is_credential_key(&unescaped(value)));
            }
            _ => {}
        }
    }
    levels.into_iter().for_each(|level| level.end(&mut keys));
    keys
}

fn inner<'a>(token: &Token<'a>) -> &'a str {
    let text = token.text.strip_prefix('"').unwrap_or(token.text);
    text.strip_suffix('"').unwrap_or(text)
}

fn unescaped(token: &Token) -> String {
    serde_json::from_str(token.text).unwrap_or_else(|_| inner(token).to_owned())
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

    use super::*;

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
