//! Text of others, safe to show. Names, messages and bodies come from people and
//! from external systems; what a terminal obeys or nobody sees is written out.

use std::borrow::Cow;
use std::fmt::Write;

use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Whether a character is not seen, or changes how others are: controls (escape
/// sequences begin with one), line ends, marks that turn the direction of
/// writing, joiners, fillers, selectors, tags.
pub fn is_invisible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    ) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
}

/// The text on one line with every invisible character written out as Rust and
/// JavaScript do: `\n`, `\u{1b}`.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, is_invisible, |c, shown| match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        c => _ = write!(shown, "\\u{{{:x}}}", u32::from(c)),
    })
}

/// The same of a line of source code, in which tabs indent.
pub fn code(text: &str) -> Cow<'_, str> {
    if !text.contains('\t') {
        return line(text);
    }
    Cow::Owned(text.split('\t').map(line).collect::<Vec<_>>().join("\t"))
}

/// JSON that means the same: its writer has escaped what ASCII calls a control
/// between quotes, and everything beyond ASCII stands between quotes.
pub fn json(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |c| c >= '\x7f' && is_invisible(c),
        |c, shown| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                _ = write!(shown, "\\u{unit:04x}");
            }
        },
    )
}

fn replaced(
    text: &str,
    is_meant: impl Fn(char) -> bool,
    write_out: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    let Some((first, _)) = text.char_indices().find(|(_, c)| is_meant(*c)) else {
        return Cow::Borrowed(text);
    };
    let (before, rest) = text.split_at(first);
    let mut shown = before.to_owned();
    for c in rest.chars() {
        if is_meant(c) { write_out(c, &mut shown) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_nobody_sees_is_written_out() {
        for (text, shown) in [
            ("", ""),
            ("Zoë Ångström-Þórsdóttir · 料理長 👩", "Zoë Ångström-Þórsdóttir · 料理長 👩"),
            (r"C:\n \u{1b}", r"C:\n \u{1b}"),
            ("\x1b[31mred\x1b[0m", r"\u{1b}[31mred\u{1b}[0m"),
            ("a\nb\r\tc\0\x7f", r"a\nb\r\tc\u{0}\u{7f}"),
            ("\u{9b}2J\u{85}", r"\u{9b}2J\u{85}"),
            ("adm\u{202e}nigol\u{2066}\u{200f}", r"adm\u{202e}nigol\u{2066}\u{200f}"),
            ("a\u{200b}\u{200d}\u{ad}\u{feff}\u{2060}b", r"a\u{200b}\u{200d}\u{ad}\u{feff}\u{2060}b"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("\u{3164}\u{115f}\u{fe0f}\u{e0041}\u{34f}", r"\u{3164}\u{115f}\u{fe0f}\u{e0041}\u{34f}"),
            ("a\u{a0}b\u{3000}c", "a\u{a0}b\u{3000}c"),
        ] {
            assert_eq!(line(text), shown);
        }
        assert_eq!(code("\tif (\u{202e}a)\r"), "\tif (\\u{202e}a)\\r");
    }

    proptest! {
        #[test]
        fn nothing_invisible_is_left(text in any::<String>()) {
            let shown = line(&text);
            prop_assert!(!shown.contains(is_invisible), "{shown:?}");
            prop_assert_eq!(line(&shown), shown.clone());
            prop_assert_eq!(text.contains(is_invisible), matches!(shown, Cow::Owned(_)));
        }

        #[test]
        fn json_keeps_its_meaning(text in any::<String>(), c in "[\u{7f}-\u{9f}\u{200b}-\u{202e}\u{e0001}-\u{e0060}]{0,4}") {
            let value = serde_json::json!({ format!("{c}{text}"): [format!("{text}{c}")] });
            let written = serde_json::to_string_pretty(&value).unwrap();
            let shown = json(&written);
            prop_assert!(!shown.contains(|c| c != '\n' && is_invisible(c)), "{shown:?}");
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
