//! Waiting between attempts.

use std::time::Duration;

use crate::domain::target::RetryPolicy;

/// Each wait is so many times the one before.
const FACTOR: f64 = 3.0;
/// A wait is spread over ± this share, so that subjects that failed together
/// do not come back together.
const SPREAD: f64 = 0.2;

/// The wait before the next attempt, when `attempt` (from 1) has failed.
/// `jitter` lies in `0.0..=1.0`; 0.5 gives the middle.
pub fn delay(policy: &RetryPolicy, attempt: u32, jitter: f64) -> Duration {
    let exponent = f64::from(attempt.saturating_sub(1).min(64));
    let ideal = f64::from(policy.first_delay_secs) * FACTOR.powf(exponent);
    let capped = ideal.min(f64::from(policy.max_delay_secs));
    Duration::from_secs_f64(capped * (1.0 - SPREAD + 2.0 * SPREAD * jitter.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_schedule_is_about_a_day() {
        let policy = RetryPolicy::default();
        let waits: Vec<u64> =
            (1..policy.max_attempts).map(|attempt| delay(&policy, attempt, 0.5).as_secs()).collect();
        assert_eq!(waits, [5, 15, 45, 135, 405, 1_215, 3_645, 10_935, 32_805, 36_000]);
        assert_eq!(waits.iter().sum::<u64>() / 3_600, 23);
    }

    proptest::proptest! {
        #[test]
        fn waits_stay_within_the_spread(attempt in 0_u32..10_000, jitter in -1.0_f64..2.0) {
            let policy = RetryPolicy::default();
            let wait = delay(&policy, attempt, jitter).as_secs_f64();
            assert!((4.0..=36_000.0 * 1.2).contains(&wait));
        }
    }
}
