//! A database for each test.
//!
//! One PostgreSQL serves all tests of a checkout, also when every test is a
//! process of its own; `postgres.sh` beside this file runs it and ends it when
//! nobody needs it any more. The schema is migrated once into a template that
//! each test's database is a copy of. `TEST_DATABASE_URL` names another server
//! to use; its user must be allowed to create databases.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use url::Url;

/// A database with the schema, dropped at the end of the test.
pub struct TestDb {
    /// How to connect to it.
    pub url: String,
    name: String,
}

impl TestDb {
    /// A fresh one. Does not block the reactor.
    pub async fn new() -> Self {
        tokio::task::spawn_blocking(Self::new_blocking).await.unwrap()
    }

    /// A fresh one, for tests that are not async.
    pub fn new_blocking() -> Self {
        let server = Server::shared();
        let name = format!("test_{:016x}", rand::random::<u64>());
        server.execute(&format!("CREATE DATABASE {name} TEMPLATE {}", server.template));
        Self { url: server.url_of(&name), name }
    }

    /// A new connection to it.
    pub fn connection(&self) -> PgConnection {
        PgConnection::establish(&self.url).unwrap()
    }

    /// Returns when `other` has ended or waits for a lock of somebody else's.
    pub fn until_waiting<T>(&self, other: &ScopedJoinHandle<'_, T>) {
        let (mut watch, deadline) = (self.connection(), Instant::now() + Duration::from_secs(30));
        let waiting = "SELECT FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while !other.is_finished() && diesel::sql_query(waiting).execute(&mut watch).unwrap() == 0 {
            assert!(Instant::now() < deadline, "it neither ends nor waits");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for TestDb {
    /// What a test leaves connected is disconnected. A failure would hide why
    /// the test failed; the server does not live long anyway.
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        _ = PgConnection::establish(Server::shared().url.as_str())
            .map(|mut connection| connection.batch_execute(&statement));
    }
}

/// The server that all tests share.
struct Server {
    url: Url,
    template: String,
    /// Its shared lock tells the watchdog that this process needs the server.
    _user: File,
}

impl Server {
    fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(Self::reach)
    }

    fn reach() -> Self {
        let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("postgres");
        std::fs::create_dir_all(&state).unwrap();
        let user = open(&state.join("users"));
        user.lock_shared().unwrap();
        let start = open(&state.join("start"));
        start.lock().unwrap();
        let url = std::env::var("TEST_DATABASE_URL").unwrap_or_else(|_| local_url(&state));
        let server = Self { url: Url::parse(&url).unwrap(), template: template_name(), _user: user };
        server.make_template();
        server
    }

    fn url_of(&self, database: &str) -> String {
        let mut url = self.url.clone();
        url.set_path(database);
        url.into()
    }

    fn connection(&self) -> PgConnection {
        PgConnection::establish(self.url.as_str()).unwrap()
    }

    fn execute(&self, statement: &str) {
        self.connection().batch_execute(statement).unwrap();
    }

    /// Built under another name, so that a half-built one is never used.
    fn make_template(&self) {
        let count = diesel::sql_query("SELECT FROM pg_database WHERE datname = $1")
            .bind::<diesel::sql_types::Text, _>(&self.template)
            .execute(&mut self.connection())
            .unwrap();
        if count == 0 {
            let building = format!("{}_new", self.template);
            self.execute(&format!("DROP DATABASE IF EXISTS {building}"));
            self.execute(&format!("CREATE DATABASE {building}"));
            let mut connection = PgConnection::establish(&self.url_of(&building)).unwrap();
            provisiond::storage::migrate::up(&mut connection).unwrap();
            drop(connection);
            self.execute(&format!("ALTER DATABASE {building} RENAME TO {}", self.template));
        }
    }
}

/// Names the build, whose migrations are in the template.
fn template_name() -> String {
    let executable = std::fs::metadata(std::env::current_exe().unwrap()).unwrap();
    let mut hasher = DefaultHasher::new();
    executable.modified().unwrap().hash(&mut hasher);
    executable.len().hash(&mut hasher);
    format!("template_{:016x}", hasher.finish())
}

/// The URL of this checkout's own server, which is started if there is none.
/// The caller holds the `start` lock.
fn local_url(state: &Path) -> String {
    if open(&state.join("watchdog")).try_lock().is_ok() {
        start(state);
    }
    std::fs::read_to_string(state.join("url")).unwrap().trim().to_owned()
}

#[expect(clippy::zombie_processes, reason = "the watchdog outlives the tests")]
fn start(state: &Path) {
    let log = state.join("log");
    let output = File::create(&log).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/postgres.sh");
    let url = state.join("url");
    _ = std::fs::remove_file(&url);
    let mut watchdog = Command::new("bash");
    watchdog.arg(script).arg(state).stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    // A process group of its own: Ctrl-C ends the tests, then the watchdog acts.
    std::os::unix::process::CommandExt::process_group(&mut watchdog, 0);
    let mut watchdog = watchdog.spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !url.exists() {
        let ended = watchdog.try_wait().unwrap().is_some();
        if ended || Instant::now() > deadline {
            panic!("no PostgreSQL for the tests: {}", std::fs::read_to_string(&log).unwrap());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap()
}
