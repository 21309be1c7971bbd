//! Times in filters: RFC 3339 dateTimes (as XML Schema dateTime in RFC 7643
//! §2.3.5), dates, and times relative to the evaluation. The SQL function
//! `filter_instant` reads values by the same rules as `instant`.

use chrono::NaiveDate;

/// 0001-01-01T00:00:00Z in microseconds since 1970. PostgreSQL and RFC 3339
/// disagree about what was before.
const FIRST: i64 = -62_135_596_800_000_000;
/// 9999-12-31T23:59:59.999999Z in microseconds since 1970.
const LAST: i64 = 253_402_300_799_999_999;
const SECOND: i64 = 1_000_000;

/// A time that a literal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Microseconds since 1970.
    At(i64),
    /// Microseconds after the evaluation; negative is before.
    Relative(i64),
}

impl Moment {
    /// Reads a literal.
    pub(super) fn read(text: &str) -> Option<Self> {
        instant(text).map(Self::At).or_else(|| relative(text).map(Self::Relative))
    }

    /// Microseconds since 1970, given those of the evaluation.
    pub fn micros(self, now: i64) -> i64 {
        match self {
            Self::At(micros) => micros,
            Self::Relative(offset) => now.saturating_add(offset).clamp(FIRST, LAST),
        }
    }
}

/// Microseconds since 1970 of a dateTime with an offset or of a date, which is
/// its midnight in UTC. Digits after the microsecond are cut off; leap seconds
/// and what is outside the years 1 to 9999 are no times.
pub(super) fn instant(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let day = date(bytes.get(..10)?)?;
    let micros = match bytes.get(10..)? {
        [] => 0,
        [b'T' | b't', rest @ ..] => time(rest)?,
        _ => return None,
    };
    let micros = day * 86_400 * SECOND + micros;
    (FIRST..=LAST).contains(&micros).then_some(micros)
}

/// Days since 1970 of `YYYY-MM-DD`.
fn date(text: &[u8]) -> Option<i64> {
    let [year @ .., b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = i32::try_from(digits(year)?).ok()?;
    let (month, day) = (digits(&[*m1, *m2])?, digits(&[*d1, *d2])?);
    let date = NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?;
    Some(date.signed_duration_since(NaiveDate::default()).num_days())
}

/// Microseconds after midnight UTC of `hh:mm:ss[.fraction]` and an offset.
fn time(text: &[u8]) -> Option<i64> {
    let seconds = clock(text.get(..5)?, 23)? * 60;
    let [b':', s1, s2, rest @ ..] = text.get(5..)? else { return None };
    let second = Some(digits(&[*s1, *s2])?).filter(|second| *second < 60)?;
    let (fraction, zone) = fraction(rest)?;
    Some((seconds + second - offset(zone)?) * SECOND + fraction)
}

/// Minutes of `hh:mm`.
fn clock(text: &[u8], last_hour: i64) -> Option<i64> {
    let [h1, h2, b':', m1, m2] = text else { return None };
    let (hour, minute) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
    (hour <= last_hour && minute < 60).then_some(hour * 60 + minute)
}

/// Microseconds of `.` and one to nine digits, if they are there, and the rest.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', rest @ ..] = text else { return Some((0, text)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, zone) = rest.split_at_checked(length).filter(|_| (1..=9).contains(&length))?;
    let micros = (0..6)
        .fold(0, |sum, place| sum * 10 + fraction.get(place).map_or(0, |digit| i64::from(digit - b'0')));
    Some((micros, zone))
}

/// Seconds east of UTC of `Z`, `+hh:mm` or `-hh:mm`.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [b'+', clock_text @ ..] => Some(clock(clock_text, 23)? * 60),
        [b'-', clock_text @ ..] => Some(-clock(clock_text, 23)? * 60),
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Whether a literal begins as only a relative time would.
pub(super) fn seems_relative(text: &str) -> bool {
    text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("now+") || head.eq_ignore_ascii_case("now-"))
}

/// Microseconds of `now`, `now+7d`, `now-12h`: up to five digits and a unit of
/// minutes, hours, days or weeks. Months and years have no fixed length.
fn relative(text: &str) -> Option<i64> {
    let text = text.to_ascii_lowercase();
    let rest = text.strip_prefix("now")?.as_bytes();
    let [sign @ (b'+' | b'-'), number @ .., unit] = rest else { return rest.is_empty().then_some(0) };
    let seconds = match unit {
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 604_800,
        _ => return None,
    };
    let number = Some(number).filter(|number| (1..=5).contains(&number.len())).and_then(digits)?;
    let micros = number * seconds * SECOND;
    Some(if *sign == b'-' { -micros } else { micros })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn times_are_read_as_rfc_3339_says() {
        for text in [
            "2024-01-31T00:00:00Z",
            "2024-01-31t12:30:15.5z",
            "2024-02-29T23:59:59.123456+02:00",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
            "1969-12-31T23:59:59.999999-13:59",
        ] {
            let known = DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros();
            assert_eq!(instant(text), Some(known), "{text}");
        }
        assert_eq!(instant("2024-01-31"), instant("2024-01-31T00:00:00Z"));
        assert_eq!(instant("2024-01-31T00:00:00.123456789Z"), instant("2024-01-31T00:00:00.123456Z"));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2024",
            "2024-02-31",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-01-00",
            "0000-01-01",
            "2024-1-1",
            "24-01-01",
            "2024-01-31 00:00:00Z",
            "2024-01-31T00:00:00",
            "2024-01-31T24:00:00Z",
            "2024-01-31T00:60:00Z",
            "2024-01-31T23:59:60Z",
            "2024-01-31T00:00:00.Z",
            "2024-01-31T00:00Z",
            "2024-01-31T00:00:00.1234567890Z",
            "2024-01-31T00:00:00+24:00",
            "2024-01-31T00:00:00+0200",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2024-01-31Z",
            "2024-01-31T00:00:00Z ",
            "２０２４-01-31",
            "+024-01-31",
            "2024-01-3é",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn relative_times_count_from_now() {
        for (text, seconds) in [
            ("now", 0),
            ("NOW+7d", 604_800),
            ("now-90m", -5_400),
            ("now-2h", -7_200),
            ("now+99999w", 60_479_395_200),
        ] {
            assert_eq!(Moment::read(text), Some(Moment::Relative(seconds * SECOND)), "{text}");
        }
        for text in
            ["now+", "now+d", "now+7", "now+7y", "now+123456d", "now 7d", "nowhere", "now+-7d", "now+7é"]
        {
            assert_eq!(Moment::read(text), None, "{text}");
        }
        assert_eq!(Moment::read(&format!("now+{}d", "1".repeat(80))), None);
        assert_eq!(Moment::Relative(i64::MIN).micros(-5), FIRST);
    }
}
