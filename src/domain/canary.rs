//! A version of logic that some subjects run before all others do.

use super::ids::SubjectId;

/// Who runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// These.
    Subjects(Vec<SubjectId>),
    /// So many in a hundred, which are these.
    Sample(u8, Vec<SubjectId>),
    /// About so many in a hundred of many, always the same ones for a version.
    Percent(u8),
}

/// What a person asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// The version.
    pub version: i32,
    /// Who runs it.
    pub share: Share,
    /// It is rolled back when more in a hundred of its accounts fail …
    pub max_failure_percent: u8,
    /// … once so many have run.
    pub min_runs: u32,
}

/// How many accounts ran, and how many of these failed the last time, with the new
/// version and with the one that the others run. An account counts once, however
/// often it runs: one that always fails and is tried again and again is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Those with the new version.
    pub runs: i64,
    /// Of these, failures.
    pub failures: i64,
    /// Those with the other version meanwhile.
    pub base_runs: i64,
    /// Of these, failures.
    pub base_failures: i64,
}

impl Canary {
    /// Whether a subject runs the new version.
    pub fn takes(&self, subject: SubjectId) -> bool {
        match &self.share {
            Share::Subjects(chosen) | Share::Sample(_, chosen) => chosen.binary_search(&subject).is_ok(),
            Share::Percent(percent) => place(subject, self.version) < u64::from(*percent),
        }
    }

    /// Why it must be rolled back, `None` while it may go on. A failing remote
    /// system fails both versions: the new one is not to blame while it fails no
    /// more often than the other.
    pub fn verdict(&self, figures: Figures) -> Option<String> {
        let Figures { runs, failures, base_runs, base_failures } = figures;
        let too_many = failures * 100 > runs * i64::from(self.max_failure_percent);
        if runs < i64::from(self.min_runs) || !too_many {
            return None;
        }
        let is_comparable = base_runs >= i64::from(self.min_runs);
        if is_comparable && failures * base_runs <= base_failures * runs {
            return None;
        }
        Some(format!(
            "{failures} of {runs} accounts failed with version {}, and {} in a hundred may",
            self.version, self.max_failure_percent
        ))
    }
}

/// 0 to 99, spread evenly (the finalizer of SplitMix64), and other subjects for
/// another version.
fn place(subject: SubjectId, version: i32) -> u64 {
    let mut z = subject.0.unsigned_abs() ^ (u64::from(version.unsigned_abs()) << 40);
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % 100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(share: Share) -> Canary {
        Canary { version: 3, share, max_failure_percent: 10, min_runs: 20 }
    }

    fn figures(runs: i64, failures: i64, base_runs: i64, base_failures: i64) -> Figures {
        Figures { runs, failures, base_runs, base_failures }
    }

    #[test]
    fn a_share_is_about_as_large_as_it_says_and_stays_the_same() {
        for percent in [1, 10, 50, 99] {
            let canary = canary(Share::Percent(percent));
            let taken = (1..=100_000).filter(|id| canary.takes(SubjectId(*id))).count();
            let wanted = usize::from(percent) * 1000;
            assert!(taken.abs_diff(wanted) < 500, "{percent} %: {taken}");
        }
        let one = canary(Share::Percent(10));
        let other = Canary { version: 4, ..one.clone() };
        let both = (1..=10_000).filter(|id| one.takes(SubjectId(*id)) && other.takes(SubjectId(*id))).count();
        assert!((50..200).contains(&both), "versions draw anew: {both}");
    }

    #[test]
    fn named_subjects_are_taken_and_no_others() {
        let canary = canary(Share::Subjects(vec![SubjectId(3), SubjectId(8)]));
        let taken: Vec<_> = (1..10).filter(|id| canary.takes(SubjectId(*id))).collect();
        assert_eq!(taken, [3, 8]);
    }

    #[test]
    fn too_many_failures_roll_back() {
        let canary = canary(Share::Percent(10));
        assert_eq!(canary.verdict(figures(19, 19, 0, 0)), None, "too few to tell");
        assert_eq!(canary.verdict(figures(20, 2, 0, 0)), None, "ten in a hundred may");
        assert_eq!(
            canary.verdict(figures(20, 3, 200, 1)).as_deref(),
            Some("3 of 20 accounts failed with version 3, and 10 in a hundred may")
        );
    }

    #[test]
    fn a_failing_remote_is_not_its_fault() {
        let canary = canary(Share::Percent(10));
        assert_eq!(canary.verdict(figures(20, 10, 200, 100)), None);
        assert!(canary.verdict(figures(20, 11, 200, 100)).is_some());
        assert!(canary.verdict(figures(20, 10, 5, 5)).is_some(), "too few others to compare with");
    }
}
