//! `provisiond target dead` and `target retry`.

use reqwest::Method;
use serde_json::{Value, json};

use super::Failure;
use super::args::RetryWhat;
use super::client::Client;
use super::print::{say, say_json, tell_warnings};

/// Lists the groups of dead letters.
pub async fn list(client: &Client, id: &str, as_json: bool) -> Result<(), Failure> {
    let list = client.get(&format!("/targets/{id}/deadletters")).await?;
    if as_json {
        say_json(&list["items"]);
        return Ok(());
    }
    let groups = list["items"].as_array().cloned().unwrap_or_default();
    if groups.is_empty() {
        say("no dead letters");
    }
    for group in groups {
        let text = |name: &str| group[name].as_str().unwrap_or_default();
        let message = text("message").lines().next().unwrap_or_default();
        let count = group["count"].as_i64().unwrap_or(0);
        say(&format!(
            "{:<16}  {count:>8}  {:<11}  {}  {message}",
            text("fingerprint"),
            text("errorClass"),
            text("lastAt")
        ));
    }
    Ok(())
}

/// Makes dead letters due again and tells how many.
pub async fn retry(client: &Client, id: &str, what: &RetryWhat, as_json: bool) -> Result<(), Failure> {
    let request = client
        .request(Method::POST, &format!("/targets/{id}/deadletters/retry"))
        .json(&Value::Object(body(what)));
    let answer = client.send(request).await?;
    if as_json {
        say_json(&answer);
    } else {
        tell_warnings(&answer);
        say(&format!("{} dead letters are to be tried again", answer["count"]));
    }
    Ok(())
}

fn body(what: &RetryWhat) -> serde_json::Map<String, Value> {
    let conditions = [("fingerprint", &what.fingerprint), ("filter", &what.filter), ("since", &what.since)];
    let mut body: serde_json::Map<String, Value> = conditions
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| (name.to_owned(), json!(value))))
        .collect();
    if what.all {
        body.insert("all".into(), json!(true));
    }
    body
}
