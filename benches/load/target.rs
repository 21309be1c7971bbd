//! Targets of the bench: a mapping and a POST.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::sink::Sink;

const LOGIC: &str = r#"
export default async function (ctx) {
  const { account, target } = ctx;
  const a = account.attributes;
  const user = {
    userName: account.userName,
    externalId: account.id,
    name: { givenName: a.givenName, familyName: a.familyName, formatted: account.displayName },
    emails: [{ value: a.email, primary: true, type: "work" }],
    phoneNumbers: a.phone ? [{ value: a.phone, type: "work" }] : [],
    title: a.title,
    userType: a.affiliation.includes("staff") ? "Employee" : "Guest",
    active: account.status === "active",
    marker: a.marker,
  };
  const response = await fetch(target.config.url + "/users", {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": ctx.idempotencyKey },
    body: JSON.stringify(user),
  });
  if (!response.ok) throw new Error(`the sink answered ${response.status}`);
  const { id } = await response.json();
  return { status: "provisioned", remoteId: id };
}
"#;

/// A target of the daemon.
pub struct Target {
    pub id: String,
}

impl Target {
    /// An enabled one. With `mode` `manual` it has no work until it is forced.
    pub async fn make(
        daemon: &Daemon,
        store: &str,
        name: &str,
        mode: &str,
        parallel: usize,
        sink: &Sink,
    ) -> Self {
        let settings = json!({
            "name": name,
            "mode": mode,
            "maxParallelJobs": parallel.min(100),
            "egressAllow": [sink.address],
            "config": { "url": format!("http://{}", sink.address) },
        });
        let made = daemon.post(&format!("/stores/{store}/targets"), settings).await;
        let id = made["id"].as_str().unwrap().to_owned();
        daemon.call(Method::PUT, &format!("/targets/{id}/logic"), Some(json!({ "code": LOGIC }))).await;
        daemon.post(&format!("/targets/{id}/logic/publish"), json!({})).await;
        daemon.call(Method::PATCH, &format!("/targets/{id}"), Some(json!({ "enabled": true }))).await;
        Self { id }
    }

    pub async fn force(&self, daemon: &Daemon) {
        daemon.post(&format!("/targets/{}/force", self.id), json!({})).await;
    }

    pub async fn status(&self, daemon: &Daemon) -> Value {
        daemon.get(&format!("/targets/{}/status", self.id)).await
    }

    /// Waits until nothing is due and no sweep is open.
    pub async fn until_idle(&self, daemon: &Daemon) {
        let deadline = Instant::now() + Duration::from_secs(600);
        loop {
            let status = self.status(daemon).await;
            let swept = status["sweep"].is_null() || !status["sweep"]["finishedAt"].is_null();
            if status["backlog"] == 0 && status["running"] == 0 && swept {
                return;
            }
            assert!(Instant::now() < deadline, "the target is not idle: {status}\n{}", daemon.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until it is served by the daemon.
    pub async fn until_served(&self, daemon: &Daemon) {
        while self.status(daemon).await["engine"].is_null() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
