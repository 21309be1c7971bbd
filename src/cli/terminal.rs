//! Asking the person who sits there.

use std::io::IsTerminal;

use super::{Failure, print};

/// Asks a question that is answered with yes or no; fails where nobody can be
/// asked.
pub fn agrees(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{question}\nhint: there is nobody to ask; `--yes` says so")));
    }
    print::ask(&format!("{question} [y/N]"));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::Failed(error.to_string()))?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Asks for something that the terminal does not show; `None` where nobody can
/// be asked.
pub fn secret(question: &str) -> Option<String> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    print::ask(question);
    let answer = console::Term::stderr().read_secure_line().ok()?;
    Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())
}
