//! `provisiond held …`, and `provisiond target held`.

use reqwest::Method;
use serde_json::{Value, json};

use super::Failure;
use super::args::{HeldChoice, HeldCommand};
use super::client::Client;
use super::import::percent;
use super::print::{say, say_json};

/// Decides about a lot.
pub async fn run(command: HeldCommand, as_json: bool) -> Result<(), Failure> {
    let (choice, action) = match &command {
        HeldCommand::Approve(choice) => (choice, "approve"),
        HeldCommand::Reject(choice) => (choice, "reject"),
    };
    let HeldChoice { id, count, remote } = choice;
    let client = Client::new(remote)?;
    let body = count.map_or(json!({}), |count| json!({ "count": count }));
    let path = format!("/held/{}/{action}", percent(id));
    let lot = client.send(client.request(Method::POST, &path).json(&body)).await?;
    if as_json {
        say_json(&lot);
    } else {
        say(&format!("{} {} removals", lot["state"].as_str().unwrap_or_default(), lot["count"]));
    }
    Ok(())
}

/// Lists what waits at a target.
pub async fn list(client: &Client, target: &str, as_json: bool) -> Result<(), Failure> {
    let answer = client.get(&format!("/targets/{target}/held?limit=500")).await?;
    if as_json {
        say_json(&answer["items"]);
        return Ok(());
    }
    for lot in answer["items"].as_array().into_iter().flatten() {
        tell(lot);
    }
    Ok(())
}

fn tell(lot: &Value) {
    let text = |name: &str| lot[name].as_str().unwrap_or_default();
    say(&format!("{:>6}  {} ({}), until {}", text("id"), text("reason"), text("trigger"), text("expiresAt")));
    let sample = lot["sample"].as_array().into_iter().flatten();
    let names: Vec<&str> = sample.filter_map(|member| member["userName"].as_str()).collect();
    let more = lot["waiting"].as_u64().unwrap_or(0).saturating_sub(names.len() as u64);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    say(&format!("        {}{rest}", names.join(", ")));
}
