//! When a token stops to work, as a person says it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::super::Failure;

/// See `provisiond token create --expires`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Only when it is revoked.
    Never,
    /// So long after it was made.
    After(TimeDelta),
    /// Then.
    At(DateTime<Utc>),
}

impl Expiry {
    /// Reads `never`, `12h`, `30d`, `8w` or an instant.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Some(after) = span(text) {
            return Ok(Self::After(after));
        }
        let at = DateTime::parse_from_rfc3339(text).map(|at| Self::At(at.to_utc()));
        at.map_err(|_| {
            "must be `never`, a time such as 12h, 30d or 8w, or an instant such as 2030-01-31T12:00:00Z"
                .into()
        })
    }

    /// The end of a token that is made now.
    pub fn at(self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Failure> {
        match self {
            Self::Never => Ok(None),
            Self::At(at) if at > now => within_a_century(Some(at), now),
            Self::At(at) => Err(Failure::Usage(format!("`--expires {}` is over", at.to_rfc3339()))),
            Self::After(after) => within_a_century(now.checked_add_signed(after), now),
        }
    }
}

/// Nobody means a later one, and the database would not take the latest.
fn within_a_century(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Failure> {
    match at {
        Some(at) if at <= now + TimeDelta::days(36_525) => Ok(Some(at)),
        _ => Err(Failure::Usage("`--expires` is at most 100 years".to_owned())),
    }
}

/// Reads how long something may take.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span = span(text).and_then(|span| span.to_std().ok());
    span.ok_or_else(|| "must be a time such as 30s, 10m or 2h".into())
}

fn span(text: &str) -> Option<TimeDelta> {
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: i64 = count.parse().ok().filter(|count| *count > 0)?;
    match unit {
        "s" => TimeDelta::try_seconds(count),
        "m" => TimeDelta::try_minutes(count),
        "h" => TimeDelta::try_hours(count),
        "d" => TimeDelta::try_days(count),
        "w" => TimeDelta::try_weeks(count),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::token::USUAL_LIFE;

    #[test]
    fn an_end_is_a_time_an_instant_or_never() {
        let now: DateTime<Utc> = "2026-11-28T12:00:00Z".parse().unwrap();
        for (text, end) in [
            ("never", None),
            ("12h", Some("2026-11-29T00:00:00Z")),
            ("30d", Some("2026-12-28T12:00:00Z")),
            ("1w", Some("2026-12-05T12:00:00Z")),
            ("2030-01-31T12:00:00+01:00", Some("2030-01-31T11:00:00Z")),
        ] {
            let end = end.map(|end| end.parse().unwrap());
            assert_eq!(Expiry::parse(text).unwrap().at(now).unwrap(), end, "{text}");
        }
        for bad in ["", "d", "0d", "-1d", "soon", "Never", "2030-01-31", "1\u{e9}"] {
            assert!(Expiry::parse(bad).is_err(), "{bad}");
        }
        for over in ["2026-11-28T12:00:00Z", "+10000-01-01T00:00:00Z", "99999999d", "9223372036854775807m"] {
            assert!(Expiry::parse(over).map(|expiry| expiry.at(now).is_err()).unwrap_or(true), "{over}");
        }
    }

    #[test]
    fn the_default_is_that_of_the_api() {
        assert_eq!(Expiry::parse("90d"), Ok(Expiry::After(USUAL_LIFE)));
    }
}
