//! The program `provisiond`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("js-host") => provisiond::js::main(),
        _ => ExitCode::FAILURE,
    }
}
