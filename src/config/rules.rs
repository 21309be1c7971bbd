//! What values may look like, with the words for it.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// A parser, and how a person should write what it reads.
pub(super) struct Rule<T> {
    pub words: String,
    pub parse: Parse<T>,
}

type Parse<T> = Box<dyn Fn(&str) -> Option<T>>;

impl<T> Rule<T> {
    pub(super) fn new(words: impl Into<String>, parse: impl Fn(&str) -> Option<T> + 'static) -> Self {
        Self { words: words.into(), parse: Box::new(parse) }
    }
}

/// A number from `least` to `most`.
pub(super) fn number<T>(least: T, most: T) -> Rule<T>
where
    T: FromStr + PartialOrd + Display + Copy + 'static,
{
    let words = format!("a number from {least} to {most}");
    Rule::new(words, move |text| text.parse().ok().filter(|value| (least..=most).contains(value)))
}

/// A duration of `least` to `most`, both as a person writes them.
pub(super) fn duration(example: &str, least: &str, most: &str) -> Rule<Duration> {
    let words = format!("a duration such as \"{example}\", from {least} to {most}");
    let bounds =
        parse_duration(least).unwrap_or(Duration::ZERO)..=parse_duration(most).unwrap_or(Duration::MAX);
    Rule::new(words, move |text| parse_duration(text).filter(|value| bounds.contains(value)))
}

/// A size of `least` to `most`, both as a person writes them.
pub(super) fn size(example: &str, least: &str, most: &str) -> Rule<usize> {
    let words = format!("a size such as \"{example}\", from {least} to {most}");
    let bounds = parse_size(least).unwrap_or(0)..=parse_size(most).unwrap_or(usize::MAX);
    Rule::new(words, move |text| parse_size(text).filter(|value| bounds.contains(value)))
}

/// `10s`, `5m`, `1h`, `30d`, `500ms`.
fn parse_duration(text: &str) -> Option<Duration> {
    let (count, unit) = split_unit(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    count.checked_mul(millis).map(Duration::from_millis)
}

/// `4096`, `64KiB`, `1MiB`.
fn parse_size(text: &str) -> Option<usize> {
    let (count, unit) = split_unit(text)?;
    let bytes = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(count.checked_mul(bytes)?).ok()
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_duration("30d"), Some(Duration::from_secs(2_592_000)));
        assert_eq!(parse_duration("500 ms"), Some(Duration::from_millis(500)));
        for bad in ["", "10", "s", "-1s", "1.5s", "1w", "1s2", "99999999999999999999s", "999999999999999999d"]
        {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4096"), Some(4096));
        assert_eq!(parse_size("1 MiB"), Some(1 << 20));
        assert_eq!(parse_size("1MB"), None);
    }
}
