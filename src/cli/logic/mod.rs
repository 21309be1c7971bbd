//! `provisiond logic …`: a file in a checkout becomes what runs.

mod canary;
mod draft;
mod publish;
mod read;
mod report;
mod show;

use reqwest::RequestBuilder;
use serde_json::Value;

use super::args::{LogicCommand, TargetName};
use super::client::{Client, Tagged};
use super::print::say_json;
use super::target::find;
use super::{Failure, trial};
pub use report::name_file;

/// Runs a logic command.
pub async fn run(command: LogicCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        LogicCommand::Show(name) => show::show(&name, as_json).await,
        LogicCommand::Versions(name) => show::versions(&name, as_json).await,
        LogicCommand::Put { name, file, dependencies } => {
            draft::put(&name, &file, dependencies.as_deref(), as_json).await
        }
        LogicCommand::Validate { name, update } => draft::validate(&name, update, as_json).await,
        LogicCommand::Test(test) => trial::test(test, as_json).await,
        LogicCommand::Publish(publish) => publish::publish(publish, as_json).await,
        LogicCommand::Rollback { name, number, note, force } => {
            publish::roll_back(&name, number, note, &force, as_json).await
        }
        LogicCommand::Canary(command) => canary::run(command, as_json).await,
        LogicCommand::Diff { name, from, to } => read::diff(&name, &from, &to, as_json).await,
        LogicCommand::Get { name, which, bundle } => read::get(&name, &which, bundle, as_json).await,
        LogicCommand::Types { remote } => read::types(&remote).await,
    }
}

/// Sends what an author may have to mend: what is wrong is shown with its place
/// in `file`, or as it is with `--json`.
pub async fn submit(
    client: &Client,
    request: RequestBuilder,
    file: Option<&str>,
    as_json: bool,
) -> Result<Value, Failure> {
    Ok(submit_tagged(client, request, file, as_json).await?.body)
}

/// The same with the entity tag.
async fn submit_tagged(
    client: &Client,
    request: RequestBuilder,
    file: Option<&str>,
    as_json: bool,
) -> Result<Tagged, Failure> {
    let refusal = match client.try_send_tagged(request).await? {
        Ok(answer) => return Ok(answer),
        Err(refusal) => refusal,
    };
    if as_json {
        say_json(&refusal.problem);
        return Err(refusal.into());
    }
    if refusal.is_outdated() {
        let sentence = "somebody else saved a draft meanwhile: nothing was changed\n\
                        hint: `provisiond logic show` says who, `provisiond logic diff` shows it";
        return Err(Failure::Conflict(sentence.into()));
    }
    Err(report::tell_problem(&refusal.problem, file).unwrap_or_else(|| refusal.into()))
}

/// The daemon, the id of a target, and what the API says of its logic.
async fn logic_of(name: &TargetName) -> Result<(Client, String, Value), Failure> {
    let (client, id) = find(name).await?;
    let logic = client.get(&format!("/targets/{id}/logic")).await?;
    Ok((client, id, logic))
}

/// `alice (token 7)`: a name may have been given to others since.
fn by_whom(what: &Value, name: &str) -> String {
    let by = what[name].as_str().unwrap_or_default();
    let token = what[format!("{name}TokenId")].as_str().map(|id| format!("token {id}"));
    let from = what[format!("{name}Address")].as_str().map(|address| format!("from {address}"));
    let more: Vec<_> = token.into_iter().chain(from).collect();
    if more.is_empty() { by.to_owned() } else { format!("{by} ({})", more.join(", ")) }
}

/// A time without fractions of a second.
fn time(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text.to_owned(),
    }
}

/// `1 account`, `1,200 accounts`.
fn accounts(count: &Value) -> String {
    match count.as_u64().unwrap_or(0) {
        1 => "1 account".into(),
        count => format!("{} accounts", indicatif::HumanCount(count)),
    }
}
