//! The canonical text of a filter: names and words in their usual case, single
//! spaces, no parentheses that precedence makes needless. Reading it gives the
//! same tree.

use std::fmt::{Display, Formatter, Result};

use super::Filter;
use super::ast::{Check, ContainerTest, ContainersTest, Expression, JsonTest, Literal, Step, SubjectTest};
use super::path;

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.expression().map_or(Ok(()), |expression| expression.fmt(f))
    }
}

impl<T: Display> Display for Expression<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Any(parts) => joined(f, parts, " or "),
            Self::All(parts) => joined(f, parts, " and "),
            Self::Not(part) => write!(f, "not ({part})"),
            Self::Test(test) => test.fmt(f),
        }
    }
}

fn joined<T: Display>(f: &mut Formatter<'_>, parts: &[Expression<T>], separator: &str) -> Result {
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { separator })?;
        match part {
            Expression::Any(_) => write!(f, "({part})")?,
            _ => part.fmt(f)?,
        }
    }
    Ok(())
}

impl Display for SubjectTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Core(field, check) => write!(f, "{field} {check}"),
            Self::Containers(test) => test.fmt(f),
            Self::Attributes(test) => {
                if let [Step::Member(first), rest @ ..] = test.steps.as_slice() {
                    let second = match rest {
                        [Step::Member(second), ..] => Some(second.as_str()),
                        _ => None,
                    };
                    f.write_str(if path::hidden(first, second) { "attributes." } else { "" })?;
                }
                test.fmt(f)
            }
        }
    }
}

impl Display for ContainersTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(path::containers_name(self.kind))?;
        if let Some(condition) = &self.condition {
            write!(f, "[{condition}]")?;
        }
        match self.field {
            Some(field) => write!(f, ".{field} {}", self.check),
            None if self.condition.is_some() => Ok(()),
            None => write!(f, " {}", self.check),
        }
    }
}

impl Display for ContainerTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {}", self.field, self.check)
    }
}

impl Display for JsonTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut separator = "";
        for step in &self.steps {
            match step {
                Step::Member(name) => {
                    write!(f, "{separator}{name}")?;
                    // Only the name of a schema holds colons.
                    separator = if name.contains(':') { ":" } else { "." };
                }
                Step::Where(condition) => write!(f, "[{condition}]")?,
            }
        }
        match self.steps.last() {
            Some(Step::Where(_)) => Ok(()),
            _ => write!(f, " {}", self.check),
        }
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Present => f.write_str("pr"),
            Self::Compare(operator, literal) => write!(f, "{operator} {literal}"),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Text(text) => serde_json::Value::from(text.raw()).fmt(f),
            Self::Number(number) => f.write_str(&number_text(*number)),
            Self::Bool(value) => value.fmt(f),
            Self::Null => f.write_str("null"),
        }
    }
}

/// The shortest JSON that reads back as this double.
pub(super) fn number_text(number: f64) -> String {
    let text = serde_json::Value::from(number).to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
