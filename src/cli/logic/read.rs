//! `logic diff`, `logic get` and `logic types`.

use reqwest::Method;
use serde_json::Value;

use super::super::Failure;
use super::super::args::{Remote, TargetName};
use super::super::client::Client;
use super::super::import::percent;
use super::super::print::{Colour, hand_out, say, say_code, say_json};
use super::super::target::find;

/// Shows what differs.
pub async fn diff(name: &TargetName, from: &str, to: &str, as_json: bool) -> Result<(), Failure> {
    let (client, id) = find(name).await?;
    let path = format!("/targets/{id}/logic/diff?from={}&to={}", percent(from), percent(to));
    let diff = client.get(&path).await?;
    if as_json {
        say_json(&diff);
        return Ok(());
    }
    let (text, packages) = (diff["diff"].as_str().unwrap_or_default(), changes(&diff));
    if text.is_empty() && packages.is_empty() {
        let side = |name: &str| diff[name].as_str().unwrap_or_default().to_owned();
        say(&format!("{} and {} are the same", side("from"), side("to")));
    }
    text.lines().for_each(|line| say_code(colour(line), line));
    packages.iter().for_each(|line| say(line));
    Ok(())
}

fn colour(line: &str) -> Option<Colour> {
    match line.chars().next() {
        Some('+') => Some(Colour::Green),
        Some('-') => Some(Colour::Red),
        Some('@') => Some(Colour::Cyan),
        _ => None,
    }
}

/// A line for each package whose range or version is another one.
fn changes(diff: &Value) -> Vec<String> {
    let show = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let line = |what: &str, name: &str, from: &Value, to: &Value| {
        format!("{what} {name}: {} becomes {}", show(from), show(to))
    };
    let (from, to) = (&diff["packageDependencies"]["from"], &diff["packageDependencies"]["to"]);
    let names = [from, to].into_iter().filter_map(Value::as_object).flat_map(|map| map.keys());
    let names: std::collections::BTreeSet<_> = names.collect();
    let ranges = names.into_iter().filter(|name| from[name.as_str()] != to[name.as_str()]);
    let mut lines: Vec<_> =
        ranges.map(|name| line("range", name, &from[name.as_str()], &to[name.as_str()])).collect();
    for package in diff["packages"].as_array().into_iter().flatten() {
        lines.push(line("package", &show(&package["name"]), &package["from"], &package["to"]));
    }
    lines
}

/// Prints the source of a version, or what runs.
pub async fn get(name: &TargetName, version: &str, bundle: bool, as_json: bool) -> Result<(), Failure> {
    let (client, id) = find(name).await?;
    let found = version_of(&client, &id, version).await?;
    if bundle {
        let Some(number) = found["version"].as_i64() else {
            return Err(Failure::Usage("a draft has no bundle that could be shown: publish it".into()));
        };
        return print(&client, &format!("/targets/{id}/logic/versions/{number}/bundle")).await;
    }
    if as_json {
        say_json(&found);
    } else {
        hand_out(found["code"].as_str().unwrap_or_default());
    }
    Ok(())
}

async fn version_of(client: &Client, id: &str, version: &str) -> Result<Value, Failure> {
    let number = match version {
        "draft" | "published" => {
            let logic = client.get(&format!("/targets/{id}/logic")).await?;
            let wanted = if version == "draft" { &logic["draft"] } else { &logic["publishedVersion"] };
            match wanted {
                Value::Null => return Err(Failure::Failed(format!("the target has no {version} logic"))),
                Value::Number(number) => number.to_string(),
                draft => return Ok(draft.clone()),
            }
        }
        number => number.to_owned(),
    };
    client.get(&format!("/targets/{id}/logic/versions/{}", percent(&number))).await
}

/// Prints the declarations for editors.
pub async fn types(remote: &Remote) -> Result<(), Failure> {
    print(&Client::new(remote)?, "/logic/types").await
}

async fn print(client: &Client, path: &str) -> Result<(), Failure> {
    let text = client.text(client.request(Method::GET, path)).await??;
    hand_out(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packages_that_changed_are_named() {
        let diff = json!({
            "packageDependencies": { "from": { "ms": "1", "zod": "^4" }, "to": { "ms": "2", "zod": "^4", "uuid": "*" } },
            "packages": [{ "name": "ms", "from": "1.0.0", "to": "2.1.3" }, { "name": "uuid", "from": null, "to": "14.0.0" }],
        });
        let expected = [
            "range ms: 1 becomes 2",
            "range uuid: none becomes *",
            "package ms: 1.0.0 becomes 2.1.3",
            "package uuid: none becomes 14.0.0",
        ];
        assert_eq!(changes(&diff), expected);
    }
}
