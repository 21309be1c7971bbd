//! The daemon as a person runs it: the built binary, its REST API, its files.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::db::TestDb;

/// A running daemon on a database of its own; killed when dropped.
pub struct TestApp {
    /// Base URL without a slash at the end.
    pub url: String,
    /// The owner's token.
    pub token: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Its database, absent with the embedded one.
    pub db: Option<TestDb>,
    environment: Vec<(String, String)>,
    process: Child,
    client: reqwest::Client,
    _directory: tempfile::TempDir,
}

/// Status and body of an answer.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub body: Value,
    pub headers: reqwest::header::HeaderMap,
}

impl Answered {
    /// The body, if the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }
}

/// A target made by a test.
pub struct TestTarget {
    pub id: String,
    pub name: String,
}

/// How long a test waits for what should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(40);

impl TestApp {
    /// A daemon on a database of its own.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with environment variables, such as
    /// `PROVISIOND_ENGINE_RUN_AGAIN_FLOOR`.
    pub async fn start_with(environment: &[(&str, &str)]) -> Self {
        let db = TestDb::new().await;
        let mut all = vec![("DATABASE_URL".to_owned(), db.url.clone())];
        all.extend(environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Self::launch(Some(db), all).await
    }

    /// A daemon on its embedded PostgreSQL.
    pub async fn start_embedded() -> Self {
        Self::launch(None, Vec::new()).await
    }

    /// A second node on the same database, with a data directory of its own.
    pub async fn start_beside(&self) -> Self {
        let mut other = Self::launch(None, self.environment.clone()).await;
        other.token = self.token.clone();
        other
    }

    async fn launch(db: Option<TestDb>, environment: Vec<(String, String)>) -> Self {
        // Below /tmp, so that the user of the embedded PostgreSQL can enter it.
        let directory = tempfile::Builder::new().prefix("provisiond-test").tempdir_in("/tmp").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), mode).unwrap();
        let data_dir = directory.path().join("data");
        let process = spawn(&data_dir, &environment);
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE * 2)
            .pool_idle_timeout(Duration::from_secs(2))
            .build()
            .unwrap();
        let (url, token) = (String::new(), String::new());
        let mut app = Self { url, token, data_dir, db, environment, process, client, _directory: directory };
        app.wait_until_ready().await;
        // Only the first node on a database makes one.
        let token = std::fs::read_to_string(app.data_dir.join("initial-token"));
        app.token = token.unwrap_or_default().trim().to_owned();
        app
    }

    async fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", self.log());
            }
            if let Ok(url) = std::fs::read_to_string(self.data_dir.join("address")) {
                self.url = url.trim().to_owned();
                let ready = self.client.get(format!("{}/readyz", self.url)).send().await;
                if ready.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "the daemon is not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the daemon logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.data_dir)).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM; returns whether it ended well.
    pub fn terminate(&mut self) -> bool {
        let pid = nix::unistd::Pid::from_raw(self.process.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.process.wait().unwrap().success()
    }

    /// Starts it again on the same data.
    pub async fn restart(&mut self) {
        std::fs::remove_file(self.data_dir.join("address")).ok();
        self.process = spawn(&self.data_dir, &self.environment);
        self.wait_until_ready().await;
    }

    /// A command against this daemon: how it ended, and what it said.
    pub fn cli(&self, arguments: &[&str]) -> (i32, String) {
        self.cli_as(&self.token, arguments)
    }

    /// The same with another token.
    pub fn cli_as(&self, token: &str, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).env("PROVISIOND_TOKEN", token).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    /// A command that finds this daemon and its database, and has no token.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provisiond"));
        command.args(arguments).stdin(Stdio::null()).envs(self.environment.iter().cloned());
        command.env_remove("PROVISIOND_TOKEN_FILE").env_remove("PROVISIOND_TOKEN");
        command.env("PROVISIOND_URL", &self.url);
        command
    }

    /// Another token; returns its text.
    pub async fn another_token(&self, name: &str, role: &str) -> String {
        let made = self.post("/tokens", json!({ "name": name, "role": role })).await.expect(201);
        made["token"].as_str().unwrap().to_owned()
    }

    /// Any request below `/api/v1`.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answered {
        self.try_call(method, path, body).await.unwrap()
    }

    /// The same, for a daemon that may be dying.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Answered> {
        self.send(method, path, body, &[]).await
    }

    /// The same about the version that an entity tag names.
    pub async fn call_if_match(&self, method: Method, path: &str, body: Value, tag: &str) -> Answered {
        self.send(method, path, Some(body), &[("if-match", tag)]).await.unwrap()
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Answered> {
        let mut request =
            self.client.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answered { status, body, headers })
    }

    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await.expect(200)
    }

    pub async fn post(&self, path: &str, body: Value) -> Answered {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answered {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answered {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answered {
        self.call(Method::DELETE, path, None).await
    }

    /// A store; returns its id.
    pub async fn store(&self, name: &str) -> String {
        id_of(&self.post("/stores", json!({ "name": name })).await.expect(201))
    }

    /// An account with attributes; returns its id.
    pub async fn account(&self, store: &str, user_name: &str, attributes: Value) -> String {
        let body = json!({ "userName": user_name, "attributes": attributes });
        id_of(&self.post(&format!("/stores/{store}/accounts"), body).await.expect(201))
    }

    /// Imports JSON lines, with a query such as `?deleteMissing=true`; returns
    /// the report.
    pub async fn import(&self, store: &str, query: &str, lines: String) -> Value {
        let url = format!("{}/api/v1/stores/{store}/import{query}", self.url);
        let request = self.client.post(url).bearer_auth(&self.token);
        let sent = request.header("content-type", "application/x-ndjson").body(lines).send();
        let answer = sent.await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Changes attributes of an account.
    pub async fn set(&self, account: &str, attributes: Value) {
        self.patch(&format!("/accounts/{account}"), json!({ "attributes": attributes })).await.expect(200);
    }

    /// A target without logic in a store of its own; returns its id.
    pub async fn bare_target(&self) -> String {
        self.store("people").await;
        id_of(&self.post("/stores/people/targets", json!({ "name": "crm" })).await.expect(201))
    }

    /// A target with published logic, not enabled.
    pub async fn disabled_target(&self, store: &str, settings: Value, code: &str) -> TestTarget {
        let name = settings["name"].as_str().unwrap().to_owned();
        let made = self.post(&format!("/stores/{store}/targets"), settings).await.expect(201);
        let id = id_of(&made);
        self.put(&format!("/targets/{id}/logic"), json!({ "code": code })).await.expect(200);
        self.post(&format!("/targets/{id}/logic/publish"), json!({})).await.expect(200);
        TestTarget { id, name }
    }

    /// A target with published logic, enabled.
    pub async fn target(&self, store: &str, settings: Value, code: &str) -> TestTarget {
        let target = self.disabled_target(store, settings, code).await;
        self.enable(&target).await;
        target
    }

    pub async fn enable(&self, target: &TestTarget) {
        self.patch(&format!("/targets/{}", target.id), json!({ "enabled": true })).await.expect(200);
    }

    /// How an account stands at a target.
    pub async fn provision(&self, account: &str, target: &TestTarget) -> Value {
        let list = self.get(&format!("/accounts/{account}/provisions")).await;
        let items = list["items"].as_array().unwrap();
        items.iter().find(|item| item["targetId"] == target.id.as_str()).unwrap().clone()
    }

    /// Waits until an account has a status at a target.
    pub async fn until_status(&self, account: &str, target: &TestTarget, status: &str) -> Value {
        self.until(format!("{account} to be {status}"), async || {
            let provision = self.provision(account, target).await;
            if provision["status"] == status { Ok(provision) } else { Err(provision) }
        })
        .await
    }

    /// The runs of a target about an account, oldest first.
    pub async fn runs(&self, target: &TestTarget, account: &str) -> Vec<Value> {
        let path = format!("/targets/{}/runs?account={account}&limit=500", target.id);
        let mut runs = self.get(&path).await["items"].as_array().unwrap().clone();
        runs.reverse();
        runs
    }

    /// Waits until an account has had so many runs at a target.
    pub async fn until_runs(&self, target: &TestTarget, account: &str, count: usize) -> Vec<Value> {
        self.until(format!("{count} runs of {account}"), async || {
            let runs = self.runs(target, account).await;
            if runs.len() >= count { Ok(runs) } else { Err(json!(runs)) }
        })
        .await
    }

    /// Waits until a target has nothing due.
    pub async fn until_idle(&self, target: &TestTarget) -> Value {
        self.until(format!("target {} to be idle", target.name), async || {
            let status = self.get(&format!("/targets/{}/status", target.id)).await;
            let swept = status["sweep"].is_null() || !status["sweep"]["finishedAt"].is_null();
            if status["backlog"] == 0 && swept { Ok(status) } else { Err(status) }
        })
        .await
    }

    /// Tries until `probe` gives something; shows its last failure otherwise.
    pub async fn until<T>(&self, what: String, probe: impl AsyncFn() -> Result<T, Value>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match probe().await {
                Ok(found) => return found,
                Err(last) if Instant::now() > deadline => {
                    panic!("waited in vain for {what}: {last:#}\n{}", self.log())
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if self.environment.iter().any(|(name, _)| name == "DATABASE_URL") {
            self.process.kill().ok();
        } else {
            // With the embedded database, which only an orderly end stops.
            self.terminate();
        }
        self.process.wait().ok();
    }
}

pub fn id_of(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

fn log_path(data_dir: &std::path::Path) -> PathBuf {
    data_dir.with_extension("log")
}

fn spawn(data_dir: &std::path::Path, environment: &[(String, String)]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(log_path(data_dir)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_provisiond"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("RUST_LOG", "info,provisiond=debug")
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}
