//! A real SCIM server, `scim2-server` of the Python package index, as the
//! external system. `scripts/setup` installs it; `PROVISIOND_VENV` says where.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A running server with an empty memory; killed when dropped.
pub struct ScimServer {
    /// Base URL, without a slash at the end.
    pub url: String,
    /// `127.0.0.1:<port>`, as `egressAllow` wants it.
    pub address: String,
    /// The bearer token that it asks for.
    pub token: String,
    process: Child,
}

impl ScimServer {
    /// Starts one on a free port and waits until it answers.
    pub async fn start() -> Self {
        for _ in 0..5 {
            if let Some(server) = Self::try_start(free_address()).await {
                return server;
            }
        }
        panic!("scim2-server did not start on five free ports");
    }

    async fn try_start(address: SocketAddr) -> Option<Self> {
        // As random ones may begin.
        let token = format!("-{:016x}", rand::random::<u64>());
        let process = spawn(address, &token);
        let mut server =
            Self { url: format!("http://{address}"), address: address.to_string(), token, process };
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.process.try_wait().unwrap().is_none() {
            if server.try_get("/ServiceProviderConfig").await.is_ok() {
                return Some(server);
            }
            assert!(Instant::now() < deadline, "scim2-server does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }

    /// What it answers to a GET of `path`.
    pub async fn get(&self, path: &str) -> Value {
        self.try_get(path).await.unwrap()
    }

    /// Every user that it holds.
    pub async fn users(&self) -> Vec<Value> {
        let mut users = Vec::new();
        loop {
            let path = format!("/Users?startIndex={}&count=500", users.len() + 1);
            let mut page = self.get(&path).await;
            let total = page["totalResults"].as_u64().unwrap() as usize;
            match page.get_mut("Resources").map(Value::take) {
                Some(Value::Array(found)) if !found.is_empty() => users.extend(found),
                _ => return users,
            }
            if users.len() >= total {
                return users;
            }
        }
    }

    /// The user of that name.
    pub async fn user(&self, user_name: &str) -> Option<Value> {
        self.users().await.into_iter().find(|user| user["userName"] == user_name)
    }

    async fn try_get(&self, path: &str) -> Result<Value, reqwest::Error> {
        let request = client().get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        request.send().await?.error_for_status()?.json().await
    }
}

impl Drop for ScimServer {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Environment variables for a proxy are none of the loopback's business.
fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn spawn(address: SocketAddr, token: &str) -> Child {
    let program = virtual_environment().join("bin/scim2-server");
    let mut command = Command::new(&program);
    // In one piece: what begins with a dash would be taken for an option.
    command.args(["--hostname=127.0.0.1", &format!("--port={}", address.port())]);
    command.arg(format!("--bearer-token={token}"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0);
    let hint = "run `scripts/setup`, or set PROVISIOND_VENV to a virtual environment that has scim2-server";
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}; {hint}", program.display()))
}

/// The same rule as in `scripts/setup`.
fn virtual_environment() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").unwrap_or_default().join(".cache/provisiond");
    set("PROVISIOND_VENV").unwrap_or_else(|| set("PROVISIOND_CACHE").unwrap_or_else(home).join("venv"))
}
