//! How fast the daemon is: the real binary, its embedded PostgreSQL, an HTTP
//! sink, full run logs, everything on this machine. `scripts/bench` starts it;
//! docs/performance.md says what the scenarios are and how to read them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

mod accounts;
mod arguments;
mod cpu;
mod daemon;
mod figures;
mod latency;
mod scenarios;
mod sink;
mod target;

use arguments::Arguments;

fn main() {
    let arguments = Arguments::read();
    // Two threads: the bench is a guest on the machine that it measures.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if !arguments.json {
        figures::Figures::print_head();
    }
    for scenario in arguments.scenarios() {
        let figures = runtime.block_on(scenarios::run(&scenario, &arguments));
        if arguments.json { figures.print_json() } else { figures.print_row() }
    }
}
