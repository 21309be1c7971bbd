//! Runs that bring their host down: counted, and given up in the end.

use crate::domain::status::Reason;

/// Times that a run may bring its host down; after the last it is not tried
/// again by itself.
pub const MAX_KILLS: u32 = 3;

/// What is written down about runs of a subject that brought their host down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kills {
    /// How often in a row.
    pub count: u32,
    /// Of which version of the subject.
    pub version: i64,
    /// By which published logic.
    pub logic_version: i32,
    /// For which reason.
    pub reason: Reason,
}

impl Kills {
    /// How many of them count for a run: those of another version, other logic or
    /// another reason say nothing about it.
    pub fn before(kills: Option<Self>, version: i64, logic_version: i32, reason: Reason) -> u32 {
        let same = |kills: &Self| {
            (kills.version, kills.logic_version, kills.reason) == (version, logic_version, reason)
        };
        kills.filter(same).map_or(0, |kills| kills.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_run_counts() {
        let kills = Some(Kills { count: 2, version: 7, logic_version: 3, reason: Reason::Provision });
        assert_eq!(Kills::before(kills, 7, 3, Reason::Provision), 2);
        assert_eq!(Kills::before(kills, 8, 3, Reason::Provision), 0);
        assert_eq!(Kills::before(kills, 7, 4, Reason::Provision), 0);
        assert_eq!(Kills::before(kills, 7, 3, Reason::Deprovision), 0);
        assert_eq!(Kills::before(None, 7, 3, Reason::Provision), 0);
    }
}
