//! Texts of names and values, in objects that may lie in each other.

use super::{HIDDEN, LABEL, NAMING, Seen, VALUES, is_credential_key};

/// What a part of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With its quotation marks, of which the last may have been cut off.
    String,
    /// A number, a literal, or a word of another text.
    Word,
    /// Without quotation marks: of a member, a variable, a type, a choice.
    Name,
    Open,
    Close,
    Colon,
    Comma,
}

pub(super) struct Token<'a> {
    pub kind: Kind,
    pub start: usize,
    pub text: &'a str,
}

/// The text without the values of credentials, and without those that `inside`
/// finds in another value, which it is given with the member's name.
pub(super) fn without(
    text: &str,
    tokens: &[Token],
    seen: &mut Seen,
    inside: impl Fn(&Token, Option<&Token>, &mut Seen) -> Option<String>,
) -> String {
    let keys = credential_keys(tokens);
    let (mut out, mut copied) = (String::with_capacity(text.len()), 0);
    let (mut place, mut name) = (Place::default(), None);
    for (token, is_key) in tokens.iter().zip(keys) {
        name = is_key.map(|_| token).or(name);
        place.name(token, is_key);
        let shown = match place.hides(token, is_key) {
            true => {
                seen.note(&place.key(name), &unescaped(token));
                Some(format!("\"{HIDDEN}\""))
            }
            false if token.kind == Kind::String && is_key.is_none() => inside(token, name, seen),
            false => None,
        };
        if let Some(shown) = shown {
            out.push_str(&text[copied..token.start]);
            out.push_str(&shown);
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
    /// The latest name of a credential.
    credential: String,
}

impl Place {
    /// Notes the name of a credential.
    fn name(&mut self, token: &Token, is_key: Option<bool>) {
        if is_key == Some(true) && self.hides_from.is_none() {
            self.credential = unescaped(token);
        }
    }

    /// By which name a value is a credential. `value` says nothing of itself: what
    /// its neighbour says it is may be a password.
    fn key(&self, name: Option<&Token>) -> String {
        let is_value = name.is_some_and(|name| VALUES.contains(&unescaped(name).as_str()));
        if is_value && VALUES.contains(&self.credential.as_str()) {
            "password".into()
        } else {
            self.credential.clone()
        }
    }

    /// Goes on to the next token; whether it is to be hidden.
    fn hides(&mut self, token: &Token, is_key: Option<bool>) -> bool {
        match (token.kind, is_key) {
            (Kind::Colon, _) | (Kind::Name, None) => return false,
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
            Kind::String | Kind::Name if tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Colon) => {
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

/// A string without its quotation marks.
pub(super) fn inner<'a>(token: &Token<'a>) -> &'a str {
    let text = token.text.strip_prefix('"').unwrap_or(token.text);
    text.strip_suffix('"').unwrap_or(text)
}

/// What a string says. One that was cut off may end within an escape, which has
/// six bytes at most.
pub(super) fn unescaped(token: &Token) -> String {
    let whole = || serde_json::from_str(token.text).ok();
    let cut = || {
        let ends = (0..=6).filter_map(|less| token.text.len().checked_sub(less));
        let texts = ends.filter_map(|end| token.text.get(..end));
        texts.filter_map(|text| serde_json::from_str(&format!("{text}\"")).ok()).next()
    };
    let is_string = token.kind == Kind::String;
    is_string.then(|| whole().or_else(cut)).flatten().unwrap_or_else(|| inner(token).to_owned())
}
