//! What is another way when a person sits there: colour, and a question.

use std::io::{IsTerminal, Write};

use super::Failure;

/// Colours, as terminals number them.
#[derive(Debug, Clone, Copy)]
pub enum Colour {
    /// What is wrong, or gone.
    Red = 31,
    /// What is well, or new.
    Green = 32,
    /// Where one is.
    Cyan = 36,
}

/// The text in colour where the stream is a terminal, and nobody said NO_COLOR.
pub fn paint(stream: &impl IsTerminal, colour: Colour, text: &str) -> String {
    let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if stream.is_terminal() && is_wanted {
        format!("\x1b[{}m{text}\x1b[0m", colour as u8)
    } else {
        text.to_owned()
    }
}

/// Asks a question that is answered with yes or no; fails where nobody can be
/// asked.
pub fn agrees(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{question}\nhint: there is nobody to ask; `--yes` says so")));
    }
    eprint_now(&format!("{question} [y/N] "));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn eprint_now(text: &str) {
    let mut stderr = std::io::stderr().lock();
    _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}
