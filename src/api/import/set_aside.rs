//! Bad lines that the caller knows of: they do not keep missing accounts from
//! being deleted, and whom they name, as far as that can be read, is not deleted.

use std::collections::BTreeSet;

use crate::http::Problem;
use crate::storage::import::Keys;

/// The parameter that names a line by its number.
pub(super) const LINE: &str = "setAsideLine";
/// The parameter that names lines by external id or user name.
pub(super) const KEY: &str = "setAsideKey";

/// Which lines, if they are bad, are set aside.
#[derive(Debug, Clone, Default)]
pub(super) struct SetAside {
    lines: BTreeSet<u64>,
    keys: BTreeSet<String>,
    folded: BTreeSet<String>,
}

impl SetAside {
    /// Reads the parameters that name lines.
    ///
    /// # Errors
    /// A 400 that names the parameter.
    pub(super) fn read(parameters: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut set_aside = Self::default();
        for (name, value) in parameters {
            if name == LINE {
                let number = value.parse().ok().filter(|number| *number > 0);
                let rule = "must be the number of a line, counted from 1";
                set_aside.lines.insert(number.ok_or_else(|| Problem::parameter(LINE, rule))?);
            } else if value.is_empty() {
                return Err(Problem::parameter(KEY, "must be the external id or the user name of a line"));
            } else {
                set_aside.folded.insert(value.to_ascii_lowercase());
                set_aside.keys.insert(value);
            }
        }
        Ok(set_aside)
    }

    /// Whether a bad line is one of them.
    pub(super) fn covers(&self, number: u64, keys: &Keys) -> bool {
        self.lines.contains(&number)
            || keys.external_id.as_ref().is_some_and(|id| self.keys.contains(id))
            || keys.user_name.as_ref().is_some_and(|name| self.folded.contains(&name.to_ascii_lowercase()))
    }

    /// The external ids and user names of those that were named by key.
    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.keys.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_named_by_number_external_id_or_user_name() {
        let given =
            [(LINE, "3"), (KEY, "E-7"), (KEY, "Ada")].map(|(name, value)| (name.into(), value.into()));
        let set_aside = SetAside::read(given.to_vec()).unwrap();
        let keys = |external_id: &str, user_name: &str| Keys {
            external_id: Some(external_id.into()),
            user_name: Some(user_name.into()),
        };
        assert!(set_aside.covers(3, &Keys::default()) && !set_aside.covers(4, &Keys::default()));
        assert!(set_aside.covers(4, &keys("E-7", "x")) && set_aside.covers(4, &keys("x", "ADA")));
        assert!(!set_aside.covers(4, &keys("e-7", "x")), "external ids are exact");
        for bad in ["0", "-1", "x", ""] {
            SetAside::read(vec![(LINE.into(), bad.into())]).unwrap_err();
        }
    }
}
