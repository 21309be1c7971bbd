//! What a scenario found.

use serde_json::{Map, Value, json};

use crate::cpu::Cpu;
use crate::latency::Percentiles;

/// The figures of one scenario.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub scenario: String,
    pub accounts: usize,
    pub per_second: f64,
    pub cpu: Cpu,
    pub sink_cpu_micros: u64,
    /// Peak of the daemon, in MiB.
    pub rss_mib: f64,
    /// Peak of its JavaScript hosts together, in MiB.
    pub hosts_rss_mib: f64,
    pub percentiles: Percentiles,
    /// What this scenario has beyond the others.
    pub extra: Map<String, Value>,
}

impl Figures {
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.extra.insert(name.to_owned(), value.into());
    }

    fn per_account(&self, micros: u64) -> f64 {
        rounded(micros as f64 / self.accounts.max(1) as f64)
    }

    pub fn print_json(&self) {
        let mut line = json!({
            "scenario": self.scenario,
            "accounts": self.accounts,
            "perSecond": rounded(self.per_second),
            "cpuMicrosPerAccount": self.per_account(self.cpu.sum()),
            "rssMiB": rounded(self.rss_mib),
            "p50Ms": rounded(self.percentiles.p50),
            "p99Ms": rounded(self.percentiles.p99),
            "daemonCpuMicrosPerAccount": self.per_account(self.cpu.daemon),
            "hostsCpuMicrosPerAccount": self.per_account(self.cpu.hosts),
            "postgresCpuMicrosPerAccount": self.per_account(self.cpu.postgres),
            "sinkCpuMicrosPerAccount": self.per_account(self.sink_cpu_micros),
            "hostsRssMiB": rounded(self.hosts_rss_mib),
        });
        if let Value::Object(members) = &mut line {
            members.extend(self.extra.clone());
        }
        println!("{line}");
    }

    pub fn print_head() {
        println!(
            "{:<14} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8}  more",
            "scenario", "accounts", "per s", "µs CPU", "RSS MiB", "p50 ms", "p99 ms"
        );
    }

    pub fn print_row(&self) {
        let more: Vec<String> = self.extra.iter().map(|(name, value)| format!("{name} {value}")).collect();
        println!(
            "{:<14} {:>9} {:>9.0} {:>9.1} {:>8.0} {:>8.1} {:>8.1}  {}",
            self.scenario,
            self.accounts,
            self.per_second,
            self.per_account(self.cpu.sum()),
            self.rss_mib,
            self.percentiles.p50,
            self.percentiles.p99,
            more.join(", ")
        );
    }
}

pub fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
