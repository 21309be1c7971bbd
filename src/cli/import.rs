//! `provisiond import`

use std::time::Duration;

use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Failure;
use super::args::Import;
use super::client::Client;
use super::print::{say, say_json};

const PIECE: usize = 64 * 1024;

/// Streams the file to the daemon and tells what became of it.
pub async fn run(import: Import, as_json: bool) -> Result<(), Failure> {
    let client = Client::new(&import.remote)?;
    let (source, bar) = open(&import).await?;
    if import.create_store {
        create_store(&client, &import.store).await?;
    }
    let path = format!("/stores/{}/import?{}", percent(&import.store), parameters(&import));
    let body = Body::wrap_stream(pieces(source, bar.clone()));
    let request =
        client.request(Method::POST, &path).header("content-type", "application/x-ndjson").body(body);
    let answer = client.try_send(request).await;
    bar.finish_and_clear();
    let (report, refusal) = match answer? {
        Ok(report) => (report, None),
        // What was imported before the deletions were refused.
        Err(refusal) if refusal.problem["import"].is_object() => {
            (refusal.problem["import"].clone(), Some(refusal))
        }
        Err(refusal) => return Err(refusal.into()),
    };
    if as_json {
        say_json(&report);
    } else {
        tell(&report);
    }
    if let Some(refusal) = refusal {
        return Err(refusal.into());
    }
    match report["failed"].as_u64() {
        Some(0) | None => Ok(()),
        Some(failed) => Err(Failure::Failed(format!("{failed} lines were not imported"))),
    }
}

fn parameters(import: &Import) -> String {
    let mut parameters = url::form_urlencoded::Serializer::new(String::new());
    parameters.append_pair("deleteMissing", &import.delete_missing.to_string());
    parameters.append_pair("confirmDeletions", &import.confirm_deletions.to_string());
    for line in &import.set_aside_line {
        parameters.append_pair("setAsideLine", &line.to_string());
    }
    for key in &import.set_aside_key {
        parameters.append_pair("setAsideKey", key);
    }
    parameters.finish()
}

async fn open(import: &Import) -> Result<(Box<dyn AsyncRead + Send + Unpin>, ProgressBar), Failure> {
    let style =
        |template: &str| ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    if import.file.as_os_str() == "-" {
        let bar =
            ProgressBar::new_spinner().with_style(style("{spinner} {bytes} sent, {binary_bytes_per_sec}"));
        return Ok((Box::new(tokio::io::stdin()), bar));
    }
    let fail = |error| Failure::Usage(format!("cannot read `{}`: {error}", import.file.display()));
    let file = tokio::fs::File::open(&import.file).await.map_err(fail)?;
    let size = file.metadata().await.map_err(fail)?.len();
    let bar = ProgressBar::new(size)
        .with_style(style("{wide_bar} {percent}% {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left"));
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok((Box::new(file), bar))
}

fn pieces(
    source: Box<dyn AsyncRead + Send + Unpin>,
    bar: ProgressBar,
) -> impl futures_util::Stream<Item = std::io::Result<Vec<u8>>> + Send {
    futures_util::stream::unfold(source, |mut source| async move {
        let mut piece = vec![0; PIECE];
        match source.read(&mut piece).await {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some((Ok(piece), source))
            }
            Err(error) => Some((Err(error), source)),
        }
    })
    .inspect(move |piece| bar.inc(piece.as_ref().map_or(0, |piece| piece.len() as u64)))
}

async fn create_store(client: &Client, name: &str) -> Result<(), Failure> {
    let made = client.send(client.request(Method::POST, "/stores").json(&json!({ "name": name }))).await;
    match made {
        Ok(_) | Err(Failure::Conflict(_)) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Percent-encodes a path segment, or a value in a query.
pub fn percent(segment: &str) -> String {
    // A segment of dots would lead elsewhere, also when they are encoded.
    if matches!(segment, "." | "..") {
        return segment.replace('.', "%252e");
    }
    url::form_urlencoded::byte_serialize(segment.as_bytes()).collect::<String>().replace('+', "%20")
}

fn tell(report: &Value) {
    let count = |name: &str| report[name].as_u64().unwrap_or(0);
    let told = ["created", "updated", "restored", "unchanged", "deleted", "failed", "setAside"];
    let told = told.into_iter().filter(|name| count(name) > 0 || !["restored", "setAside"].contains(name));
    let told: Vec<String> = told.map(|name| format!("{} {}", count(name), word(name))).collect();
    say(&format!("{} lines: {}", count("lines"), told.join(", ")));
    let errors = report["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    for error in errors.iter().take(20) {
        let reason = error["reason"].as_str().unwrap_or_default();
        match error["field"].as_str() {
            Some(field) => say(&format!("  line {}: `{field}` {reason}", error["line"])),
            None => say(&format!("  line {}: {reason}", error["line"])),
        }
    }
    let bad = count("failed") + count("setAside");
    if bad > 20 {
        say(&format!("  … and {} more; `--json` shows up to 1,000", bad - 20));
    }
}

fn word(name: &str) -> &str {
    if name == "setAside" { "set aside" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_stays_one() {
        for (segment, encoded) in [
            ("crm 1", "crm%201"),
            ("a/../b?c#d", "a%2F..%2Fb%3Fc%23d"),
            ("..", "%252e%252e"),
            (".", "%252e"),
            ("Zoë+", "Zo%C3%AB%2B"),
        ] {
            assert_eq!(percent(segment), encoded);
            let url = format!("http://localhost/stores/{encoded}/import");
            let path = url::Url::parse(&url).unwrap().path().to_owned();
            assert_eq!(path, format!("/stores/{encoded}/import"));
        }
    }
}
