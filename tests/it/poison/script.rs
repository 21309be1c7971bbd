//! One script: comments at its top, then code.
//!
//! | comment | |
//! |---|---|
//! | `// end: killed cpu` | the run is to blame for the end of its host; `cpu` and `heap` stand for the sentence |
//! | `// end: limit wall` | the run ends at a limit, the host goes on; a sentence, or `wall` |
//! | `// end: threw TEXT` | the run throws; its message contains the text |
//! | `// end: returned JSON` | the run returns exactly this |
//! | `// end: refused TEXT` | the code is not loaded, and told why |
//! | `// cpuMs: 5000`, `wallMs`, `heapMib` | limits |
//! | `// console: TEXT` | a line of the run's console contains the text |
//! | `// innocent: EXPRESSION` | what an innocent run returns; `"innocent"` is expected |
//!
//! Code without an export is the body of the function, for a run that is told to
//! do harm.

use std::path::Path;

use provisiond::domain::target::Limits;
use provisiond::js::{RunEnd, RunOutcome};
use serde_json::{Value, json};

/// The engine does not check each allocation of its parser: one that fails there
/// ends the host, now and then, with this.
const UNCHECKED: &str = "the run brought its host down: signal 11";

pub struct Script {
    pub name: String,
    pub code: String,
    pub limits: Limits,
    pub end: End,
    console: Option<String>,
}

/// How the poison has to end.
pub enum End {
    Killed(String),
    Limit(String),
    Threw(String),
    Returned(Value),
    Refused(String),
}

impl Script {
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let says = |what: &str| {
            let lines = text.lines().take_while(|line| line.starts_with("// "));
            let mut found = lines.filter_map(|line| line[3..].strip_prefix(what)?.strip_prefix(": "));
            found.next().map(str::to_owned)
        };
        let number = |what, otherwise| says(what).map_or(otherwise, |text| text.parse().unwrap());
        let limits = Limits {
            cpu_ms: number("cpuMs", 200),
            wall_ms: number("wallMs", 30_000),
            heap_mib: number("heapMib", 32),
        };
        let end = says("end").unwrap_or_else(|| panic!("{name} does not say how it ends"));
        let innocent = says("innocent").unwrap_or_else(|| "\"innocent\"".into());
        Self {
            code: whole(&text, &innocent),
            end: End::parse(&end, &limits),
            console: says("console"),
            limits,
            name,
        }
    }

    /// Whether the poison ended as it should.
    pub fn check(&self, end: &RunEnd) -> Result<(), String> {
        let as_it_should = match (&self.end, &end.outcome) {
            (End::Killed(sentence), RunOutcome::Killed(said)) => {
                sentence == said || (sentence.contains("the heap limit") && said == UNCHECKED)
            }
            (End::Limit(sentence), RunOutcome::Limit(said) | RunOutcome::TimedOut(said)) => sentence == said,
            (End::Threw(part), RunOutcome::Threw(thrown)) => thrown.message.contains(part.as_str()),
            (End::Returned(value), RunOutcome::Returned(returned)) => value == returned,
            _ => false,
        };
        if !as_it_should {
            return Err(format!("{:.600}", format!("{:?}", end.outcome)));
        }
        let bytes: usize = end.console.iter().map(|line| line.text.len()).sum();
        if end.console.len() > 201 || bytes > 256 * 1024 {
            return Err(format!("{} lines, {bytes} bytes in the console", end.console.len()));
        }
        match &self.console {
            Some(part) if !end.console.iter().any(|line| line.text.contains(part.as_str())) => {
                Err(format!("the console has no `{part}`: {:.600}", format!("{:?}", end.console)))
            }
            _ => Ok(()),
        }
    }

    /// Whether the run after it has noticed nothing.
    pub fn check_innocent(&self, end: &RunEnd) -> Result<(), String> {
        match end.outcome == RunOutcome::Returned(json!("innocent")) {
            true => Ok(()),
            false => Err(format!("the innocent run: {:.600}", format!("{:?}", end.outcome))),
        }
    }
}

fn whole(text: &str, innocent: &str) -> String {
    if text.contains("export default") || text.contains("module.exports") {
        return text.to_owned();
    }
    format!(
        "export default async (ctx) => {{\nif (!ctx.harm) {{ await null; return {innocent}; }}\n{text}\n}};\n"
    )
}

impl End {
    fn parse(text: &str, limits: &Limits) -> Self {
        let (how, rest) = text.split_once(' ').unwrap_or((text, ""));
        let figure = |ms: u32| match ms {
            0..1_000 => format!("{ms} ms"),
            _ => format!("{} s", f64::from(ms) / 1e3),
        };
        let sentence = match rest {
            "cpu" => format!("the CPU limit of {} was reached", figure(limits.cpu_ms)),
            "heap" => format!("the heap limit of {} MiB was reached", limits.heap_mib),
            "wall" => format!("the wall limit of {} was reached", figure(limits.wall_ms)),
            other => other.to_owned(),
        };
        match how {
            "killed" => Self::Killed(sentence),
            "limit" => Self::Limit(sentence),
            "threw" => Self::Threw(sentence),
            "returned" => Self::Returned(serde_json::from_str(rest).unwrap()),
            "refused" => Self::Refused(sentence),
            other => panic!("`{other}` is no end"),
        }
    }

    pub fn is_killed(&self) -> bool {
        matches!(self, Self::Killed(_))
    }

    /// Why the code is not loaded, if it is not.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused(sentence) => Some(sentence),
            _ => None,
        }
    }
}
