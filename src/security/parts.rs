//! Takes known secret values out of bytes that come in parts: a value may begin
//! in one part and end in the next.

use super::redact::Redactor;

/// The end of the parts so far, in which a value may begin.
#[derive(Debug, Default)]
pub struct Parts {
    held: Vec<u8>,
    passed_on: bool,
}

impl Parts {
    /// The next part without values, preceded by what was held back. As many
    /// bytes as a value may have are held back in turn, so nothing may come out.
    pub fn push(&mut self, redactor: &Redactor, part: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(part);
        let (out, done) = redactor.redact_start(&self.held);
        self.held.drain(..done);
        self.passed_on |= done > 0;
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
    fn a_part_comes_when_no_value_can_begin_in_it() {
        let redactor = redactor(&["hunter22"]);
        let mut parts = Parts::default();
        let longest = "68756e7465723232".len();
        let text = [b"data: hunter22".as_slice(), &vec![b'.'; longest]].concat();
        assert_eq!(parts.push(&redactor, &text[..14]), b"");
        assert_eq!(parts.push(&redactor, &text[14..]), b"data: [secret:0]");
        assert_eq!(parts.finish(&redactor), vec![b'.'; longest]);
        assert_eq!(Parts::default().push(&self::redactor(&[]), b"x"), b"x");
    }

    #[test]
    fn short_values_are_replaced_only_alone() {
        let redactor = redactor(&["abc"]);
        assert_eq!(in_parts(&redactor, b"abc", &[1, 1]), b"[secret:0]");
        assert_eq!(in_parts(&redactor, b"abcd", &[3]), b"abcd");
        assert_eq!(in_parts(&redactor, b"xabc", &[1]), b"xabc");
    }

    proptest! {
        /// How much comes when says nothing of how a value begins.
        #[test]
        fn what_is_held_back_tells_nothing(
            value in "[a-z]{4,30}",
            guess in "[a-z]{4,30}",
            right in 0..30usize,
            after in 0..400usize,
        ) {
            prop_assume!(!guess.contains(&value));
            let redactor = redactor(&[&value]);
            // Without the last letter it is not the value.
            let start = &value[..right.min(value.len() - 1)];
            let come = |begin: &str| {
                let text = format!("##{begin}{}", "-".repeat(32 + after - begin.len()));
                let mut parts = Parts::default();
                [5, 20, text.len()].map(|to| to.min(text.len())).iter().fold((0, Vec::new()), |(from, mut come), to| {
                    come.push(parts.push(&redactor, &text.as_bytes()[from..*to]).len());
                    (*to, come)
                }).1
            };
            prop_assert_eq!(come(start), come(&guess[..guess.len().min(start.len())]));
        }

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
