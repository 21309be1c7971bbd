//! Runs, for people to read: real ones, and those that only tried logic.

use serde_json::Value;

use super::print::say;

/// Longest body that is shown, in characters.
const LONGEST_BODY: usize = 2_000;

/// One run.
pub fn tell_run(run: &Value) {
    let text = |name: &str| run[name].as_str().unwrap_or_default();
    let logic = run["logic"].as_str().map_or_else(|| format!("version {}", run["logic"]), str::to_owned);
    say(&format!(
        "{} {} (trigger {}, attempt {}), logic: {logic}",
        text("reason"),
        text("userName"),
        text("trigger"),
        run["attempt"]
    ));
    tell_outcome(&run["outcome"]);
    for exchange in run["exchanges"].as_array().into_iter().flatten() {
        tell_exchange(exchange);
    }
    tell_console(&run["console"]);
    tell_changes(&run["diff"]);
    if run["ran"] == true {
        let cpu = run["cpuMs"].as_u64().map_or(String::new(), |cpu| format!(", {cpu} ms of CPU time"));
        say(&format!("took {} ms{cpu}", run["wallMs"]));
    }
}

/// A run as the execution log has it.
pub fn tell_logged(run: &Value) {
    let text = |name: &str| run[name].as_str().unwrap_or_default();
    say(&format!(
        "{} of account {} (trigger {}, attempt {}), logic: version {}",
        text("reason"),
        text("subjectId"),
        text("trigger"),
        run["attempt"],
        run["logicVersion"]
    ));
    tell_outcome(run);
    for exchange in run["exchanges"].as_array().into_iter().flatten() {
        tell_exchange(exchange);
    }
    tell_console(&run["log"]);
    say(&format!("took {} ms, {}", run["durationMs"], text("startedAt")));
}

fn tell_outcome(outcome: &Value) {
    let message = outcome["message"].as_str().unwrap_or_default();
    let class = outcome["errorClass"].as_str().map_or(String::new(), |class| format!(" ({class})"));
    say(&format!("  {}{class}", outcome["status"].as_str().unwrap_or_default()));
    for line in message.lines() {
        say(&format!("    {line}"));
    }
    if outcome["deadLetter"] == true {
        say("    nothing would retry it");
    }
}

fn tell_exchange(exchange: &Value) {
    let request = &exchange["request"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (method, url) = (text(&request["method"]), text(&request["url"]));
    let answer = match exchange["response"]["status"].as_u64() {
        Some(status) => status.to_string(),
        None => text(&exchange["error"]).replace(&format!(" for {method} {url}"), ""),
    };
    let effect = exchange["effect"].as_str();
    say(&format!("  {:<9}  {method} {url}  {answer}", effect.unwrap_or("sent")));
    // In a trial, what was sent is over; what was not is what one wants to see.
    if effect != Some("sent") {
        tell_body(&request["body"]);
    }
    if effect.is_none() && exchange["response"]["body"].is_string() {
        say("             and got");
        tell_body(&exchange["response"]["body"]);
    }
}

fn tell_body(body: &Value) {
    for line in body.as_str().map(pretty).unwrap_or_default().lines() {
        say(&format!("             {line}"));
    }
}

/// JSON indented, anything else as it is, and not too much of it.
fn pretty(body: &str) -> String {
    let json = serde_json::from_str::<Value>(body).and_then(|json| serde_json::to_string_pretty(&json));
    json.unwrap_or_else(|_| body.to_owned()).chars().take(LONGEST_BODY).collect()
}

fn tell_console(console: &Value) {
    for line in console.as_array().into_iter().flatten() {
        for text in line["text"].as_str().unwrap_or_default().lines() {
            say(&format!("  {:<9}  {text}", line["level"].as_str().unwrap_or_default()));
        }
    }
}

fn tell_changes(diff: &Value) {
    for (name, change) in diff["state"].as_object().into_iter().flatten() {
        say(&format!("  {name}: {} becomes {}", show(&change[0]), show(&change[1])));
    }
    for change in diff["attributes"].as_array().into_iter().flatten() {
        tell_change("  attributes.", change);
    }
}

fn tell_change(before: &str, change: &Value) {
    let path = change["path"].as_str().unwrap_or_default();
    say(&format!("{before}{path}: {} becomes {}", show(&change["before"]), show(&change["after"])));
}

fn show(value: &Value) -> String {
    if value.is_null() { "nothing".to_owned() } else { value.to_string() }
}

/// Many runs.
pub fn tell_plan(answer: &Value) {
    let plan = &answer["plan"];
    let count = |name: &str| plan[name].as_u64().unwrap_or(0);
    say(&format!("tried {} of {} accounts", count("tried"), count("total")));
    let kinds = [
        ("creates", "would be created"),
        ("updates", "would be updated"),
        ("unchanged", "would stay as they are"),
        ("deprovisions", "would be deprovisioned"),
        ("ongoing", "would be ongoing"),
        ("notNeeded", "need nothing"),
        ("failures", "would fail"),
    ];
    for (name, words) in kinds.into_iter().filter(|(name, _)| count(name) > 0) {
        say(&format!("  {:>8}  {words}", count(name)));
    }
    for group in answer["failures"].as_array().into_iter().flatten() {
        let message = group["message"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
        say(&format!("failure   {}  {message}", group["count"]));
        let names = names(&group["examples"]);
        say(&format!("          {names}{}", more(&group["count"], &group["examples"])));
    }
    if let Some(differs) = answer["differs"].as_object() {
        let against = &answer["against"];
        say(&match differs["count"].as_u64() {
            Some(0) => format!("all do the same as with version {against}"),
            _ => format!("{} do something else than with version {against}", differs["count"]),
        });
        for example in differs["examples"].as_array().into_iter().flatten() {
            tell_example(example);
        }
        match more(&differs["count"], &differs["examples"]).as_str() {
            "" => {}
            more => say(&format!(" {more}")),
        }
    }
}

/// ` and 7 more`, when not all are among the examples.
fn more(count: &Value, examples: &Value) -> String {
    let shown = examples.as_array().map_or(0, Vec::len) as u64;
    match count.as_u64().unwrap_or(0).saturating_sub(shown) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

fn names(accounts: &Value) -> String {
    let names = accounts.as_array().into_iter().flatten().filter_map(|account| account["userName"].as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn tell_example(example: &Value) {
    say(&format!("  {}", example["account"]["userName"].as_str().unwrap_or_default()));
    for change in example["changes"].as_array().into_iter().flatten() {
        tell_change("    ", change);
    }
}

/// A run of then and the same run now.
pub fn tell_replay(answer: &Value) {
    let recorded = &answer["recorded"];
    say(&format!("recorded, with version {}", recorded["logicVersion"]));
    tell_outcome(recorded);
    say("");
    say("replayed");
    tell_run(&answer["replayed"]);
    let differences = answer["differences"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !differences.is_empty() {
        say("");
        say("differences");
    }
    for difference in differences {
        let text = |name: &str| difference[name].as_str().unwrap_or_default();
        say(format!("  {:<11}  {}", text("kind"), text("request")).trim_end());
        for side in ["recorded", "replayed"] {
            for line in text(side).lines() {
                say(&format!("    {side}  {line}"));
            }
        }
    }
}
