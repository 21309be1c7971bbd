//! What two failures have in common: their message without what belongs to one
//! account or one call.

use sha2::{Digest, Sha256};

use crate::domain::status::ErrorClass;

/// Shortest name that is looked for; a single letter stands for anything.
const SHORTEST_NAME: usize = 2;
/// Shortest word of letters and digits, or of hexadecimal digits, that is
/// taken for an id.
const SHORTEST_ID: usize = 8;
/// Words after which a number is a status and tells failures apart.
const BEFORE_STATUS: &[&str] = &["answered", "code", "error", "http", "http/1.1", "http/2", "status"];

/// The fingerprint of a failure: 16 hexadecimal digits, equal for failures of
/// one class whose messages differ only in numbers, ids, quoted text, e-mail
/// addresses and `names`, the names of the account. Only the first line counts:
/// the stack below it says where, not what.
pub fn fingerprint(class: Option<ErrorClass>, message: &str, names: &[&str]) -> String {
    let class = class.map_or("", ErrorClass::as_str);
    let text = format!("{class}\n{}", normalized(message, names));
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The first line of a message with everything that is not common replaced.
fn normalized(message: &str, names: &[&str]) -> String {
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let plain = without_quotes(&without_names(line, names));
    let mut text = String::with_capacity(plain.len());
    let mut before = String::new();
    for piece in plain.split_inclusive(is_separator) {
        let word = piece.trim_end_matches(is_separator);
        let core = word.trim_end_matches(['.', ':']);
        text += &common(core, &before);
        text += &piece[core.len()..];
        if !core.is_empty() {
            before = core.to_ascii_lowercase();
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || "()[]{}<>,;=&?/|\"'`".contains(c)
}

/// Puts `*` for names, whole words only and whatever their case; longer names
/// first, for one may be part of another.
fn without_names(line: &str, names: &[&str]) -> String {
    let mut names: Vec<&str> =
        names.iter().map(|name| name.trim()).filter(|name| name.chars().count() >= SHORTEST_NAME).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.iter().fold(line.to_owned(), |line, name| replace_word(&line, name))
}

fn replace_word(line: &str, name: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(line.len()), line);
    while let Some(c) = rest.chars().next() {
        let starts = !text.ends_with(char::is_alphanumeric);
        let head = rest.get(..name.len()).filter(|head| starts && head.eq_ignore_ascii_case(name));
        let ends = !rest.get(name.len()..).unwrap_or_default().starts_with(char::is_alphanumeric);
        let taken = if head.is_some() && ends { name.len() } else { c.len_utf8() };
        text += if taken == name.len() && head.is_some() { "*" } else { &rest[..taken] };
        rest = &rest[taken..];
    }
    text
}

/// Puts `'*'` for quoted text. An apostrophe inside a word quotes nothing.
fn without_quotes(line: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(line.len()), line);
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let opens = !text.ends_with(char::is_alphanumeric);
        match closing(c).filter(|_| opens).and_then(|end| quoted(after, end)) {
            Some(length) => {
                text += "'*'";
                rest = &after[length..];
            }
            None => {
                text.push(c);
                rest = after;
            }
        }
    }
    text
}

fn closing(open: char) -> Option<char> {
    match open {
        '"' | '\'' | '`' => Some(open),
        '“' => Some('”'),
        '«' => Some('»'),
        _ => None,
    }
}

/// Length of quoted text with its closing quote, in bytes.
fn quoted(text: &str, end: char) -> Option<usize> {
    text.match_indices(end).map(|(at, quote)| at + quote.len()).find(|length| {
        let inside_a_word = end == '\'' && text[*length..].starts_with(char::is_alphanumeric);
        !inside_a_word
    })
}

/// What a word has in common with others; `before` is the word before it.
fn common(word: &str, before: &str) -> String {
    if is_address(word) {
        return "<email>".into();
    }
    let digits = word.chars().filter(char::is_ascii_digit).count();
    if digits == 0 {
        return word.to_owned();
    }
    if is_status(word) && BEFORE_STATUS.contains(&before) {
        return word.to_owned();
    }
    if digits < word.len() && word.len() >= SHORTEST_ID && is_id(word) {
        return "<id>".into();
    }
    without_numbers(word)
}

fn is_address(word: &str) -> bool {
    word.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
}

fn is_status(word: &str) -> bool {
    word.len() == 3 && word.parse().is_ok_and(|number: u16| (400..600).contains(&number))
}

/// Letters and digits in one: a UUID, a hash, a key. A host or a path keeps
/// its dots and is none.
fn is_id(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn without_numbers(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    for c in word.chars() {
        match (c.is_ascii_digit(), text.ends_with('#')) {
            (true, true) => {}
            (true, false) => text.push('#'),
            (false, _) => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(message: &str) -> String {
        normalized(message, &["ada.lovelace", "Ada Lovelace", "E-17"])
    }

    #[test]
    fn what_belongs_to_one_account_or_call_is_replaced() {
        assert_eq!(plain("no licence for ada.lovelace (Ada Lovelace, e-17)"), "no licence for * (*, *)");
        assert_eq!(plain("ada@example.org is taken."), "<email> is taken.");
        assert_eq!(
            plain("user 4711 waits since 2026-01-02T03:04:05Z"),
            plain("user 12 waits since 2025-11-12T13:14:15Z")
        );
        assert_eq!(plain("no 0190a7e4-51c2-7b63-9d0e-8f6d2a8c1b11: gone"), "no <id>: gone");
        assert_eq!(plain("key deadbeef01 of usr_8f3kd92x"), "key <id> of <id>");
        assert_eq!(plain("field \"mail\" can't be 'x y'"), "field '*' can't be '*'");
        assert_eq!(
            plain("GET https://api.example.org/Users/93/groups?page=2"),
            "GET https://api.example.org/Users/#/groups?page=#"
        );
    }

    #[test]
    fn what_tells_failures_apart_is_kept() {
        assert_ne!(plain("the sink answered 404"), plain("the sink answered 409"));
        assert_ne!(plain("HTTP 500: busy"), plain("HTTP 502: busy"));
        assert_eq!(plain("room 404 is full"), plain("room 405 is full"));
        assert_eq!(plain("Canada refuses"), "Canada refuses");
        let names = ["ada"];
        assert_eq!(normalized("Canada refuses ada", &names), "Canada refuses *");
        let (one, two) = (ErrorClass::Permanent, ErrorClass::Logic);
        assert_ne!(fingerprint(Some(one), "x", &[]), fingerprint(Some(two), "x", &[]));
    }

    #[test]
    fn the_stack_does_not_count() {
        let at = |line| format!("x is not a function\n    at main.ts:{line}:1\n    at host:9");
        assert_eq!(fingerprint(None, &at("5"), &[]), fingerprint(None, &at("seven"), &[]));
        assert_eq!(fingerprint(None, "", &[]).len(), 16);
    }

    proptest! {
        /// The same failure of two accounts is one group, whatever their names.
        #[test]
        fn accounts_share_a_group(one in "[a-z]{2,9}", two in "[a-z]{2,9}", n in 0_u32..9999, m in 0_u32..9999) {
            prop_assume!(!["user", "exists", "in"].iter().any(|word| one == *word || two == *word));
            let of = |name: &str, n| fingerprint(None, &format!("user {name} exists in {n}"), &[name]);
            prop_assert_eq!(of(&one, n), of(&two, m));
        }

        /// Any text has one, and a second look changes nothing.
        #[test]
        fn any_text_is_taken(message in ".{0,200}", name in ".{0,12}") {
            prop_assert_eq!(fingerprint(None, &message, &[&name]), fingerprint(None, &message, &[&name]));
        }
    }
}
