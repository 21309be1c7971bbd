//! Guards against mass removal.

use std::time::Duration;

use crate::domain::target::GuardSettings;

/// So many removals are no mass, however few there are in all.
const FEW: u64 = 5;

/// How many removals pass without a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletionGuard {
    /// Allowed, but not more than half of all: of forty, fifty are no limit.
    pub count: u64,
    /// Allowed as a share of all, in percent.
    pub percent: u64,
}

impl Default for DeletionGuard {
    fn default() -> Self {
        Self { count: 50, percent: 5 }
    }
}

impl DeletionGuard {
    /// The most removals allowed out of `all`: the larger of the two limits.
    pub fn most(&self, all: u64) -> u64 {
        let counted = self.count.min((all / 2).max(FEW));
        counted.max(all.saturating_mul(self.percent) / 100)
    }

    /// Whether everything passes.
    pub fn is_off(&self) -> bool {
        self.percent >= 100
    }

    /// Whether `due` removals may follow the `released` ones of the window, at
    /// a target that still holds `present`. What was released counts as held
    /// before: else each removal would lower the limit for the next one.
    pub fn allows(&self, released: u64, due: u64, present: u64) -> bool {
        self.is_off() || released.saturating_add(due) <= self.most(present.saturating_add(released))
    }

    /// How many present ones have to be counted to answer [`Self::allows`]: more
    /// change nothing. Zero when it does not depend on them.
    pub fn enough_present(&self, released: u64, due: u64) -> u64 {
        let total = released.saturating_add(due);
        if self.is_off() || total <= self.count.min(FEW) {
            return 0;
        }
        let twice = (total <= self.count).then(|| total.saturating_mul(2));
        let share = (self.percent > 0).then(|| total.saturating_mul(100).div_ceil(self.percent));
        twice.into_iter().chain(share).min().unwrap_or(0).saturating_sub(released)
    }
}

/// The guard of a target with its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardPolicy {
    /// How many pass.
    pub guard: DeletionGuard,
    /// Removals within this time count together.
    pub window: Duration,
    /// After so long, what was not approved counts as rejected.
    pub expiry: Duration,
}

impl Default for GuardPolicy {
    fn default() -> Self {
        let (window, expiry) = (Duration::from_secs(3_600), Duration::from_secs(7 * 86_400));
        Self { guard: DeletionGuard::default(), window, expiry }
    }
}

impl GuardPolicy {
    /// This policy of the instance with what a target sets for itself.
    #[must_use]
    pub fn with(self, settings: GuardSettings) -> Self {
        let guard = DeletionGuard {
            count: settings.count.map_or(self.guard.count, u64::from),
            percent: settings.percent.map_or(self.guard.percent, u64::from),
        };
        Self { guard, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_larger_limit_counts() {
        let guard = DeletionGuard::default();
        assert_eq!(guard.most(200), 50);
        assert_eq!(guard.most(10_000), 500);
    }

    #[test]
    fn of_few_no_more_than_half_pass() {
        let guard = DeletionGuard::default();
        for (all, most) in [(0, 5), (4, 5), (10, 5), (13, 6), (40, 20), (99, 49), (100, 50)] {
            assert_eq!(guard.most(all), most, "{all}");
        }
        assert!(!guard.allows(0, 39, 40) && guard.allows(0, 20, 40) && !guard.allows(10, 11, 30));
        assert_eq!(DeletionGuard { count: 2, percent: 0 }.most(3), 2, "fewer than few");
        assert_eq!(DeletionGuard { count: 50, percent: 80 }.most(10), 8, "a larger share is meant");
    }

    #[test]
    fn a_target_may_set_either_limit() {
        let policy = GuardPolicy::default();
        let off = policy.with(GuardSettings { count: None, percent: Some(100) });
        assert!(off.guard.is_off() && off.guard.allows(u64::MAX, 1, 0));
        let strict = policy.with(GuardSettings { count: Some(0), percent: Some(0) });
        assert!(!strict.guard.allows(0, 1, u64::MAX));
        assert_eq!(policy.with(GuardSettings::default()), policy);
    }

    proptest! {
        /// Counting no further than needed gives the same answer.
        #[test]
        fn a_bounded_count_is_enough(
            count in 0_u64..100, percent in 0_u64..=100, released in 0_u64..500, due in 0_u64..500,
            present in 0_u64..50_000,
        ) {
            let guard = DeletionGuard { count, percent };
            let counted = present.min(guard.enough_present(released, due));
            prop_assert_eq!(guard.allows(released, due, counted), guard.allows(released, due, present));
        }

        /// However removals arrive, those that pass never exceed the limit, a
        /// lot that exceeds it at once is held whole, and what stays within it
        /// is never held.
        #[test]
        fn what_passes_stays_within_the_limit(
            count in 0_u64..60, percent in 0_u64..50, all in 0_u64..5_000,
            bursts in proptest::collection::vec(1_u64..200, 1..30),
        ) {
            let guard = DeletionGuard { count, percent };
            let (mut released, mut arrived, most) = (0, 0, guard.most(all));
            for due in bursts {
                let due = due.min(all - arrived);
                arrived += due;
                let passes = guard.allows(released, due, all - released);
                prop_assert!(due <= most || !passes);
                prop_assert!(passes || arrived > most);
                released += if passes { due } else { 0 };
            }
            prop_assert!(released <= most);
        }

        /// The same, when each passes before the next arrives.
        #[test]
        fn one_by_one_no_more_pass(count in 0_u64..60, percent in 0_u64..50, all in 0_u64..2_000) {
            let guard = DeletionGuard { count, percent };
            let passed = (0..all).take_while(|done| guard.allows(*done, 1, all - done)).count() as u64;
            prop_assert_eq!(passed, guard.most(all).min(all));
        }
    }
}
