//! GraphQL documents, whose arguments may be written into their text.

use apollo_parser::{Lexer, TokenKind};

use super::Seen;
use super::tokens::{Kind, Token, without};

/// The document without credentials: the values of such arguments and input
/// fields, and such variables' defaults.
pub(super) fn arguments(text: &str, seen: &mut Seen) -> String {
    without(text, &tokens(text), seen, |_, _, _| None)
}

/// What the lexer does not understand is a string: it may be one that was cut
/// off.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut end) = (Vec::new(), 0);
    let unknown = |tokens: &mut Vec<_>, from: usize, to: usize| {
        if let Some(text) = text.get(from..to).filter(|text| !text.trim().is_empty()) {
            tokens.push(Token { kind: Kind::String, start: from, text });
        }
    };
    for token in Lexer::new(text).flatten() {
        unknown(&mut tokens, end, token.index());
        if let Some(kind) = kind(token.kind()) {
            tokens.push(Token { kind, start: token.index(), text: token.data() });
        }
        end = end.max(token.index() + if token.kind() == TokenKind::Eof { 0 } else { token.data().len() });
    }
    unknown(&mut tokens, end, text.len());
    tokens
}

/// `None` for what neither names nor says anything. Commas are optional, so
/// that they end nothing.
fn kind(kind: TokenKind) -> Option<Kind> {
    match kind {
        TokenKind::LCurly | TokenKind::LBracket | TokenKind::LParen => Some(Kind::Open),
        TokenKind::RCurly | TokenKind::RBracket | TokenKind::RParen => Some(Kind::Close),
        TokenKind::Colon => Some(Kind::Colon),
        TokenKind::Name => Some(Kind::Name),
        TokenKind::StringValue => Some(Kind::String),
        TokenKind::Int | TokenKind::Float => Some(Kind::Word),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arguments(text: &str) -> String {
        super::arguments(text, &mut Seen::default())
    }

    #[test]
    fn credentials_in_arguments_are_hidden() {
        for (document, shown) in [
            (
                r#"mutation { create(input: {name: "a", password: "P\"x", n: 1}) { id token } }"#,
                r#"mutation { create(input: {name: "a", password: "[hidden]", n: 1}) { id token } }"#,
            ),
            (
                r#"mutation($password: String! = "P", $n: Int) { set(password: $password, n: $n) { id } }"#,
                r#"mutation($password: String! = "[hidden]", $n: Int) { set(password: $password, n: $n) { id } }"#,
            ),
            (
                r#"{ a(secret: ["P", {b: 12}] note: "c") }"#,
                r#"{ a(secret: ["[hidden]", {b: "[hidden]"}] note: "c") }"#,
            ),
            (
                r#"mutation { patch(ops: [{path: "password", value: "P"}, {path: "title", value: "T"}]) { id } }"#,
                r#"mutation { patch(ops: [{path: "password", value: "[hidden]"}, {path: "title", value: "T"}]) { id } }"#,
            ),
            ("{ a(pwd: \"\"\"P \"x\" \"\"\") }", "{ a(pwd: \"[hidden]\") }"),
            (r#"{ a(password: "cut in the mid"#, r#"{ a(password: "[hidden]""#),
            (r#"{ a(apiKey: "[secret:k]") }"#, r#"{ a(apiKey: "[secret:k]") }"#),
            (
                r#"query { token: tokenType(name: EY) } # password: "x""#,
                r#"query { token: tokenType(name: EY) } # password: "x""#,
            ),
        ] {
            assert_eq!(arguments(document), shown);
        }
    }

    proptest! {
        #[test]
        fn no_part_of_a_password_is_shown(password in "[!-~é]{1,12}", cut in 0..200usize) {
            let secret = serde_json::Value::from(format!("§{password}§"));
            let document = format!("mutation {{ a(b: 1, in: {{password: {secret}, c: \"d\"}}) {{ id }} }}");
            let cut = document.floor_char_boundary(cut);
            prop_assert!(!arguments(&document[..cut]).contains('§'));
        }

        #[test]
        fn what_has_no_credentials_is_left_alone(text in "[a-k\"{}()\\[\\]:,#$\\\\ 0-9\n]{0,60}") {
            prop_assert_eq!(arguments(&text), text);
        }
    }
}
