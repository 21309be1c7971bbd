//! Chaos with an oracle: accounts change, things fail, and at rest every target
//! has what the source has. See docs/reliability.md.

mod faults;
mod forgotten;
mod generator;
mod ledger;
mod machine;
mod oracle;
mod oracle_works;
mod profile;
mod promises;
mod reach;
mod report;
mod scenarios;
mod verdict;
mod world;
