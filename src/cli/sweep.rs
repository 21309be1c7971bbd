//! Following a sweep to its end, and cancelling one.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::Failure;
use super::client::Client;
use super::import::percent;
use super::print::{say, say_json};
use super::wait::standstill;

/// How often a sweep is looked at. Its rows in the queue are counted each time.
const LOOK: Duration = Duration::from_millis(500);

/// Shows a bar with rate and time to go until a sweep is done. Ctrl-C leaves
/// the sweep to the daemon.
pub async fn follow(client: &Client, begun: &Value, target: &str) -> Result<(), Failure> {
    let id = begun["id"].as_str().unwrap_or_default();
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or(ProgressStyle::default_bar()));
    let left = tokio::select! {
        ended = until_done(client, id, &bar) => {
            bar.finish_and_clear();
            return ended;
        }
        _ = tokio::signal::ctrl_c() => bar.length().unwrap_or(0).saturating_sub(bar.position()),
    };
    bar.abandon();
    Err(Failure::Failed(format!(
        "interrupted; the daemon goes on with the {left} accounts that are left\n\
         hint: `provisiond target cancel {target}` takes them out of the queue"
    )))
}

async fn until_done(client: &Client, id: &str, bar: &ProgressBar) -> Result<(), Failure> {
    loop {
        let sweep = client.get(&format!("/sweeps/{id}")).await?;
        show(bar, &sweep);
        let count = |name: &str| sweep[name].as_u64().unwrap_or(0);
        match sweep["state"].as_str().unwrap_or_default() {
            "finished" => return Ok(()),
            "cancelled" | "cancelling" => {
                let message = format!("the sweep was cancelled with {} accounts done", count("done"));
                return Err(Failure::Conflict(message));
            }
            "paused" | "pausing" => {
                let message = format!("the sweep is paused with {} accounts to go", count("remaining"));
                return Err(Failure::Conflict(message));
            }
            _ => {}
        }
        let target = sweep["targetId"].as_str().unwrap_or_default();
        if let Some(why) = standstill(&client.get(&format!("/targets/{target}")).await?) {
            let message = format!("the target is {why} with {} accounts to go", count("remaining"));
            return Err(Failure::Conflict(message));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Moves the bar to where the sweep is.
fn show(bar: &ProgressBar, sweep: &Value) {
    let count = |name: &str| sweep[name].as_u64().unwrap_or(0);
    bar.set_length(count("done") + count("remaining"));
    bar.set_position(count("done"));
    bar.set_message(pace(sweep));
}

/// `850/s, 3m 20s left`.
fn pace(sweep: &Value) -> String {
    let Some(rate) = sweep["perSecond"].as_f64() else { return String::new() };
    match sweep["etaSeconds"].as_f64() {
        Some(eta) => format!("{rate:.0}/s, {} left", duration(eta)),
        None => format!("{rate:.0}/s"),
    }
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, _) => format!("{hours}h {minutes}m"),
    }
}

/// Cancels a sweep of a target: the one named, or the newest that is not done.
pub async fn cancel(
    client: &Client,
    target: &str,
    sweep: Option<String>,
    as_json: bool,
) -> Result<(), Failure> {
    let id = match sweep {
        Some(id) => id,
        None => newest(client, target).await?,
    };
    let sweep = client.post(&format!("/sweeps/{}/cancel", percent(&id))).await?;
    if as_json {
        say_json(&sweep);
        return Ok(());
    }
    let (kind, done) = (sweep["kind"].as_str().unwrap_or_default(), &sweep["done"]);
    say(&format!("cancelled sweep {id} ({kind}): {done} done, {} taken out of the queue", sweep["removed"]));
    Ok(())
}

async fn newest(client: &Client, target: &str) -> Result<String, Failure> {
    let list = client.get(&format!("/targets/{target}/sweeps")).await?;
    let going_on = |sweep: &&Value| !matches!(sweep["state"].as_str(), Some("finished" | "cancelled") | None);
    let found = list["items"].as_array().into_iter().flatten().find(going_on);
    found
        .and_then(|sweep| sweep["id"].as_str().map(str::to_owned))
        .ok_or_else(|| Failure::Failed("the target has no sweep under way".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_how_far_the_sweep_is() {
        let bar = ProgressBar::hidden();
        let sweep = serde_json::json!({ "done": 30, "remaining": 90, "perSecond": 10.0, "etaSeconds": 9.0 });
        show(&bar, &sweep);
        assert_eq!((bar.position(), bar.length(), bar.message()), (30, Some(120), "10/s, 9s left".into()));
    }

    #[test]
    fn times_to_go_are_short() {
        assert_eq!([duration(0.2), duration(200.0), duration(7_300.0)], ["1s", "3m 20s", "2h 1m"]);
        assert_eq!(
            pace(&serde_json::json!({ "perSecond": 850.4, "etaSeconds": 200.0 })),
            "850/s, 3m 20s left"
        );
        assert_eq!(pace(&serde_json::json!({ "perSecond": null })), "");
    }
}
