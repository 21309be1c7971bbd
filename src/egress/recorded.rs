//! What is read of a recording.

use serde_json::Value;

use super::policy::TargetPolicy;

/// A body as the recording has it, labels in place of secrets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Text(String),
    /// No text, or too long.
    Lost,
}

impl Body {
    /// `long` is what was kept of one that the log cuts.
    pub(super) fn of(logged: Option<&str>, long: Option<&str>) -> Self {
        match (logged, long) {
            (None, _) => Self::None,
            (_, Some("")) => Self::Lost,
            (_, Some(whole)) => Self::Text(whole.to_owned()),
            (Some(logged), None) if is_size(logged) => Self::Lost,
            (Some(logged), None) => Self::Text(logged.to_owned()),
        }
    }

    /// JSON is compared as such; what was lost is not compared.
    pub(super) fn is(&self, now: Option<&str>) -> bool {
        let json = |text| serde_json::from_str::<Value>(text).ok();
        match (self, now) {
            (Self::Lost, _) | (Self::None, None) => true,
            (Self::Text(then), Some(now)) => {
                then == now || json(then).is_some_and(|then| json(now) == Some(then))
            }
            _ => false,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::None | Self::Lost => None,
        }
    }
}

/// What the log has in place of a body that is no text.
fn is_size(logged: &str) -> bool {
    let number = logged.strip_prefix('<').and_then(|rest| rest.strip_suffix(" bytes>"));
    number.is_some_and(|number| number.parse::<u64>().is_ok())
}

/// What a recording needs of the policy that it is replayed with.
impl TargetPolicy {
    /// `text` with handles in place of `[secret:NAME]`: what logic saw, but for
    /// the handles themselves, which each policy draws anew.
    pub fn unlabel(&self, text: &str) -> String {
        let put = |text: String, (name, handle): (&String, &String)| {
            text.replace(&format!("[secret:{name}]"), handle)
        };
        self.handles().iter().fold(text.to_owned(), put)
    }
}
