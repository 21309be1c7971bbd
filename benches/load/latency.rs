//! Percentiles.

use std::time::Duration;

/// Half and all but a hundredth lie below, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Percentiles {
    pub p50: f64,
    pub p99: f64,
}

impl Percentiles {
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let at = |share: f64| {
            let last = durations.len().saturating_sub(1);
            let index = (share * last as f64).round() as usize;
            durations.get(index).map_or(0.0, |duration| duration.as_secs_f64() * 1_000.0)
        };
        Self { p50: at(0.50), p99: at(0.99) }
    }
}
