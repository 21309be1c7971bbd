//! The only place that writes to the terminal. Names, messages and bodies are
//! other people's: nothing of them reaches the terminal but what
//! [`crate::domain::visible`] lets pass.

use std::io::{IsTerminal, Write};

use indicatif::ProgressBar;
use serde_json::Value;

use crate::domain::visible;

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

/// Writes one line to standard output; a line end in it is shown, too.
pub fn say(line: &str) {
    to_output(&visible::line(line));
}

/// Writes every line of a text of our own.
pub fn say_lines(text: &str) {
    text.lines().for_each(say);
}

/// Writes a line whose beginning is in colour on a terminal.
pub fn say_marked(colour: Colour, marked: &str, rest: &str) {
    let marked = paint(&std::io::stdout(), colour, &visible::line(marked));
    to_output(&format!("{marked}{}", visible::line(rest)));
}

/// Writes a line of source code, in colour on a terminal.
pub fn say_code(colour: Option<Colour>, line: &str) {
    let line = visible::code(line);
    match colour {
        Some(colour) => to_output(&paint(&std::io::stdout(), colour, &line)),
        None => to_output(&line),
    }
}

/// Writes JSON, for programs: one line.
pub fn say_json(value: &Value) {
    to_output(&visible::json(&value.to_string()));
}

/// Writes JSON, for people: indented.
pub fn say_pretty_json(value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    to_output(&visible::json(&text));
}

/// Hands out what is kept as a file: a terminal gets it to read, a file or a
/// pipe as it is.
pub fn hand_out(text: &str) {
    // Without the last line's end, which is written anyway.
    let text = text.strip_suffix('\n').unwrap_or(text);
    if std::io::stdout().is_terminal() {
        text.lines().for_each(|line| say_code(None, line));
    } else {
        to_output(text);
    }
}

/// Tells the person something beside the output.
pub fn note(line: &str) {
    to_error(&visible::line(line));
}

/// Tells what may be wrong about the filter that an answer is about.
pub fn tell_warnings(answer: &Value) {
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        note(&format!("warning: {}", warning["detail"].as_str().unwrap_or_default()));
    }
}

/// Writes why a command failed to standard error; the first word in red on a
/// terminal.
pub fn complain(message: &str) {
    let (first, rest) = message.split_once('\n').unwrap_or((message, ""));
    let word = paint(&std::io::stderr(), Colour::Red, "error");
    to_error(&format!("{word}: {}", visible::line(first)));
    rest.lines().for_each(note);
}

/// Tells what is wrong with the arguments, or what may be given.
pub fn usage(error: &clap::Error) {
    if error.use_stderr() {
        // An argument may be anybody's text.
        error.render().to_string().lines().for_each(note);
    } else {
        _ = error.print();
    }
}

/// Writes a question; the answer comes on the same line.
pub fn ask(question: &str) {
    let mut stderr = std::io::stderr().lock();
    _ = write!(stderr, "{} ", visible::line(question)).and_then(|()| stderr.flush());
}

/// Says beside a bar what goes on.
pub fn show_on(bar: &ProgressBar, message: &str) {
    bar.set_message(visible::line(message).into_owned());
}

/// A text of others within a message of ours: no line of it can pass for ours.
pub fn inset(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join("\n    ")
}

/// An argument at the end of a command that a person may copy: a name can be
/// anything, also what a shell would carry out or a program take for an option.
pub fn argument(text: &str) -> String {
    if text.starts_with('-') { format!("-- {}", quoted(text)) } else { quoted(text) }
}

/// Text that a shell takes as it is.
pub fn quoted(text: &str) -> String {
    shlex::try_quote(text).unwrap_or_default().into_owned()
}

/// The text in colour where the stream is a terminal, and nobody said NO_COLOR.
fn paint(stream: &impl IsTerminal, colour: Colour, text: &str) -> String {
    let is_wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if stream.is_terminal() && is_wanted {
        format!("\x1b[{}m{text}\x1b[0m", colour as u8)
    } else {
        text.to_owned()
    }
}

/// A closed pipe is nobody's error.
fn to_output(text: &str) {
    _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn to_error(text: &str) {
    _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_commands_are_arguments() {
        for (name, expected) in [
            ("crm", "crm"),
            ("a b", "'a b'"),
            ("$(reboot)", "'$(reboot)'"),
            ("it's; x", "\"it's; x\""),
            ("-x", "-- -x"),
            ("", "''"),
        ] {
            assert_eq!(argument(name), expected);
        }
    }

    #[test]
    fn no_line_of_others_passes_for_ours() {
        assert_eq!(inset("one\nhint: do this\r\nthree"), "one\n    hint: do this\n    three");
        assert_eq!(inset(""), "");
    }
}
