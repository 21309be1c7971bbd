//! Times that come from outside.

use std::str::FromStr;

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer, de};

/// A time from outside: RFC 3339, in the years that RFC 3339 and PostgreSQL
/// read alike. chrono would take a quarter of a million years more, to both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub DateTime<Utc>);

/// A text that is no such time; the words follow the member's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a time such as \"2030-01-31T08:00:00Z\" (RFC 3339), in the years 1 to 9999")]
pub struct BadTimestamp;

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| BadTimestamp)?.with_timezone(&Utc);
        if (1..=9999).contains(&time.year()) { Ok(Self(time)) } else { Err(BadTimestamp) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_end_where_the_calendar_of_rfc_3339_does() {
        for good in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2024-02-29t12:00:00+02:00"] {
            assert_eq!(good.parse::<Timestamp>().map(|time| time.0), Ok(good.parse().unwrap()), "{good}");
        }
        for bad in [
            "-262143-01-01T00:00:00Z",
            "0000-12-31T23:59:59Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "+10000-01-01T00:00:00Z",
            "+262142-12-31T23:59:59Z",
            "2024-01-31",
            "2024-01-31T12:00:00",
            "infinity",
            "now",
            "",
        ] {
            assert_eq!(bad.parse::<Timestamp>(), Err(BadTimestamp), "{bad}");
        }
    }

    proptest! {
        /// Whatever chrono can hold, and any text.
        #[test]
        fn no_time_is_outside_the_bounds(seconds in any::<i64>(), text in ".*") {
            let shown = DateTime::from_timestamp(seconds % 9_000_000_000_000, 0).map(|time| time.to_rfc3339());
            for text in [shown.unwrap_or_default(), text] {
                if let Ok(Timestamp(time)) = text.parse() {
                    prop_assert!((1..=9999).contains(&time.year()), "{}", text);
                }
            }
        }
    }
}
