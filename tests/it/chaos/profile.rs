//! How much, how long, and from which seed.

use std::time::Duration;

/// The size of a scenario.
pub struct Profile {
    /// Tasks that change accounts side by side.
    pub generators: usize,
    /// Accounts that each of them begins with.
    pub accounts: usize,
    /// Longest rest of a generator between two changes.
    pub pause: Duration,
    /// Accounts swap their names: a system that goes by names alone may lose one of the
    /// two when both runs overlap, which is still to be mended.
    pub swaps: bool,
    /// `maxParallelJobs` of every target.
    pub parallel: usize,
    /// On the daemon's own PostgreSQL, durable and restarted by faults.
    pub embedded: bool,
    /// Faults of a scenario.
    pub strikes: usize,
    /// Acknowledged changes between two faults.
    pub between: u64,
}

impl Profile {
    /// Small enough for every change of the code.
    pub const CI: Self = Self {
        generators: 4,
        accounts: 15,
        pause: Duration::from_millis(16),
        swaps: false,
        parallel: 8,
        embedded: false,
        strikes: 4,
        between: 60,
    };

    /// A round of the long run.
    pub const SOAK: Self =
        Self { swaps: true, accounts: 50, embedded: true, strikes: 50, between: 200, ..Self::CI };
}

/// `CHAOS_SEED`, to replay a run, or a new one.
pub fn seed() -> u64 {
    let given = std::env::var("CHAOS_SEED").ok().map(|text| text.parse().unwrap());
    let seed = given.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("chaos: CHAOS_SEED={seed} replays the changes and faults of this run");
    seed
}

/// `CHAOS_MINUTES`, the length of the long run; `None` in the short one.
pub fn soak() -> Option<Duration> {
    let minutes: f64 = std::env::var("CHAOS_MINUTES").ok()?.parse().unwrap();
    Some(Duration::from_secs_f64(minutes * 60.0))
}
