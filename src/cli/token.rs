//! `provisiond token …`

use reqwest::Method;
use serde_json::Value;

use super::Failure;
use super::args::TokenCommand;
use super::client::{Client, block_on};
use super::exit::say;
use crate::app;

/// Runs a token command.
pub fn run(command: TokenCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { role, name, place } => {
            let token = app::create_token(&place.config()?, role, &name)?;
            say(token.expose());
            Ok(())
        }
        TokenCommand::List { remote } => block_on(async {
            let list = Client::new(&remote)?.get("/tokens").await?;
            if as_json {
                say(&list.to_string());
            } else {
                list["items"].as_array().into_iter().flatten().for_each(tell);
            }
            Ok(())
        }),
        TokenCommand::Revoke { id, remote } => block_on(async {
            let client = Client::new(&remote)?;
            client.send(client.request(Method::DELETE, &format!("/tokens/{id}"))).await?;
            say(&format!("revoked token {id}"));
            Ok(())
        }),
    }
}

fn tell(token: &Value) {
    let text = |name: &str| token[name].as_str().unwrap_or("never").to_owned();
    say(&format!(
        "{:>6}  {:<12}  {:<24}  made {}  last used {}",
        text("id"),
        text("role"),
        text("name"),
        text("createdAt"),
        text("lastUsedAt")
    ));
}
