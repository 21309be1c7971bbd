//! Subjects that the passing of time moves into a filter or out of it. Time alone
//! makes no work; so whoever looks at such a subject is told.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::domain::filter::Filter;
use crate::domain::subject::Subject;

/// How time moves a subject that has no work due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// It has come into the filter.
    Came,
    /// It has left the filter.
    Left,
    /// It will come in.
    WillCome(DateTime<Utc>),
    /// It will leave.
    WillLeave(DateTime<Utc>),
}

impl Drift {
    /// How time moves a subject that was judged last when it changed, or when it
    /// last ran; `present` says that the target may hold it.
    pub fn of(
        filter: &Filter,
        subject: &Subject,
        present: bool,
        last_run: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        if subject.deleted_at.is_some() || !filter.looks_at_time() {
            return None;
        }
        let judged = last_run.map_or(subject.updated_at, |run| run.max(subject.updated_at));
        let (before, matches) = (filter.matches(subject, judged), filter.matches(subject, now));
        match (before, matches) {
            (false, true) if !present => Some(Self::Came),
            (true, false) if present => Some(Self::Left),
            _ => {
                let at = filter.turns(subject, now)?;
                Some(if matches { Self::WillLeave(at) } else { Self::WillCome(at) })
            }
        }
    }

    /// What to say of a subject of which `why` is known.
    pub fn tell(self, why: &str) -> String {
        let when = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        match self {
            Self::Came => {
                "came into the filter as time passed, which makes no work by itself: it is noticed \
                when the account changes next, or by a force or a sync"
                    .into()
            }
            Self::Left => {
                "left the filter as time passed, which makes no work by itself: it is noticed when \
                the account changes next, by a sync, or by an edit of the filter"
                    .into()
            }
            Self::WillCome(at) => format!(
                "{why}; comes into the filter at {}, which is noticed when the account changes after that, or \
                 by a force or a sync",
                when(at)
            ),
            Self::WillLeave(at) => format!(
                "{why}; leaves the filter at {}, which is noticed when the account changes after that, by a \
                 sync, or by an edit of the filter",
                when(at)
            ),
        }
    }
}
