//! The daemon as a person runs it, and its REST API.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use provisiond::storage::embedded::EmbeddedPostgres;
use reqwest::Method;
use serde_json::Value;

/// A running daemon; its embedded database ends with it.
pub struct Daemon {
    pub url: String,
    pub client: reqwest::Client,
    token: String,
    data_dir: PathBuf,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Daemon {
    /// On an empty data directory.
    pub async fn start() -> Self {
        // Where the user of the embedded PostgreSQL can enter.
        let directory = tempfile::Builder::new().prefix("provisiond-bench").tempdir_in("/tmp").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(directory.path(), mode).unwrap();
        let data_dir = directory.path().join("data");
        let process = spawn(&data_dir);
        let client =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3_600)).build().unwrap();
        let (url, token) = (String::new(), String::new());
        let mut daemon = Self { url, client, token, data_dir, process, _directory: directory };
        daemon.until_ready().await;
        daemon.token =
            std::fs::read_to_string(daemon.data_dir.join("initial-token")).unwrap().trim().to_owned();
        daemon
    }

    pub async fn until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(url) = std::fs::read_to_string(self.data_dir.join("address")) {
                self.url = url.trim().to_owned();
                let ready = self.client.get(format!("{}/readyz", self.url)).send().await;
                if ready.is_ok_and(|answer| answer.status() == 200) {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "the daemon is not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.data_dir)).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again; it is not ready yet.
    pub fn spawn_again(&mut self) {
        std::fs::remove_file(self.data_dir.join("address")).ok();
        self.process = spawn(&self.data_dir);
    }

    /// How to connect to its database.
    pub fn database(&self) -> String {
        std::env::var("DATABASE_URL")
            .unwrap_or_else(|_| EmbeddedPostgres::attach(&self.data_dir).unwrap().expect("it runs"))
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(&self.token)
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        self.process.wait().ok();
        if std::env::var_os("BENCH_SHOW_LOG").is_some() {
            eprintln!("{}", self.log());
        }
    }
}

fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("log")
}

fn spawn(data_dir: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(log_path(data_dir)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_provisiond"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}
