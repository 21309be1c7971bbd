//! What a run did and what became of it: for people as text, for programs as
//! one line of JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::oracle::Findings;

/// The sums of one world, or of several.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub seed: u64,
    pub rounds: u64,
    pub seconds: f64,
    pub faults: BTreeMap<&'static str, u64>,
    /// Of the faults called `network`.
    pub weather: BTreeMap<String, u64>,
    /// Acknowledged changes.
    pub changes: u64,
    /// Requests without a clear answer.
    pub unclear: u64,
    pub accounts: u64,
    /// Calls that the sinks got.
    pub calls: u64,
    /// Of these, answered by a failure or given up by the daemon.
    pub failed_calls: u64,
    /// Calls that no failure explains.
    pub duplicates: u64,
    /// What the kills explain of them at most.
    pub duplicates_allowed: u64,
    pub overlaps: u64,
    /// Calls with an older version than one before.
    pub reordered: u64,
    /// Accounts whose last call at a target is not the source's truth.
    pub losses: u64,
    /// Work that never came to rest.
    pub pending: u64,
    /// How often the daemon was started again.
    pub starts: u64,
    pub slowest_start_ms: u64,
    /// From the last change to rest.
    pub rest_ms: u64,
    /// How soon after their acknowledgement changes reached the target.
    pub waits_ms: BTreeMap<String, Waits>,
    /// The first of what is wrong, in sentences.
    pub problems: Vec<String>,
    #[serde(skip)]
    parallel: u64,
}

/// Of one target, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waits {
    /// 95 % of all changes waited no longer.
    pub p95: u64,
    /// 95 % of those that were acknowledged between the faults.
    pub calm_p95: u64,
    /// Half of those that were acknowledged while a fault lasted.
    pub faulty_p50: u64,
}

impl Waits {
    fn worst(self, other: Self) -> Self {
        Self {
            p95: self.p95.max(other.p95),
            calm_p95: self.calm_p95.max(other.calm_p95),
            faulty_p50: self.faulty_p50.max(other.faulty_p50),
        }
    }
}

/// Calls that end while a batch of results is being written.
const SMALL: u64 = 8;
/// Problems told in full.
const TOLD: usize = 20;

impl Report {
    pub fn new(seed: u64, parallel: usize) -> Self {
        Self { seed, rounds: 1, parallel: parallel as u64, ..Self::default() }
    }

    pub fn problem(&mut self, sentence: String) {
        if self.problems.len() < TOLD {
            self.problems.push(sentence);
        }
    }

    /// Adds what the oracle found at a target. What was claimed and not yet
    /// committed when the daemon died may be called again, as may what was in a
    /// host that died or was ended because a run broke a `limit`.
    pub fn absorb(&mut self, target: &str, findings: Findings, waits: Waits, limits: u64) {
        self.calls += findings.calls;
        self.failed_calls += findings.failed;
        self.duplicates += findings.duplicates;
        self.overlaps += findings.overlaps;
        self.reordered += findings.reordered;
        self.losses += findings.losses;
        self.waits_ms.insert(target.to_owned(), waits);
        let count = |fault| self.faults.get(fault).copied().unwrap_or(0);
        // A host that a loop holds up may be ended before the loop itself is found.
        let deaths = count("killDaemon") + count("killHosts") + count("poison") + limits;
        self.duplicates_allowed += deaths * (self.parallel + SMALL);
        findings.problems.into_iter().for_each(|what| self.problem(format!("{target}: {what}")));
    }

    /// Adds another round.
    pub fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.seconds += other.seconds;
        other.faults.into_iter().for_each(|(fault, count)| *self.faults.entry(fault).or_default() += count);
        other.weather.into_iter().for_each(|(kind, count)| *self.weather.entry(kind).or_default() += count);
        self.changes += other.changes;
        self.unclear += other.unclear;
        self.accounts += other.accounts;
        self.calls += other.calls;
        self.failed_calls += other.failed_calls;
        self.duplicates += other.duplicates;
        self.duplicates_allowed += other.duplicates_allowed;
        self.overlaps += other.overlaps;
        self.reordered += other.reordered;
        self.losses += other.losses;
        self.pending += other.pending;
        self.starts += other.starts;
        self.slowest_start_ms = self.slowest_start_ms.max(other.slowest_start_ms);
        self.rest_ms = self.rest_ms.max(other.rest_ms);
        for (target, waits) in other.waits_ms {
            let worst = self.waits_ms.entry(target).or_default();
            *worst = worst.worst(waits);
        }
        other.problems.into_iter().for_each(|sentence| self.problem(sentence));
    }

    pub fn print(&self, title: &str) {
        let faults: Vec<String> = self.faults.iter().map(|(name, count)| format!("{count} {name}")).collect();
        println!("chaos: {title}, seed {}, {:.0} s, {} rounds", self.seed, self.seconds, self.rounds);
        println!("  faults      {}", faults.join(", "));
        println!("  changes     {} acknowledged, {} answers lost", self.changes, self.unclear);
        println!("  accounts    {}", self.accounts);
        println!("  calls       {}, {} of them failed", self.calls, self.failed_calls);
        println!("  duplicates  {} of at most {}", self.duplicates, self.duplicates_allowed);
        println!("  overlaps    {}", self.overlaps);
        println!("  reordered   {}", self.reordered);
        println!("  losses      {}, {} pending", self.losses, self.pending);
        for (target, Waits { p95, calm_p95, faulty_p50 }) in &self.waits_ms {
            println!("  {target:11} 95 % called within {p95} ms, {calm_p95} ms between faults;");
            println!("              half of those during a fault within {faulty_p50} ms");
        }
        println!("  ready again in {} ms at worst, at rest after {} ms", self.slowest_start_ms, self.rest_ms);
        self.problems.iter().for_each(|problem| println!("  problem: {problem}"));
        println!("{}", serde_json::json!({ "chaos": title, "report": self }));
    }

    /// Panics unless every promise was kept.
    #[track_caller]
    pub fn assert_kept(&self) {
        let broken = self.overlaps + self.reordered + self.losses + self.pending;
        assert!(broken == 0 && self.problems.is_empty(), "seed {}: {:#?}", self.seed, self.problems);
        let (got, most) = (self.duplicates, self.duplicates_allowed);
        assert!(got <= most, "seed {}: {got} duplicates, at most {most} are explained", self.seed);
    }
}
