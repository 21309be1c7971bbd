//! Takes known secret values out of bytes that come in parts: a value may begin
//! in one part and end in the next.

use super::redact::Redactor;

/// What of the parts so far may be the beginning of a value.
#[derive(Debug, Default)]
pub struct Parts {
    held: Vec<u8>,
    passed_on: bool,
}

impl Parts {
    /// The next part without values, preceded by what was held back. What may
    /// be the beginning of a value is held back in turn, so nothing may come out.
    pub fn push(&mut self, redactor: &Redactor, part: &[u8]) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(part);
        if !self.passed_on && redactor.may_be_whole(&bytes) {
            self.held = bytes;
            return Vec::new();
        }
        let (out, done) = redactor.redact_start(&bytes);
        bytes.drain(..done);
        self.held = bytes;
        self.passed_on |= !out.is_empty();
        out
    }

    /// What was held back; nothing follows it.
    pub fn finish(self, redactor: &Redactor) -> Vec<u8> {
        // With something before it, it is not a whole text.
        match redactor.redact_values(&self.held, !self.passed_on) {
            Some(bytes) => bytes,
            None => self.held,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::security::NamedSecret;

    fn redactor(values: &[&str]) -> Redactor {
        let named = values.iter().enumerate().map(|(at, value)| NamedSecret::new(at.to_string(), *value));
        Redactor::new(&named.collect::<Vec<_>>())
    }

    fn in_parts(redactor: &Redactor, text: &[u8], cuts: &[usize]) -> Vec<u8> {
        let (mut parts, mut out, mut from) = (Parts::default(), Vec::new(), 0);
        for cut in cuts {
            let to = (from + cut).min(text.len());
            out.extend(parts.push(redactor, &text[from..to]));
            from = to;
        }
        out.extend(parts.push(redactor, &text[from..]));
        out.extend(parts.finish(redactor));
        out
    }

    #[test]
    fn what_cannot_be_a_beginning_comes_at_once() {
        let redactor = redactor(&["hunter22"]);
        let mut parts = Parts::default();
        assert_eq!(parts.push(&redactor, b"data: hunt"), b"data: ");
        assert_eq!(parts.push(&redactor, b"ing\n\n"), b"hunting\n\n");
        assert_eq!(parts.push(&redactor, b"hunter"), b"");
        assert_eq!(parts.push(&redactor, b"22!"), b"[secret:0]!");
        assert_eq!(parts.finish(&redactor), b"");
    }

    #[test]
    fn short_values_are_replaced_only_alone() {
        let redactor = redactor(&["abc"]);
        assert_eq!(in_parts(&redactor, b"abc", &[1, 1]), b"[secret:0]");
        assert_eq!(in_parts(&redactor, b"abcd", &[3]), b"abcd");
        assert_eq!(in_parts(&redactor, b"xabc", &[1]), b"xabc");
    }

    proptest! {
        #[test]
        fn parts_come_to_the_same_as_the_whole(
            values in prop::collection::vec("[ab]{1,6}", 1..4),
            text in "[ab%x]{0,60}",
            cuts in prop::collection::vec(0..9usize, 0..20),
        ) {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            let redactor = redactor(&values);
            let whole = redactor.redact(&text).into_owned();
            let shown = String::from_utf8(in_parts(&redactor, text.as_bytes(), &cuts)).unwrap();
            prop_assert_eq!(shown, whole);
        }
    }
}
