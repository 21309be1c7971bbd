//! `provisiond account`

use reqwest::Method;
use serde_json::{Value, json};

use super::Failure;
use super::args::AccountCommand;
use super::client::Client;
use super::import::percent;
use super::print::{say, say_json};

/// Lists accounts, or restores one.
pub async fn run(command: AccountCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        AccountCommand::List { store, deleted, filter, limit, remote } => {
            let client = Client::new(&remote)?;
            let wanted = Wanted { store, deleted, filter, limit };
            let accounts = wanted.list(&client).await?;
            if as_json {
                say_json(&json!({ "items": accounts }));
            } else {
                accounts.iter().for_each(|account| say(&line(account)));
            }
        }
        AccountCommand::Restore { id, remote } => {
            let client = Client::new(&remote)?;
            let account = client.post(&format!("/subjects/{}/restore", percent(&id))).await?;
            if as_json {
                say_json(&account);
            } else {
                say(&format!("restored {}", line(&account)));
            }
        }
    }
    Ok(())
}

struct Wanted {
    store: String,
    deleted: bool,
    filter: Option<String>,
    limit: u32,
}

impl Wanted {
    /// Page after page, at most as many as wanted.
    async fn list(&self, client: &Client) -> Result<Vec<Value>, Failure> {
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut accounts: Vec<Value> = Vec::new();
        let mut cursor = None;
        while accounts.len() < most {
            let path = self.path(cursor.as_deref(), (most - accounts.len()).min(500));
            let page = client.send(client.request(Method::GET, &path)).await?;
            accounts.extend(page["items"].as_array().cloned().unwrap_or_default());
            cursor = page["next"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        Ok(accounts)
    }

    fn path(&self, cursor: Option<&str>, limit: usize) -> String {
        let mut parameters = url::form_urlencoded::Serializer::new(String::new());
        parameters.append_pair("limit", &limit.to_string());
        if self.deleted {
            parameters.append_pair("deleted", "only");
        }
        if let Some(filter) = &self.filter {
            parameters.append_pair("filter", filter);
        }
        if let Some(cursor) = cursor {
            parameters.append_pair("cursor", cursor);
        }
        format!("/stores/{}/accounts?{}", percent(&self.store), parameters.finish())
    }
}

fn line(account: &Value) -> String {
    let text = |name: &str| account[name].as_str().unwrap_or("-").to_owned();
    let deleted = account["deletedAt"].as_str().map_or(String::new(), |at| format!(" deleted {at}"));
    format!(
        "{:>8} {:<24} {:<20} {}{deleted}",
        text("id"),
        text("userName"),
        text("externalId"),
        text("status")
    )
}
