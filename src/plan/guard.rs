//! Guards against mass removal.

/// How many removals pass without a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletionGuard {
    /// Always allowed.
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
        self.count.max(all.saturating_mul(self.percent) / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_limit_counts() {
        let guard = DeletionGuard::default();
        assert_eq!(guard.most(60), 50);
        assert_eq!(guard.most(10_000), 500);
    }
}
