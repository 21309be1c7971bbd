//! Accounts, as a person's record looks.

use std::time::Instant;

use reqwest::{Body, Method};
use serde_json::{Value, json};

use crate::daemon::Daemon;

/// Lines of one chunk of the stream.
const CHUNK: usize = 500;

const DEPARTMENTS: [&str; 4] = ["Physics", "Chemistry", "Library", "Computing"];

/// The account of a number, from 0.
pub fn account(number: usize) -> Value {
    json!({
        "userName": format!("user{number:07}"),
        "externalId": format!("e-{number}"),
        "displayName": format!("Given{number} Family{number}"),
        "attributes": {
            "givenName": format!("Given{number}"),
            "familyName": format!("Family{number}"),
            "email": format!("user{number:07}@example.org"),
            "phone": format!("+49 30 {number:07}"),
            "department": DEPARTMENTS[number % DEPARTMENTS.len()],
            "title": "Research associate",
            "affiliation": ["staff", "member"],
            "locale": "en",
            "marker": 0,
        },
    })
}

/// Imports so many accounts; returns how many a second.
pub async fn import(daemon: &Daemon, store: &str, count: usize) -> f64 {
    import_from(daemon, store, 0, count).await
}

/// The same, with numbers from `start` on.
pub async fn import_from(daemon: &Daemon, store: &str, start: usize, count: usize) -> f64 {
    let begin = Instant::now();
    let chunk = move |first: usize| {
        let end = (start + count).min(first + CHUNK);
        Ok::<String, std::io::Error>((first..end).map(|number| format!("{}\n", account(number))).collect())
    };
    let stream = futures_util::stream::iter((start..start + count).step_by(CHUNK).map(chunk));
    let answer = daemon
        .request(Method::POST, &format!("/stores/{store}/import"))
        .header("content-type", "application/x-ndjson")
        .body(Body::wrap_stream(stream))
        .send()
        .await
        .unwrap();
    let text = answer.text().await.unwrap();
    let summary: Value = serde_json::from_str(&text).expect(&text);
    assert_eq!(summary["created"], count, "{text}");
    count as f64 / begin.elapsed().as_secs_f64()
}

/// The ids of the first accounts of a store.
pub async fn ids(daemon: &Daemon, store: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    while ids.len() < count {
        let page = daemon.get(&format!("/stores/{store}/accounts?limit=500{cursor}")).await;
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    ids.truncate(count);
    ids
}
