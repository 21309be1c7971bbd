//! `provisiond token …`

use chrono::{SecondsFormat, Utc};
use reqwest::Method;
use serde_json::Value;

use super::Failure;
use super::args::TokenCommand;
use super::client::{Client, block_on};
use super::import::percent;
use super::print::{note, say, say_json};
use crate::app;

/// Runs a token command.
pub fn run(command: TokenCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { role, name, expires, place } => {
            let end = expires.at(Utc::now())?;
            let token = app::create_token(&place.config()?, role, name, end)?;
            say(token.expose());
            note(&match end {
                Some(end) => format!("works until {}", end.to_rfc3339_opts(SecondsFormat::Secs, true)),
                None => "works until it is revoked".to_owned(),
            });
            Ok(())
        }
        TokenCommand::List { remote } => block_on(async {
            let list = Client::new(&remote)?.get("/tokens").await?;
            if as_json {
                say_json(&list);
            } else {
                list["items"].as_array().into_iter().flatten().for_each(tell);
            }
            Ok(())
        }),
        TokenCommand::Revoke { id, remote } => block_on(async {
            let client = Client::new(&remote)?;
            client.send(client.request(Method::DELETE, &format!("/tokens/{}", percent(&id)))).await?;
            say(&format!("revoked token {id}"));
            Ok(())
        }),
    }
}

fn tell(token: &Value) {
    let text = |name: &str| token[name].as_str().unwrap_or("never").to_owned();
    let end = match token["revokedAt"].as_str() {
        Some(at) => format!("revoked {at}"),
        None => format!("expires {}", text("expiresAt")),
    };
    say(&format!(
        "{:>6}  {:<12}  {:<24}  made {}  last used {}  {end}",
        text("id"),
        text("role"),
        text("name"),
        text("createdAt"),
        text("lastUsedAt")
    ));
}
