//! The closed vocabularies of provisioning: status, reason, trigger, error class.

/// A word that does not belong to a vocabulary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not one of {allowed}")]
pub struct UnknownWord {
    /// What was given.
    pub word: String,
    /// What could have been given, joined by commas.
    pub allowed: String,
}

/// Declares a closed enum whose wire, table and log form is one camelCase word.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every word of the vocabulary, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word as it stands in JSON and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::status::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::domain::status::UnknownWord {
                        word: word.chars().take(64).collect(),
                        allowed: [$($word),+].join(", "),
                    }),
                }
            }
        }
    };
}
pub(crate) use words;

words!(
    /// What became of a subject at a target.
    ProvisionStatus {
        /// Work is due and has not run.
        Pending = "pending",
        /// The external system holds the subject as it is here.
        Provisioned = "provisioned",
        /// The last run failed.
        ProvisionFailed = "provisionFailed",
        /// The subject is out of scope, or logic said so.
        ProvisionNotNeeded = "provisionNotNeeded",
        /// The external system works on it; logic polls.
        ProvisionOngoing = "provisionOngoing",
        /// The subject was removed from the external system.
        Deprovisioned = "deprovisioned",
    }
);

words!(
    /// Why logic runs, as logic sees it.
    Reason {
        /// Create or update.
        Provision = "provision",
        /// Remove or deactivate.
        Deprovision = "deprovision",
    }
);

words!(
    /// What made a run happen now.
    Trigger {
        /// The subject was created.
        Created = "created",
        /// Something that its record holds changed.
        Updated = "updated",
        /// It was deleted.
        Deleted = "deleted",
        /// It joined or left a group or an organization.
        MembershipChanged = "membershipChanged",
        /// A change made it match the filter.
        EnteredFilter = "enteredFilter",
        /// A change made it stop matching the filter.
        LeftFilter = "leftFilter",
        /// The target's filter was edited.
        FilterChanged = "filterChanged",
        /// The target was enabled.
        Enabled = "enabled",
        /// A person asked for this subject.
        Manual = "manual",
        /// A person asked for every subject in scope.
        Force = "force",
        /// Logic asked to be run at a time.
        Schedule = "schedule",
        /// An earlier attempt failed.
        Retry = "retry",
        /// Logic asked to be run with the reason `deprovision`.
        Logic = "logic",
        /// What a target that this one depends on left has changed.
        Dependency = "dependency",
    }
);

impl Trigger {
    /// Whether logic runs even when the version was already done.
    pub const fn must_run(self) -> bool {
        matches!(
            self,
            Self::Manual | Self::Force | Self::Schedule | Self::Retry | Self::Logic | Self::Dependency
        )
    }

    /// Whether the trigger continues earlier work, so that the status shown
    /// stays that of the last run and does not go back to `pending`.
    pub const fn continues(self) -> bool {
        matches!(self, Self::Schedule | Self::Retry | Self::Logic)
    }
}

words!(
    /// Which kind of failure a run ended with; it decides whether to retry.
    ErrorClass {
        /// The network, a timeout, a 408 or a 5xx: retried.
        Transient = "transient",
        /// A 429 or a quota: retried, not before Retry-After.
        RateLimited = "rateLimited",
        /// A 401 or 403: retried, for a person to mend.
        Auth = "auth",
        /// The request itself is refused: not retried until something changes.
        Permanent = "permanent",
        /// Logic threw, answered badly or broke a limit: retried.
        Logic = "logic",
    }
);

impl ErrorClass {
    /// Whether the same version is tried again.
    pub const fn is_retried(self) -> bool {
        !matches!(self, Self::Permanent)
    }

    /// Which of several failures of one run counts: the highest. Credentials that are
    /// refused are refused for everybody; a permanent failure only counts when there is
    /// nothing else, since it is never tried again.
    pub const fn severity(self) -> u8 {
        match self {
            Self::Permanent => 0,
            Self::Logic => 1,
            Self::Transient => 2,
            Self::RateLimited => 3,
            Self::Auth => 4,
        }
    }

    /// The class of an HTTP status (RFC 9110 §15, RFC 6585 §4), `None` when it
    /// is no failure.
    pub const fn of_http_status(status: u16) -> Option<Self> {
        match status {
            401 | 403 | 407 => Some(Self::Auth),
            429 => Some(Self::RateLimited),
            408 | 425 | 500..=599 => Some(Self::Transient),
            400..=499 => Some(Self::Permanent),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for status in ProvisionStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
            assert_eq!(serde_json::json!(status), status.as_str());
        }
        let error = "done".parse::<Reason>().unwrap_err();
        assert_eq!(error.to_string(), "`done` is not one of provision, deprovision");
    }

    #[test]
    fn http_statuses_have_classes() {
        assert_eq!(ErrorClass::of_http_status(204), None);
        assert_eq!(ErrorClass::of_http_status(302), None);
        assert_eq!(ErrorClass::of_http_status(409), Some(ErrorClass::Permanent));
        assert_eq!(ErrorClass::of_http_status(429), Some(ErrorClass::RateLimited));
        assert_eq!(ErrorClass::of_http_status(503), Some(ErrorClass::Transient));
    }
}
