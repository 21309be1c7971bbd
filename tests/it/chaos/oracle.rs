//! Compares what the source acknowledged with what one target was told. Pure,
//! so that it is tested itself: an oracle that is always content is worth nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::ledger::{Account, Change, Scope};
use crate::support::sink::Call;

/// A call that its caller gave up ends for the sink when it notices.
const NOTICE: Duration = Duration::from_millis(100);

/// A call as the oracle sees it.
#[derive(Debug, Clone)]
pub struct Told {
    pub version: i64,
    pub deprovision: bool,
    pub start: Instant,
    /// `None` while it lasts.
    pub end: Option<Instant>,
    /// `None` when its caller gave it up.
    pub status: Option<u16>,
}

/// The same work: account, version, and whether it is a deprovision.
pub type Key = (String, i64, bool);

/// What became of the calls of one target.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub calls: u64,
    pub failed: u64,
    pub duplicates: u64,
    pub overlaps: u64,
    pub reordered: u64,
    pub losses: u64,
    pub problems: Vec<String>,
    pub latencies: Vec<Latency>,
}

/// How long a change took to reach the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    pub acknowledged: Instant,
    /// From there to the call.
    pub wait: Duration,
}

/// Looks at everything. `runs` counts the runs of the execution log that called:
/// each explains one call.
pub fn inspect(scope: Scope, accounts: &[Account], calls: &[Call], runs: &HashMap<Key, u64>) -> Findings {
    let mut findings = Findings::default();
    let calls = by_account(calls);
    for account in accounts {
        let told = calls.get(&account.id).map_or(&[][..], Vec::as_slice);
        findings.order(account, told);
        findings.end(scope, account, told);
        findings.leaving(scope, account, told);
        findings.latency(account, told);
        findings.repeated(account, told, runs);
    }
    findings
}

fn by_account(calls: &[Call]) -> HashMap<String, Vec<Told>> {
    let mut accounts: HashMap<String, Vec<Told>> = HashMap::new();
    for call in calls {
        let body = call.json();
        let told = Told {
            version: body["version"].as_i64().unwrap(),
            deprovision: call.path == "/deprovision",
            start: call.start,
            end: call.end,
            status: call.status,
        };
        accounts.entry(body["id"].as_str().unwrap().to_owned()).or_default().push(told);
    }
    accounts
}

impl Told {
    fn succeeded(&self) -> bool {
        self.status == Some(200)
    }

    /// The latest moment at which its caller waited for it for sure.
    fn lasted_until(&self) -> Option<Instant> {
        let notice = if self.status.is_none() { NOTICE } else { Duration::ZERO };
        Some(self.end?.checked_sub(notice).unwrap_or(self.start).max(self.start))
    }
}

impl Findings {
    fn problem(&mut self, account: &Account, what: &str, told: &[Told]) {
        let change = account.now();
        let last: Vec<String> = told.iter().rev().take(4).rev().map(sentence).collect();
        self.problems.push(format!(
            "{} {}: {what}; the source has version {}{}, the last calls were {}",
            account.name,
            account.id,
            change.version,
            if change.deleted { ", deleted" } else { "" },
            if last.is_empty() { "none".to_owned() } else { last.join(", ") }
        ));
    }

    fn order(&mut self, account: &Account, told: &[Told]) {
        self.calls += told.len() as u64;
        self.failed += told.iter().filter(|call| !call.succeeded()).count() as u64;
        for pair in told.windows(2) {
            if pair[0].lasted_until().is_none_or(|end| end > pair[1].start) {
                self.overlaps += 1;
                self.problem(account, "two calls overlap", pair);
            }
            if pair[1].version < pair[0].version {
                self.reordered += 1;
                self.problem(account, "an older version came later", pair);
            }
        }
    }

    /// The last call is the source's truth.
    fn end(&mut self, scope: Scope, account: &Account, told: &[Told]) {
        let change = account.now();
        let right = match told.last() {
            Some(last) if scope.wants(&change) => {
                last.succeeded() && !last.deprovision && last.version == change.version
            }
            Some(last) => last.succeeded() && last.deprovision,
            None => !scope.wants(&change),
        };
        if !right {
            self.losses += 1;
            self.problem(account, "the target does not have what the source has", told);
        }
    }

    /// Whoever left after the target had got it was deprovisioned, even if it
    /// came back since. One deprovision may stand for several leaves.
    fn leaving(&mut self, scope: Scope, account: &Account, told: &[Told]) {
        for pair in account.changes.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            if !scope.wants(&before) || scope.wants(&after) {
                continue;
            }
            let had = told.iter().rposition(|call| call.end.is_some_and(|end| end <= after.asked));
            let Some(had) = had.filter(|at| !told[*at].deprovision && told[*at].succeeded()) else {
                continue;
            };
            if !told[had..].iter().any(|call| call.deprovision) {
                self.losses += 1;
                let what = format!("left with version {} and was not deprovisioned", after.version);
                self.problem(account, &what, told);
            }
        }
    }

    /// In the end the target holds who is to be there, each under its own name, and
    /// nobody else: no removal has hit who took a name over.
    pub fn content(&mut self, scope: Scope, accounts: &[Account], held: &BTreeMap<String, Value>) {
        let wanted = accounts.iter().filter(|account| scope.wants(&account.now()));
        let wanted: BTreeMap<&str, &str> =
            wanted.map(|account| (account.name.as_str(), account.id.as_str())).collect();
        let held: BTreeMap<&str, &str> = held
            .iter()
            .map(|(name, body)| (name.as_str(), body["id"].as_str().unwrap_or_default()))
            .collect();
        let names: BTreeSet<&str> = wanted.keys().chain(held.keys()).copied().collect();
        for name in names {
            let (wanted, held) = (wanted.get(name), held.get(name));
            if wanted != held {
                self.losses += 1;
                self.problems.push(format!("under `{name}` there is {held:?}, and should be {wanted:?}"));
            }
        }
    }

    fn latency(&mut self, account: &Account, told: &[Told]) {
        let first = |change: &Change| told.iter().find(|call| call.version == change.version);
        let latency = |change: &Change| {
            let acknowledged = change.acknowledged;
            Some(Latency { acknowledged, wait: first(change)?.start.saturating_duration_since(acknowledged) })
        };
        self.latencies.extend(account.changes.iter().filter_map(latency));
    }

    fn repeated(&mut self, account: &Account, told: &[Told], runs: &HashMap<Key, u64>) {
        let mut counts: HashMap<(i64, bool), u64> = HashMap::new();
        told.iter().for_each(|call| *counts.entry((call.version, call.deprovision)).or_default() += 1);
        for ((version, deprovision), count) in counts {
            let explained = runs.get(&(account.id.clone(), version, deprovision)).copied().unwrap_or(0);
            self.duplicates += count.saturating_sub(explained.max(1));
        }
    }

    /// So many percent of the changes that were acknowledged at such a time waited
    /// no longer, in milliseconds.
    pub fn wait_ms(&self, percent: usize, at: impl Fn(Instant) -> bool) -> u64 {
        let those = self.latencies.iter().filter(|latency| at(latency.acknowledged));
        let mut waits: Vec<Duration> = those.map(|latency| latency.wait).collect();
        waits.sort_unstable();
        waits.get(waits.len() * percent / 100).map_or(0, |wait| wait.as_millis() as u64)
    }
}

fn sentence(call: &Told) -> String {
    let what = if call.deprovision { "deprovision" } else { "provision" };
    let status = call.status.map_or("given up".to_owned(), |status| status.to_string());
    format!("{what} v{} ({status})", call.version)
}
