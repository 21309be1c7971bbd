//! `provisiond run …`

use serde_json::Value;

use super::args::{RunCommand, TargetName};
use super::client::Client;
use super::import::percent;
use super::print::{say, say_json};
use super::target::find;
use super::trial_report::tell_logged;
use super::{Failure, trial};

/// Runs a run command.
pub async fn run(command: RunCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        RunCommand::List { name, account, failed, limit } => {
            list(&name, account.as_deref(), failed, limit, as_json).await
        }
        RunCommand::Show { run, remote } => {
            let run = Client::new(&remote)?.get(&format!("/runs/{}", percent(&run))).await?;
            if as_json {
                say_json(&run);
            } else {
                tell_whole(&run);
            }
            Ok(())
        }
        RunCommand::Replay(replay) => trial::replay(replay, as_json).await,
    }
}

async fn list(
    name: &TargetName,
    account: Option<&str>,
    failed: bool,
    limit: u32,
    as_json: bool,
) -> Result<(), Failure> {
    let (client, id) = find(name).await?;
    let mut path = format!("/targets/{id}/runs?limit={limit}");
    if let Some(account) = account {
        path += &format!("&account={}", percent(&trial::account_id(&client, &id, account).await?));
    }
    if failed {
        path += "&status=provisionFailed";
    }
    let page = client.get(&path).await?;
    if as_json {
        say_json(&page["items"]);
        return Ok(());
    }
    let runs = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if runs.is_empty() {
        say("no runs");
    }
    runs.iter().for_each(tell);
    Ok(())
}

fn tell(run: &Value) {
    let text = |name: &str| run[name].as_str().unwrap_or_default();
    let line = format!(
        "{:>8}  {}  {:<18}  {:<11}  {:<13}  account {:<8}  {}",
        text("id"),
        text("startedAt"),
        text("status"),
        text("reason"),
        text("trigger"),
        text("subjectId"),
        text("message").lines().next().unwrap_or_default()
    );
    say(line.trim_end());
}

fn tell_whole(run: &Value) {
    tell_logged(run);
    if run["replayable"] == true {
        say(&format!(
            "`provisiond run replay {}` runs it again, offline",
            run["id"].as_str().unwrap_or_default()
        ));
    }
}
