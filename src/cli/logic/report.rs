//! What building and testing found, for people to read. Places are written as
//! compilers write them, so that editors and pipelines find them.

use indicatif::HumanBytes;
use serde_json::Value;

use super::super::Failure;
use super::super::print::{Colour, inset, say, say_marked};

/// What the daemon calls the author's file.
const NAMES: [&str; 2] = ["logic.ts", "logic.js"];

/// Shows where code does not build, or which tests failed, and says so in
/// short; `None` when something else is wrong.
pub fn tell_problem(problem: &Value, file: Option<&str>) -> Option<Failure> {
    let rule = text(&problem["errors"][0], "rule");
    if problem["tests"].is_array() {
        tell_tests(&problem["tests"], file);
        return Some(Failure::Failed(inset(rule)));
    }
    let line = problem["line"].as_u64()?;
    let column = problem["column"].as_u64().unwrap_or(1);
    let message = rule.rsplit_once(" (line ").map_or(rule, |(message, _)| message);
    let message = named(message, file);
    say(&format!("{}:{line}:{column}: error: {message}", file.unwrap_or("logic")));
    let packages = "\nhint: `--dependencies` names a package.json, unless there is one beside the file";
    let hint = if message.contains("packageDependencies") { packages } else { "" };
    Some(Failure::Failed(format!("the code does not build; nothing was changed{hint}")))
}

/// A draft: its packages, warnings, tests.
pub fn tell_draft(draft: &Value, file: Option<&str>) {
    if let Some(size) = draft["artefact"]["size"].as_u64() {
        let packages = list(&draft["artefact"]["packages"]);
        let with = if packages.is_empty() { "" } else { " with its packages" };
        say(&format!("built: {}, {}{with}", text(draft, "language"), HumanBytes(size)));
        packages.iter().for_each(tell_package);
    }
    for warning in list(&draft["report"]["warnings"]) {
        say(&format!("{}: warning: {}", place(warning, file), named(text(warning, "message"), file)));
    }
    tell_tests(&draft["report"]["tests"], file);
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn tell_package(package: &Value) {
    let name = format!("{} {}", text(package, "name"), text(package, "version"));
    let size = HumanBytes(package["size"].as_u64().unwrap_or(0)).to_string();
    let licence = package["licence"].as_str().unwrap_or("no licence named");
    let mut notes = String::new();
    if package["bundled"] == false {
        notes += "  not used";
    }
    if package["installScript"] == true {
        notes += "  its install script was not run";
    }
    if let Some(reason) = package["deprecated"].as_str() {
        notes += &format!("  deprecated: {reason}");
    }
    say(&format!("  {name:<32}  {size:>10}  {licence}{notes}"));
}

fn place(finding: &Value, file: Option<&str>) -> String {
    let name = match text(finding, "file") {
        "" => file.unwrap_or("logic"),
        name if NAMES.contains(&name) => file.unwrap_or(name),
        name => name,
    };
    match (finding["line"].as_u64(), finding["column"].as_u64()) {
        (Some(line), Some(column)) => format!("{name}:{line}:{column}"),
        (Some(line), None) => format!("{name}:{line}"),
        _ => name.to_owned(),
    }
}

fn tell_tests(tests: &Value, file: Option<&str>) {
    for test in list(tests) {
        let (colour, word) =
            if test["passed"] == true { (Colour::Green, "  ok    ") } else { (Colour::Red, "  FAILED") };
        say_marked(colour, word, &format!("  {}", text(test, "name")));
        for line in text(test, "message").lines() {
            say(&format!("            {}", named(line, file)));
        }
        for line in list(&test["log"]) {
            for part in named(text(line, "text"), file).lines() {
                say(&format!("            {}: {part}", text(line, "level")));
            }
        }
    }
}

/// What a trial says and its logic logged, with the file as the person named it.
pub fn name_file(answer: &mut Value, file: &str) {
    match answer {
        Value::Array(items) => items.iter_mut().for_each(|item| name_file(item, file)),
        Value::Object(members) => members.iter_mut().for_each(|(name, member)| match member {
            Value::String(text) if ["message", "text"].contains(&name.as_str()) => {
                *text = named(text, Some(file));
            }
            member => name_file(member, file),
        }),
        _ => {}
    }
}

/// A line of a stack with the file as the person named it.
fn named(line: &str, file: Option<&str>) -> String {
    let Some(file) = file else { return line.to_owned() };
    let places = NAMES.iter().flat_map(|name| [" ", "("].map(|before| (before, name)));
    places.fold(line.to_owned(), |line, (before, name)| {
        line.replace(&format!("{before}{name}:"), &format!("{before}{file}:"))
    })
}

/// Fails unless a draft could be published.
pub fn publishable(draft: &Value) -> Result<(), Failure> {
    let tests = list(&draft["report"]["tests"]);
    match tests.iter().filter(|test| test["passed"] != true).count() {
        0 if draft["state"] == "validated" => Ok(()),
        0 => {
            let problem = draft["report"]["problem"].as_str().unwrap_or("it was not validated yet");
            Err(Failure::Failed(format!("the draft is saved, but could not be built: {}", inset(problem))))
        }
        failed => Err(Failure::Failed(format!(
            "the draft is saved, but {failed} of {} tests failed: it cannot be published",
            tests.len()
        ))),
    }
}

/// `2 of 2 tests passed`.
pub fn tests_in_short(tests: &Value) -> String {
    let tests = list(tests);
    let passed = tests.iter().filter(|test| test["passed"] == true).count();
    if tests.is_empty() { "no tests".into() } else { format!("{passed} of {} tests passed", tests.len()) }
}

/// `lodash 4.17.21, zod 4.1.3`.
pub fn packages_in_short(packages: &Value) -> String {
    const MOST: usize = 6;
    let packages = list(packages);
    let name = |package: &Value| format!("{} {}", text(package, "name"), text(package, "version"));
    let names: Vec<_> = packages.iter().take(MOST).map(name).collect();
    let more = packages.len().saturating_sub(MOST);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_name_the_file_of_the_author() {
        let finding = json!({ "file": "logic.ts", "line": 3, "column": 5 });
        assert_eq!(place(&finding, Some("crm/logic.mts")), "crm/logic.mts:3:5");
        assert_eq!(place(&finding, None), "logic.ts:3:5");
        assert_eq!(
            place(&json!({ "file": "node_modules/a/logic.ts" }), Some("x.ts")),
            "node_modules/a/logic.ts"
        );
        assert_eq!(named("at bad (logic.ts:2:3)", Some("x.ts")), "at bad (x.ts:2:3)");
        assert_eq!(named("at async logic.js:2:3", Some("x.js")), "at async x.js:2:3");
        assert_eq!(named("at bad (a/logic.ts:2:3)", Some("x.ts")), "at bad (a/logic.ts:2:3)");
    }

    #[test]
    fn what_a_trial_says_names_the_file_of_the_author() {
        let mut answer = json!({
            "outcome": { "message": "no\nat f (logic.ts:1:2)" },
            "console": [{ "text": "at logic.ts:3:4" }],
            "exchanges": [{ "request": { "body": "see logic.ts:5:6" } }],
        });
        name_file(&mut answer, "deep.ts");
        assert_eq!(answer["outcome"]["message"], "no\nat f (deep.ts:1:2)");
        assert_eq!(answer["console"][0]["text"], "at deep.ts:3:4");
        assert_eq!(answer["exchanges"][0]["request"]["body"], "see logic.ts:5:6");
    }

    #[test]
    fn only_what_is_built_and_tested_can_be_published() {
        let draft = |passed: &[bool]| {
            let tests: Vec<_> = passed.iter().map(|passed| json!({ "passed": passed })).collect();
            json!({ "state": "validated", "report": { "tests": tests } })
        };
        assert!(publishable(&draft(&[])).is_ok() && publishable(&draft(&[true, true])).is_ok());
        let failed = publishable(&draft(&[true, false])).unwrap_err();
        assert!(failed.to_string().contains("1 of 2 tests failed"), "{failed}");
        let unbuilt = json!({ "state": "draft", "report": { "problem": "the registry is away" } });
        assert!(publishable(&unbuilt).unwrap_err().to_string().ends_with("the registry is away"));
    }
}
