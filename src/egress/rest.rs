//! What the log cuts off and a replay needs: long bodies. They stay as they came,
//! shared with the run, until it is known how the run ended; only those of failed
//! runs are ever written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::hide::{Format, Hider, Seen};
use super::policy::TargetPolicy;
use super::shown::{BODY_KEPT, Received, shown_text, text_start};

/// Bytes of a body that a replay can have.
pub(super) const LONGEST: usize = 64 * 1024;
/// Bytes of all such bodies of one run.
const MOST: usize = 512 * 1024;

/// A body that is longer than what the log shows. Whether it is text is found out
/// when it is needed.
#[derive(Debug, Clone)]
pub(super) enum Long {
    /// As it came.
    Whole(Bytes, Format),
    /// Too long.
    Lost,
}

impl Long {
    /// `None` for a body that the log shows as it is. `body` is what is there of
    /// one that was not read to its end.
    pub(super) fn of(body: &Bytes, received: Received, format: Format) -> Option<Self> {
        match received.bytes {
            0 => None,
            1..=BODY_KEPT if received.whole => None,
            length if length <= LONGEST => Some(Self::Whole(body.clone(), format)),
            _ => Some(Self::Lost),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Whole(body, _) => body.len(),
            Self::Lost => 0,
        }
    }

    /// Empty for one that is lost, or is no text.
    fn write(&self, policy: &TargetPolicy) -> String {
        match self {
            Self::Whole(body, format) => text_start(body, LONGEST)
                .map_or_else(String::new, |text| shown_text(text, *format, policy, &mut Seen::default())),
            Self::Lost => String::new(),
        }
    }
}

/// The long bodies of one exchange.
#[derive(Debug, Clone, Default)]
pub(super) struct LongBodies {
    pub request: Option<Long>,
    pub response: Option<Long>,
}

impl LongBodies {
    pub(super) fn size(&self) -> usize {
        self.request.as_ref().map_or(0, Long::size) + self.response.as_ref().map_or(0, Long::size)
    }

    fn is_empty(&self) -> bool {
        self.request.is_none() && self.response.is_none()
    }

    /// Gives up what is over the limit of the run, of which `used` bytes are.
    pub(super) fn within_limits(mut self, used: usize) -> Self {
        if used + self.size() > MOST {
            for long in [&mut self.request, &mut self.response].into_iter().flatten() {
                *long = Long::Lost;
            }
        }
        self
    }
}

/// What the log leaves out of a run's exchanges.
#[derive(Debug, Default)]
pub struct Rest {
    pub(super) bodies: Vec<LongBodies>,
    pub(super) left_out: usize,
    /// Hides the credentials that the run has seen.
    pub(super) hider: Option<Arc<Hider>>,
}

/// A [`Rest`] as it is stored, with secrets removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoredRest {
    /// By the place of the exchange in the log.
    bodies: BTreeMap<usize, StoredBodies>,
    /// Exchanges that the log does not have.
    pub left_out: usize,
}

/// Absent where the log has the whole body, empty where it is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct StoredBodies {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response: Option<String>,
}

impl Rest {
    /// How many exchanges the log does not have.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// What to store, with secrets removed as in the log.
    pub fn store(&self, policy: &TargetPolicy) -> StoredRest {
        let hide = |text: String| match &self.hider {
            Some(hider) => hider.text(&text).into_owned(),
            None => text,
        };
        let written = |long: &Option<Long>| long.as_ref().map(|long| hide(long.write(policy)));
        let bodies = self.bodies.iter().enumerate().filter(|(_, bodies)| !bodies.is_empty());
        let stored = |(place, bodies): (usize, &LongBodies)| {
            (place, StoredBodies { request: written(&bodies.request), response: written(&bodies.response) })
        };
        StoredRest { bodies: bodies.map(stored).collect(), left_out: self.left_out }
    }
}

impl StoredRest {
    /// The request body of the exchange at a place, if the log does not have it
    /// whole; empty when it is lost.
    pub(super) fn request(&self, place: usize) -> Option<&str> {
        self.bodies.get(&place)?.request.as_deref()
    }

    /// The answer of the exchange at a place, likewise.
    pub(super) fn response(&self, place: usize) -> Option<&str> {
        self.bodies.get(&place)?.response.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::AllowList;
    use crate::security::NamedSecret;

    #[test]
    fn long_bodies_come_back_without_secrets() {
        let long = |body: Vec<u8>| Long::of(&body.clone().into(), Received::whole(&body), Format::Other);
        let policy = TargetPolicy::new(AllowList::default(), vec![NamedSecret::new("token", "hunter22")]);
        let text = format!("{}{}", "x".repeat(BODY_KEPT), policy.handles()["token"]);
        let bodies = LongBodies { request: long(text.into_bytes()), response: long(vec![b'x'; LONGEST + 1]) };
        let rest = Rest { bodies: vec![LongBodies::default(), bodies], left_out: 3, hider: None };
        let json = serde_json::to_string(&rest.store(&policy)).unwrap();
        let stored: StoredRest = serde_json::from_str(&json).unwrap();
        assert_eq!((stored.left_out, stored.request(0)), (3, None));
        assert!(stored.request(1).unwrap().ends_with("x[secret:token]"));
        assert_eq!(stored.response(1), Some(""));
    }

    #[test]
    fn short_texts_are_not_kept_twice() {
        let long = |body: Vec<u8>| Long::of(&body.clone().into(), Received::whole(&body), Format::Other);
        assert!(long(b"{}".to_vec()).is_none());
        assert!(long(Vec::new()).is_none());
        let binary = long(vec![0xff; BODY_KEPT + 1]).unwrap();
        assert_eq!(binary.write(&TargetPolicy::new(AllowList::default(), Vec::new())), "");
        let long = long(vec![b'x'; LONGEST]);
        let bodies = LongBodies { request: None, response: long };
        assert_eq!(bodies.clone().within_limits(MOST - LONGEST).size(), LONGEST);
        assert_eq!(bodies.within_limits(MOST - LONGEST + 1).size(), 0);
    }
}
