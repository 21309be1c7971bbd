//! Identifiers. Each table has its own type, so that an account's id cannot be
//! handed over as a target's; on the wire they are opaque strings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A string that is not an id of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id")]
pub struct BadId(pub String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                match text.parse::<i64>() {
                    Ok(number) if number > 0 && !text.starts_with('+') => Ok(Self(number)),
                    _ => Err(BadId(text.chars().take(64).collect())),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

id!(
    /// An identity store.
    StoreId
);
id!(
    /// A subject: an account, a group, an organization or a type.
    SubjectId
);
id!(
    /// A provisioning target.
    TargetId
);
id!(
    /// An API token.
    TokenId
);
id!(
    /// Removals that wait for a person.
    HeldId
);
id!(
    /// A sweep over many subjects.
    SweepId
);

id!(
    /// Logic that was tried.
    DryRunId
);

/// A run. The log is partitioned and indexed by target, so the id names the
/// target too: on the wire `<target>.<number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId {
    /// The target whose logic ran.
    pub target: TargetId,
    /// Its number in the log.
    pub number: i64,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.target, self.number)
    }
}

impl FromStr for RunId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId(text.chars().take(64).collect());
        let (target, number) = text.split_once('.').ok_or_else(bad)?;
        let number: SweepId = number.parse().map_err(|_| bad())?;
        Ok(Self { target: target.parse().map_err(|_| bad())?, number: number.0 })
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
