//! Credentials that a run has seen, by their names, hidden wherever else they
//! turn up: services echo what they were sent, and logic repeats what they say.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::names::{is_credential_key, is_password_key};
use super::{HIDDEN, LABEL};
use crate::security::forms::{forms_of, json_escape, percent_encode};

/// Values that are kept in mind for one run.
const MOST: usize = 64;
/// Shorter ones occur anywhere.
const SHORTEST: usize = 4;
/// Shorter ones are hidden where they are words of their own, and if they are no
/// plain word.
const SHORT: usize = 8;
/// Longer ones are no credentials.
const LONGEST: usize = 8_192;
/// Longer ones are looked for in the usual forms only.
const MANY_FORMS: usize = 128;

/// Values, and whether each is a password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<String, bool>);

impl Seen {
    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(in crate::egress) fn len(&self) -> usize {
        self.0.len()
    }

    /// Keeps a value in mind that stood under this name.
    pub(super) fn note(&mut self, key: &str, value: &str) {
        let value = value.trim();
        let is_word = value.len() < SHORT && value.chars().all(char::is_alphabetic);
        let is_hidden = value.contains(LABEL) || value.contains(HIDDEN);
        let is_telling = (SHORTEST..=LONGEST).contains(&value.len()) && !is_word && !is_hidden;
        if is_telling && (self.0.len() < MOST || self.0.contains_key(value)) {
            *self.0.entry(value.to_owned()).or_default() |= is_password_key(key);
        }
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: Self) {
        for (value, is_password) in other.0 {
            if self.0.len() < MOST || self.0.contains_key(&value) {
                *self.0.entry(value).or_default() |= is_password;
            }
        }
    }

    /// Notes what stands in a value under names of credentials.
    pub fn note_all(&mut self, value: &Value) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, member)| self.note_member(key, member)),
            Value::Array(items) => items.iter().for_each(|item| self.note_all(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The same of a member.
    pub fn note_member(&mut self, key: &str, value: &Value) {
        if is_credential_key(key) { self.note_below(key, value) } else { self.note_all(value) }
    }

    fn note_below(&mut self, key: &str, value: &Value) {
        match value {
            Value::String(text) => self.note(key, text),
            Value::Number(number) => self.note(key, &number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.note_below(key, item)),
            Value::Object(members) => members.values().for_each(|member| self.note_below(key, member)),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// What hides them, but for those that are also names of the account; `None`
    /// when there are none.
    pub fn hider(mut self, names: &[&str]) -> Option<Hider> {
        self.0.retain(|value, _| !names.contains(&value.as_str()));
        let mut patterns: Vec<Pattern> =
            self.0.iter().flat_map(|(value, is_password)| patterns(value, *is_password)).collect();
        // The longest first: one value may lie in another.
        patterns.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
        patterns.dedup();
        (!patterns.is_empty()).then_some(Hider { patterns })
    }
}

fn patterns(value: &str, is_password: bool) -> Vec<Pattern> {
    let alone = value.len() < SHORT;
    let forms = match value.len() {
        _ if alone => vec![value.to_owned()],
        ..=MANY_FORMS => forms_of(value),
        _ => vec![value.to_owned(), json_escape(value), percent_encode(value, "")],
    };
    let pattern = |text| Pattern { text, alone, is_password };
    forms.into_iter().filter(|form| form.len() >= SHORTEST).map(pattern).collect()
}

/// Hides values that a run has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hider {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    text: String,
    /// Only where neither letters nor digits stand around it.
    alone: bool,
    is_password: bool,
}

impl Hider {
    /// The text without any of them.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.without(text, |_| true)
    }

    /// The same for every text in a value, of which only passwords are hidden:
    /// what logic keeps for its next run may be a token.
    pub fn passwords_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(hidden) = self.without(text, |pattern| pattern.is_password) {
                    *text = hidden;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.passwords_in(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.passwords_in(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn without<'a>(&self, text: &'a str, which: impl Fn(&Pattern) -> bool) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for pattern in self.patterns.iter().filter(|pattern| which(pattern)) {
            if let Some(hidden) = pattern.hide(&text) {
                text = Cow::Owned(hidden);
            }
        }
        text
    }
}

impl Pattern {
    /// `None` when it does not occur.
    fn hide(&self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut copied = 0;
        for (at, found) in text.match_indices(self.text.as_str()) {
            let end = at + found.len();
            let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let around = (text[..at].chars().next_back(), text[end..].chars().next());
            if self.alone && (is_part(around.0) || is_part(around.1)) {
                continue;
            }
            out.push_str(&text[copied..at]);
            out.push_str(HIDDEN);
            copied = end;
        }
        (copied > 0).then(|| out + &text[copied..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn hider(value: Value) -> Hider {
        let mut seen = Seen::default();
        seen.note_all(&value);
        seen.hider(&["ada.lovelace"]).expect("something to hide")
    }

    #[test]
    fn what_was_seen_is_hidden_wherever_it_turns_up() {
        let hider = hider(json!({
            "user": { "newPassword": "Tr0ub4dor&3 \"x\"", "userName": "ada" },
            "recoveryCodes": ["1111-2222"], "pin": 123_456, "access_token": "eyJhbGciOi.abc",
        }));
        for (text, shown) in [
            ("refused: Tr0ub4dor&3 \"x\" is too weak", "refused: [hidden] is too weak"),
            (r#"{"echo":"Tr0ub4dor&3 \"x\""}"#, r#"{"echo":"[hidden]"}"#),
            ("/set?p=Tr0ub4dor%263%20%22x%22&b", "/set?p=[hidden]&b"),
            ("code 1111-2222, pin 123456.", "code [hidden], pin [hidden]."),
            ("order 91234567 of ada", "order 91234567 of ada"),
            ("Bearer eyJhbGciOi.abc", "Bearer [hidden]"),
        ] {
            assert_eq!(hider.text(text), shown);
        }
        let mut kept = json!({ "token": "eyJhbGciOi.abc", "note": ["it was 1111-2222"] });
        hider.passwords_in(&mut kept);
        assert_eq!(kept, json!({ "token": "eyJhbGciOi.abc", "note": ["it was [hidden]"] }));
    }

    #[test]
    fn what_occurs_anywhere_hides_nothing() {
        let mut seen = Seen::default();
        seen.note_all(&json!({
            "password": true, "tokens": [null, "x", "abc", "true", "none", 12, "changed"],
            "secret": "[secret:token]", "pin": "", "credential": "ada.lovelace", "other": "long enough value",
        }));
        assert_eq!(seen.hider(&["ada.lovelace"]), None);
    }

    #[test]
    fn short_values_are_hidden_as_words_of_their_own() {
        let hider = hider(json!({ "pin": "4711" }));
        assert_eq!(hider.text("pin 4711; order 14711, 47112"), "pin [hidden]; order 14711, 47112");
    }

    proptest! {
        #[test]
        fn no_long_value_survives(before in ".{0,20}", value in "[!-~]{8,40}", after in ".{0,20}") {
            let mut seen = Seen::default();
            seen.note_all(&json!({ "password": value }));
            if let Some(hider) = seen.hider(&[]) {
                let text = format!("{before}{value}{after}");
                prop_assert!(!hider.text(&text).contains(&value) || HIDDEN.contains(&value));
            }
        }
    }
}
