//! `Retry-After` (RFC 9110 §10.2.3), as servers send it: by the rules and past them.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Longer waits are cut to a week, so that no server can park work for good.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a value counts for that is neither a number nor a date: it asked for a wait,
/// and did not get through for how long.
pub const UNREADABLE: Duration = Duration::from_secs(60);

/// How long to wait from `now`, in whole seconds, rounded up: a number of seconds, or
/// until a date. What is past or negative is no wait.
pub fn parse(value: &str, now: DateTime<Utc>) -> Duration {
    let value = value.trim();
    let until = |at: DateTime<Utc>| (at - now).as_seconds_f64();
    let seconds = date(value).map(until).or_else(|| number(value));
    seconds.map_or(UNREADABLE, whole)
}

/// The same of a number of seconds.
pub fn whole(seconds: f64) -> Duration {
    if seconds.is_nan() {
        return UNREADABLE;
    }
    // A cast of a float stays within the bounds of its type.
    Duration::from_secs(seconds.ceil() as u64).min(LONGEST)
}

/// The three forms that a recipient must accept (RFC 9110 §5.6.7), and those of mail
/// and of JSON, which servers send as well.
fn date(text: &str) -> Option<DateTime<Utc>> {
    let by_http = httpdate::parse_http_date(text).ok().map(DateTime::<Utc>::from);
    let by_mail = || DateTime::parse_from_rfc2822(text).ok().map(|at| at.to_utc());
    let by_json = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc());
    by_http.or_else(by_mail).or_else(by_json)
}

/// Seconds, maybe with their unit; the most of several, as of a field that came twice
/// and was joined.
fn number(text: &str) -> Option<f64> {
    let read = |part: &str| {
        let part = part.trim().to_ascii_lowercase();
        let unit = ["seconds", "second", "secs", "sec", "s"].into_iter();
        let bare = unit.into_iter().find_map(|unit| part.strip_suffix(unit)).unwrap_or(&part);
        bare.trim_end().parse::<f64>().ok().filter(|seconds| !seconds.is_nan())
    };
    text.split([',', ';']).filter_map(read).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(value: &str) -> u64 {
        parse(value, "1994-11-06T08:49:00Z".parse().unwrap()).as_secs()
    }

    #[test]
    fn seconds_and_dates() {
        assert_eq!((seconds("120"), seconds(" 0 ")), (120, 0));
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "06 Nov 1994 09:49:37 +0100",
            "1994-11-06T08:49:37Z",
            "1994-11-06T08:49:36.2Z",
        ] {
            assert_eq!(seconds(date), 37, "{date}");
        }
        assert_eq!(seconds("Sat, 05 Nov 1994 08:49:37 GMT"), 0);
        assert_eq!(seconds("Thu, 01 Jan 1903 00:00:00 GMT"), 0);
    }

    #[test]
    fn what_the_rules_do_not_say_is_read_as_it_is_meant() {
        let cases = [
            ("299.997", 300),
            ("1.0", 1),
            ("0.001", 1),
            ("+5", 5),
            ("-1", 0),
            ("-299.997", 0),
            ("120s", 120),
        ];
        for (value, wait) in cases {
            assert_eq!(seconds(value), wait, "{value}");
        }
        assert_eq!((seconds("90 seconds"), seconds("120, 60"), seconds("30; reason=busy")), (90, 120, 30));
    }

    #[test]
    fn eternity_is_cut_and_nonsense_counts_as_a_minute() {
        for long in ["99999999999999999999999", "1e300", "inf", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(seconds(long), LONGEST.as_secs(), "{long}");
        }
        for nonsense in ["", "soon", "NaN", "5 minutes", "1994-11-06", "\u{e9}"] {
            assert_eq!(seconds(nonsense), 60, "{nonsense}");
        }
    }

    proptest! {
        /// No value is ignored, shortened or kept for ever.
        #[test]
        fn every_number_waits_at_least_as_long(value in -1e6..1e7_f64) {
            let wait = parse(&value.to_string(), Utc::now()).as_secs_f64();
            prop_assert!(wait >= value.min(LONGEST.as_secs_f64()) && wait <= value.max(0.0) + 1.0);
        }

        #[test]
        fn any_text_is_a_wait(value in ".*") {
            prop_assert!(parse(&value, Utc::now()) <= LONGEST);
        }
    }
}
