//! `Retry-After` (RFC 9110 §10.2.3).

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

/// Longer waits are cut to a week, so that no server can park work for good.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The three date forms a recipient must accept (RFC 9110 §5.6.7): IMF-fixdate,
/// RFC 850, asctime.
const DATES: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// How long to wait from `now`: seconds, or until a date; zero when the date
/// is past, `None` when the value is neither.
pub(super) fn parse(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let at = DATES.iter().find_map(|form| NaiveDateTime::parse_from_str(value, form).ok())?;
    let wait = (at.and_utc() - now).to_std().unwrap_or(Duration::ZERO);
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        let now = "1994-11-06T08:49:00Z".parse().unwrap();
        let seconds = |value| parse(value, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
        assert_eq!(seconds("Sunday, 06-Nov-94 08:49:37 GMT"), Some(37));
        assert_eq!(seconds("Sun Nov  6 08:49:37 1994"), Some(37));
        assert_eq!(seconds("Sat, 05 Nov 1994 08:49:37 GMT"), Some(0));
    }

    #[test]
    fn nonsense_is_ignored_and_eternity_cut() {
        let now = "1994-11-06T08:49:00Z".parse().unwrap();
        for bad in ["", "soon", "-1", "1.5", "+5", "1994-11-06"] {
            assert_eq!(parse(bad, now), None, "{bad}");
        }
        assert_eq!(parse("99999999999999999999999", now), Some(LONGEST));
        assert_eq!(parse("Fri, 31 Dec 9999 23:59:59 GMT", now), Some(LONGEST));
    }
}
