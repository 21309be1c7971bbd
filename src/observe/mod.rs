//! Logging: what others wrote is shown, not obeyed, where logs are read.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic::PanicHookInfo;

use env_logger::fmt::Formatter;
use log::Record;

use crate::domain::visible;

/// Logs to standard error, at `info` unless `RUST_LOG` says otherwise.
pub fn start_logging() {
    let environment = env_logger::Env::default().default_filter_or("info");
    _ = env_logger::Builder::from_env(environment).format(write_record).try_init();
}

/// One line a record, whatever is in it.
fn write_record(log: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let (time, level) = (log.timestamp_millis(), record.level());
    let style = log.default_level_style(level);
    let (target, text) = (visible::line(record.target()), record.args().to_string());
    writeln!(log, "[{time} {style}{level:<5}{style:#} {target}] {}", visible::line(&text))
}

/// Tells of panics, whose messages may quote anything, in the same way.
pub fn show_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let mut stderr = io::stderr().lock();
        for line in panic_lines(panic) {
            _ = writeln!(stderr, "{line}");
        }
    }));
}

fn panic_lines(panic: &PanicHookInfo<'_>) -> Vec<String> {
    let thread = std::thread::current();
    let (name, place) = (thread.name().unwrap_or("without a name"), panic.location());
    let place = place.map_or_else(String::new, |place| format!(" at {place}"));
    let said = panic.payload_as_str().unwrap_or("no message");
    let first = format!("thread {name} panicked{place}: {said}");
    let trace = Backtrace::capture();
    let trace = if trace.status() == BacktraceStatus::Captured { trace.to_string() } else { String::new() };
    let lines = std::iter::once(visible::line(&first).into_owned());
    lines.chain(trace.lines().map(|line| visible::line(line).into_owned())).collect()
}
