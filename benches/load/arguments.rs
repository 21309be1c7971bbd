//! The command line.

use crate::scenarios;

/// What to run and how.
#[derive(Debug, Clone)]
pub struct Arguments {
    pub scenario: Option<String>,
    pub accounts: usize,
    /// Maximum parallel jobs of each target.
    pub parallel: usize,
    pub json: bool,
    /// Seconds that a scenario without an end is watched.
    pub seconds: u64,
}

const USAGE: &str = "\
usage: scripts/bench [--scenario NAME] [--accounts N] [--parallel P] [--seconds S] [--json]

One JSON object per scenario, one a line, with --json; a table without.
DATABASE_URL names a PostgreSQL to use instead of the embedded one; its CPU is
then not counted.

scenarios:";

impl Arguments {
    pub fn read() -> Self {
        let mut read = Self { scenario: None, accounts: 20_000, parallel: 64, json: false, seconds: 20 };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| leave(2));
            match word.as_str() {
                "--scenario" => read.scenario = Some(value()),
                "--accounts" => read.accounts = number(&value()),
                "--parallel" => read.parallel = number(&value()),
                "--seconds" => read.seconds = number(&value()) as u64,
                "--json" => read.json = true,
                // `cargo bench` says so to every bench.
                "--bench" => {}
                "--help" | "-h" => leave(0),
                _ => leave(2),
            }
        }
        if read.scenario.as_ref().is_some_and(|name| !scenarios::NAMES.contains(&name.as_str())) {
            leave(2);
        }
        read
    }

    /// The named scenario, or all but the one that takes minutes.
    pub fn scenarios(&self) -> Vec<String> {
        match &self.scenario {
            Some(name) => vec![name.clone()],
            None => {
                let quick = scenarios::NAMES.iter().filter(|name| **name != "million");
                quick.map(|name| (*name).to_owned()).collect()
            }
        }
    }
}

fn number(text: &str) -> usize {
    text.replace('_', "").parse().ok().filter(|number| *number > 0).unwrap_or_else(|| leave(2))
}

fn leave(status: i32) -> ! {
    println!("{USAGE} {}", scenarios::NAMES.join(", "));
    std::process::exit(status)
}
