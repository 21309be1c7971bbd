//! Takes known secret values out of text.
//!
//! Systems echo what they were sent: in error messages, in redirects, in
//! `Authorization` headers that a debugging page prints. One pass of an
//! automaton finds every form of every secret; a text without any is neither
//! copied nor changed.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::forms::{forms_in_names, forms_of};
use super::{NamedSecret, Secret};

/// Shorter values are only taken out where they are the whole text: they would
/// tear holes into everything, and are no secrets worth the name.
const SHORTEST: usize = 4;

/// Bytes of patterns up to which the automaton may be the quick kind: that takes
/// a kilobyte for each of them, 30 MiB for one RSA key.
const QUICK: usize = 4096;

/// Replaces secret values, raw, in base64 (either alphabet, also in the middle
/// of more), in hexadecimal, percent-encoded, and escaped for JSON or XML.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    automaton: Option<AhoCorasick>,
    /// For each pattern of the automaton, which label replaces it.
    label_of: Vec<usize>,
    /// Bytes of the longest form of any of them.
    longest: usize,
    labels: Vec<String>,
    short: Vec<(Secret, usize)>,
}

impl Redactor {
    /// Replaces each secret by `[secret:NAME]`.
    pub fn new(secrets: &[NamedSecret]) -> Self {
        Self::labelled(secrets.iter().map(|secret| (format!("[secret:{}]", secret.name), &secret.value)))
    }

    /// Replaces each secret by its label.
    pub fn labelled<'a>(secrets: impl IntoIterator<Item = (String, &'a Secret)>) -> Self {
        Self::of_forms(secrets, forms_of)
    }

    /// The same for names of header fields, which come in lower case.
    pub fn of_names<'a>(secrets: impl IntoIterator<Item = (String, &'a Secret)>) -> Self {
        Self::of_forms(secrets, forms_in_names)
    }

    fn of_forms<'a>(
        secrets: impl IntoIterator<Item = (String, &'a Secret)>,
        forms_of: fn(&str) -> Vec<String>,
    ) -> Self {
        let mut redactor = Self::default();
        let mut patterns = Vec::new();
        for (label, value) in secrets {
            let index = redactor.labels.len();
            redactor.labels.push(label);
            redactor.longest = redactor.longest.max(value.expose().len());
            if value.expose().len() < SHORTEST {
                redactor.short.push((value.clone(), index));
                continue;
            }
            let forms = forms_of(value.expose());
            redactor.label_of.resize(redactor.label_of.len() + forms.len(), index);
            patterns.extend(forms);
        }
        redactor.longest = patterns.iter().map(String::len).fold(redactor.longest, usize::max);
        redactor.automaton = automaton(&patterns);
        redactor
    }

    /// Whether there is nothing to take out.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The text without secrets; the same one when it holds none.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.redact_bytes(text.as_bytes()) {
            // Patterns and labels are UTF-8, so this never replaces a character.
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            None => Cow::Borrowed(text),
        }
    }

    /// The bytes without secrets, `None` when they hold none.
    pub fn redact_bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.redact_values(bytes, true)
    }

    /// The same for the end of a text, which is not the whole of it unless
    /// `is_whole`.
    pub(super) fn redact_values(&self, bytes: &[u8], is_whole: bool) -> Option<Vec<u8>> {
        if let Some((_, label)) = self.short.iter().find(|(value, _)| is_whole && is_alone(value, bytes)) {
            return Some(self.labels[*label].clone().into_bytes());
        }
        let automaton = self.automaton.as_ref()?;
        let mut out = Vec::new();
        let mut done = 0;
        for found in automaton.find_iter(bytes) {
            out.extend_from_slice(&bytes[done..found.start()]);
            out.extend_from_slice(self.label(found.pattern()));
            done = found.end();
        }
        if done == 0 {
            return None;
        }
        out.extend_from_slice(&bytes[done..]);
        Some(out)
    }

    /// As much of the bytes without secrets as can be told whatever comes after
    /// them, and how many bytes that is: all but the length of the longest form.
    ///
    /// What looks like the beginning of a secret is not held back longer than
    /// anything else. Whoever has its guesses echoed would see by that whether
    /// they are right, and so come to know a secret letter by letter.
    pub(super) fn redact_start(&self, bytes: &[u8]) -> (Vec<u8>, usize) {
        let end = bytes.len().saturating_sub(self.longest);
        let (mut out, mut done) = (Vec::with_capacity(end), 0);
        let found = self.automaton.iter().flat_map(|automaton| automaton.find_iter(bytes));
        for found in found.take_while(|found| found.start() < end) {
            out.extend_from_slice(&bytes[done..found.start()]);
            out.extend_from_slice(self.label(found.pattern()));
            done = found.end();
        }
        if done < end {
            out.extend_from_slice(&bytes[done..end]);
            done = end;
        }
        (out, done)
    }

    fn label(&self, pattern: aho_corasick::PatternID) -> &[u8] {
        self.labels[self.label_of[pattern.as_usize()]].as_bytes()
    }
}

fn is_alone(value: &Secret, bytes: &[u8]) -> bool {
    !bytes.is_empty() && value.expose().as_bytes() == bytes
}

/// `None` without patterns. Building fails only beyond the 2³¹ states that
/// gigabytes of secrets would need; nothing is promised for those.
fn automaton(patterns: &[String]) -> Option<AhoCorasick> {
    if patterns.is_empty() {
        return None;
    }
    let bytes: usize = patterns.iter().map(String::len).sum();
    let kind = (bytes > QUICK).then_some(AhoCorasickKind::ContiguousNFA);
    AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).kind(kind).build(patterns).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    fn redactor(value: &str) -> Redactor {
        Redactor::new(&[NamedSecret::new("token", value)])
    }

    #[test]
    fn a_text_without_secrets_is_not_copied() {
        let text = "nothing to see";
        assert!(matches!(redactor("hunter2").redact(text), Cow::Borrowed(same) if same == text));
        assert!(Redactor::new(&[]).is_empty());
    }

    #[test]
    fn every_form_is_found() {
        let value = "p@ss \"wörd\"/+&<?>";
        let escaped = serde_json::to_string(value).unwrap();
        let form: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        for text in [
            value.to_owned(),
            STANDARD.encode(value),
            URL_SAFE.encode(value),
            value.bytes().map(|byte| format!("{byte:02X}")).collect(),
            STANDARD_NO_PAD.encode(value),
            escaped[1..escaped.len() - 1].to_owned(),
            form.to_lowercase(),
            form,
            "p%40ss%20%22w%C3%B6rd%22%2F%2B%26%3C%3F%3E".to_owned(),
            "p@ss &quot;wörd&quot;/+&amp;&lt;?&gt;".to_owned(),
        ] {
            let shown = redactor(value).redact(&format!("a {text} b")).into_owned();
            // Base64 keeps the character that the last byte shares, and the padding.
            let rest = shown.strip_prefix("a [secret:token]").unwrap_or_else(|| panic!("{text}: {shown}"));
            assert!(rest.len() <= 6, "{text}: {shown}");
        }
    }

    #[test]
    fn basic_authorization_is_found_at_each_offset() {
        for user in ["u", "us", "use", "user"] {
            let header = STANDARD.encode(format!("{user}:correct horse"));
            let shown = redactor("correct horse").redact(&header).into_owned();
            assert!(shown.contains("[secret:token]"), "{user}: {shown}");
        }
    }

    #[test]
    fn names_of_header_fields_come_in_lower_case() {
        let value = Secret::new("Hunter22!x");
        let redactor = Redactor::of_names([("[token]".to_owned(), &value)]);
        for name in ["x-hunter22!x", "x-hunter22%21x", "x-48756e746572323221 78".replace(' ', "").as_str()] {
            assert_eq!(redactor.redact(name), "x-[token]");
        }
        assert!(redactor.redact(&STANDARD_NO_PAD.encode("Hunter22!x").to_lowercase()).starts_with("[token]"));
        assert_eq!(redactor.redact("content-type"), "content-type");
        let spaced = Secret::new("a b/c\"");
        assert_eq!(
            Redactor::of_names([("[token]".to_owned(), &spaced)]).redact("x-a%20b%2fc%22"),
            "x-[token]"
        );
    }

    #[test]
    fn base64_is_found_in_another_encoding() {
        // In base64 `/` and `+` come from these characters.
        let value = "aa?bb>ccc~dd?";
        let encoded = STANDARD.encode(value);
        assert!(encoded.contains('/') && encoded.contains('+'), "{encoded}");
        for text in [
            encoded.replace('/', "\\/"),
            encoded.replace('+', "\\u002B"),
            encoded.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D"),
            encoded.replace('/', "%2f").replace('+', "%2b").replace('=', "%3d"),
            encoded.replace('+', "%2B"),
            url::form_urlencoded::byte_serialize(STANDARD.encode(format!("user:{value}")).as_bytes())
                .collect(),
        ] {
            let shown = redactor(value).redact(&text).into_owned();
            assert!(shown.contains("[secret:token]") && shown.len() < 32, "{text}: {shown}");
        }
    }

    #[test]
    fn a_value_with_much_to_encode_takes_little_memory() {
        let size = redactor(&"?>~/+&".repeat(341)).automaton.unwrap().memory_usage();
        assert!(size < 4 << 20, "{size} bytes");
    }

    #[test]
    fn a_long_key_takes_little_memory() {
        let lines: String = (1..52).map(|line| format!("{:064}\n", line * 7919)).collect();
        let key = format!("-----BEGIN PRIVATE KEY-----\n{lines}-----END PRIVATE KEY-----\n");
        let size = redactor(&key).automaton.unwrap().memory_usage();
        assert!(size < 2 << 20, "{size} bytes");
    }

    #[test]
    fn the_longest_secret_wins() {
        let both = [NamedSecret::new("short", "abcd"), NamedSecret::new("long", "abcdefgh")];
        assert_eq!(Redactor::new(&both).redact("abcdefgh abcd"), "[secret:long] [secret:short]");
    }

    #[test]
    fn short_values_are_replaced_only_alone() {
        assert_eq!(redactor("abc").redact("abc"), "[secret:token]");
        assert_eq!(redactor("abc").redact("abcd"), "abcd");
        assert_eq!(redactor("").redact(""), "");
    }

    proptest! {
        #[test]
        fn no_raw_or_base64_value_survives(before in ".{0,20}", value in "[!-~]{8,40}", after in ".{0,20}") {
            let redactor = Redactor::labelled([("§".to_owned(), &Secret::new(value.as_str()))]);
            let text = format!("{before}{value}{after}");
            let raw = redactor.redact(&text);
            prop_assert!(!raw.contains(&value));
            let encoded = STANDARD.encode(&text);
            let shown = redactor.redact(&encoded);
            prop_assert!(shown.contains('§'));
        }
    }
}
