//! The embedded PostgreSQL, with the real one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::Text;
use provisiond::storage::embedded::{EmbeddedError, EmbeddedPostgres};
use tempfile::TempDir;

use crate::support::app::PATIENCE;

/// A directory that other users may pass through, unlike most temporary ones.
fn open_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    directory
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn connect(url: &str) -> PgConnection {
    PgConnection::establish(url).unwrap()
}

fn ask(url: &str, question: &str) -> String {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Text)]
        answer: String,
    }
    let query = format!("SELECT ({question})::text AS answer");
    diesel::sql_query(query).get_result::<Answer>(&mut connect(url)).unwrap().answer
}

fn postmaster(data_dir: &Path) -> i32 {
    let text = std::fs::read_to_string(data_dir.join("postgres/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

fn kill(pid: i32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let place = open_directory();
    let data_dir = place.path().join("a data dir; it's \"new\"");
    assert_eq!(EmbeddedPostgres::attach(&data_dir).unwrap(), None);
    let first = EmbeddedPostgres::start(&data_dir).unwrap();
    diesel::sql_query("CREATE TABLE kept (n int)").execute(&mut connect(&first.url())).unwrap();
    assert_eq!(EmbeddedPostgres::attach(&data_dir).unwrap(), Some(first.url()));
    first.stop();
    assert_eq!(EmbeddedPostgres::attach(&data_dir).unwrap(), None);
    let second = EmbeddedPostgres::start(&data_dir).unwrap();
    assert_eq!(ask(&second.url(), "SELECT count(*) FROM kept"), "0");
}

#[test]
fn it_is_durable_and_nobody_else_can_reach_it() {
    let place = open_directory();
    let data_dir = place.path().join("data");
    let postgres = EmbeddedPostgres::start(&data_dir).unwrap();
    for (name, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", ""),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
    ] {
        assert_eq!(ask(&postgres.url(), &format!("SELECT current_setting('{name}')")), value, "{name}");
    }
    let socket = std::fs::metadata(data_dir.join("postgres-socket")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o700);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // PostgreSQL's user passes through root's directory.
    assert_eq!(mode(&data_dir), if is_root() { 0o710 } else { 0o700 });
    assert_eq!(mode(&data_dir.join("lock")), 0o600);
    let server = std::fs::metadata(format!("/proc/{}", postmaster(&data_dir))).unwrap();
    assert_eq!(server.uid(), socket.uid());
    assert_ne!(server.uid(), 0);
    let group = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(postmaster(&data_dir)))).unwrap();
    assert_ne!(group, nix::unistd::getpgrp(), "Ctrl-C would end it");
    if is_root() {
        let mut psql = Command::new("psql");
        psql.arg(postgres.url()).args(["-c", "SELECT 1"]).uid(65_534).gid(65_534);
        assert!(!psql.output().unwrap().status.success());
    }
}

#[test]
fn the_daemons_role_is_no_superuser() {
    let place = open_directory();
    let data_dir = place.path().join("data");
    let postgres = EmbeddedPostgres::start(&data_dir).unwrap();
    let is_superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
    assert_eq!(ask(&postgres.url(), is_superuser), "false");
    for refused in [
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "ALTER SYSTEM SET jit = on",
    ] {
        let error = diesel::sql_query(refused).execute(&mut connect(&postgres.url())).unwrap_err();
        let error = error.to_string();
        let told = error.contains("permission denied") || error.contains("must be superuser");
        assert!(told, "{refused}: {error}");
    }

    // A cluster of before, in which it is one, and whose objects are its own.
    let superuser = postgres.url().replace("user=provisiond", "user=postgres");
    let mut connection = connect(&superuser);
    for statement in [
        "ALTER ROLE provisiond SUPERUSER",
        "CREATE TABLE kept (id bigint GENERATED ALWAYS AS IDENTITY, n int NOT NULL)",
        "CREATE SEQUENCE counted",
        "INSERT INTO kept (n) VALUES (7)",
        "ALTER TABLE kept OWNER TO provisiond",
    ] {
        diesel::sql_query(statement).execute(&mut connection).unwrap();
    }
    drop(connection);
    postgres.stop();
    for _ in 0..2 {
        let postgres = EmbeddedPostgres::start(&data_dir).unwrap();
        assert_eq!(ask(&postgres.url(), is_superuser), "false");
        assert_eq!(ask(&postgres.url(), "SELECT sum(n) FROM kept"), "7");
        diesel::sql_query("ALTER TABLE kept ADD COLUMN IF NOT EXISTS more int")
            .execute(&mut connect(&postgres.url()))
            .unwrap();
        assert_eq!(ask(&postgres.url(), "SELECT nextval('counted') > 0"), "true");
        postgres.stop();
    }
}

#[test]
fn a_setting_of_the_operator_wins() {
    let place = open_directory();
    let data_dir = place.path().join("data");
    EmbeddedPostgres::start(&data_dir).unwrap().stop();
    let file = data_dir.join("postgres.local.conf");
    std::fs::write(&file, "work_mem = '7MB'\n").unwrap();
    let postgres = EmbeddedPostgres::start(&data_dir).unwrap();
    assert_eq!(ask(&postgres.url(), "SELECT current_setting('work_mem')"), "7MB");
}

#[test]
fn a_long_path_gets_its_socket_elsewhere() {
    let place = open_directory();
    let data_dir = place.path().join("x, ".repeat(40));
    let postgres = EmbeddedPostgres::start(&data_dir).unwrap();
    assert_eq!(ask(&postgres.url(), "SELECT 1"), "1");
    assert_eq!(EmbeddedPostgres::attach(&data_dir).unwrap(), Some(postgres.url()));
    postgres.stop();
    let shorter = std::fs::read_to_string(data_dir.join("postgres.conf")).unwrap();
    let line = shorter.lines().find(|line| line.starts_with("unix_socket_directories")).unwrap();
    std::fs::remove_dir(line.split('"').nth(1).unwrap()).unwrap();
}

#[test]
fn a_server_that_a_killed_daemon_left_is_adopted() {
    let place = open_directory();
    let data_dir = place.path().join("data");
    let mut daemon = Daemon::start(&data_dir);
    let left = postmaster(&data_dir);
    daemon.kill();
    let postgres = EmbeddedPostgres::start(&data_dir).unwrap();
    assert_eq!(postmaster(&data_dir), left);
    assert_eq!(ask(&postgres.url(), "SELECT 1"), "1");
    postgres.stop();
    std::fs::read_link(format!("/proc/{left}/cwd")).expect_err("it was not stopped");
}

#[test]
fn a_daemon_and_a_server_that_were_killed_are_replaced() {
    let place = open_directory();
    let data_dir = place.path().join("data");
    let mut daemon = Daemon::start(&data_dir);
    let left = postmaster(&data_dir);
    daemon.kill();
    kill(left, nix::sys::signal::Signal::SIGKILL);
    let postgres = EmbeddedPostgres::start(&data_dir).unwrap();
    assert_ne!(postmaster(&data_dir), left);
    assert_eq!(ask(&postgres.url(), "SELECT 1"), "1");
}

#[test]
fn a_server_that_dies_is_started_again() {
    let place = open_directory();
    let data_dir = place.path().join("data");
    let postgres = EmbeddedPostgres::start(&data_dir).unwrap();
    kill(postmaster(&data_dir), nix::sys::signal::Signal::SIGKILL);
    let deadline = Instant::now() + Duration::from_secs(30);
    while PgConnection::establish(&postgres.url()).is_err() {
        assert!(Instant::now() < deadline, "it was not started again");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_restart_by_hand_is_adopted() {
    let place = open_directory();
    let data_dir = place.path().join("data");
    let postgres = EmbeddedPostgres::start(&data_dir).unwrap();
    let before = postmaster(&data_dir);
    let owner = std::fs::metadata(data_dir.join("postgres")).unwrap();
    let program = std::fs::read_link(format!("/proc/{before}/exe")).unwrap().with_file_name("pg_ctl");
    let mut restart = Command::new(program);
    restart.args(["restart", "-m", "immediate", "-w", "-s", "-D"]).arg(data_dir.join("postgres"));
    restart.stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    if is_root() {
        restart.uid(owner.uid()).gid(owner.gid());
    }
    // It fails when the keeper has started another one before it could.
    restart.status().unwrap();
    // The keeper looks every second, and adopts what it finds the second time.
    std::thread::sleep(Duration::from_secs(3));
    let after = postmaster(&data_dir);
    assert_ne!(after, before);
    assert_eq!(ask(&postgres.url(), "SELECT 1"), "1");
    postgres.stop();
    std::fs::read_link(format!("/proc/{after}/cwd")).expect_err("it was not stopped");
}

#[test]
fn a_second_daemon_is_told_who_the_first_one_is() {
    let place = open_directory();
    let data_dir = place.path().join("data");
    let mut daemon = Daemon::start(&data_dir);
    match EmbeddedPostgres::start(&data_dir) {
        Err(EmbeddedError::InUse { pid, .. }) => assert_eq!(pid, daemon.process.id()),
        other => panic!("{other:?}"),
    }
    daemon.kill();
    EmbeddedPostgres::start(&data_dir).unwrap().stop();
}

#[test]
fn a_cluster_of_another_major_version_is_refused() {
    let place = open_directory();
    let data_dir = place.path().join("data");
    EmbeddedPostgres::start(&data_dir).unwrap().stop();
    let file = data_dir.join("postgres/PG_VERSION");
    std::fs::write(&file, "12\n").unwrap();
    let error = EmbeddedPostgres::start(&data_dir).unwrap_err();
    assert!(matches!(error, EmbeddedError::OtherMajor { cluster: 12, .. }), "{error}");
    assert!(error.to_string().contains("pg_upgrade"), "{error}");
}

#[test]
fn a_closed_directory_is_named() {
    let place = open_directory();
    let closed = place.path().join("home");
    std::fs::create_dir(&closed).unwrap();
    // Root passes everywhere, its unprivileged user does not; others may not even write.
    let mode = if is_root() { 0o700 } else { 0o500 };
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode)).unwrap();
    match EmbeddedPostgres::start(&closed.join("daemon/data")).unwrap_err() {
        EmbeddedError::NotPermitted { path, advice, .. } => {
            assert!(path.starts_with(&closed), "{}", path.display());
            assert!(advice.contains("--data-dir"), "{advice}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn missing_programs_are_said_how_to_install() {
    let place = open_directory();
    let mut daemon = Daemon::spawn(&place.path().join("data"), Some("/nowhere"));
    let words = daemon.last_words();
    assert!(words.contains("apt-get install postgresql") && words.contains("/nowhere"), "{words}");
    assert!(!daemon.process.wait().unwrap().success());
}

#[test]
fn a_full_disk_is_called_so() {
    let place = open_directory();
    let Some(_small) = SmallDisk::mount(place.path(), "20m") else { return };
    let data_dir = place.path().join("data");
    let error = EmbeddedPostgres::start(&data_dir).unwrap_err();
    assert!(matches!(error, EmbeddedError::DiskFull(_)), "{error}");
    assert!(!data_dir.join("postgres.new").exists());
}

#[test]
fn a_disk_that_became_full_loses_nothing() {
    let place = open_directory();
    let Some(_small) = SmallDisk::mount(place.path(), "120m") else { return };
    let data_dir = place.path().join("data");
    EmbeddedPostgres::start(&data_dir).unwrap().stop();
    let ballast = place.path().join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
    drop(file);
    let error = EmbeddedPostgres::start(&data_dir).unwrap_err();
    assert!(matches!(error, EmbeddedError::DiskFull(_)), "{error}");
    std::fs::remove_file(ballast).unwrap();
    EmbeddedPostgres::start(&data_dir).unwrap().stop();
}

/// A file system of fixed size, as long as this lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=711");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output().unwrap();
        if !mount.status.success() {
            println!("skipped, cannot mount: {}", String::from_utf8_lossy(&mount.stderr));
            return None;
        }
        Some(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A daemon that owns an embedded PostgreSQL and can be killed.
struct Daemon {
    process: Child,
    data_dir: PathBuf,
}

impl Daemon {
    fn spawn(data_dir: &Path, programs: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provisiond"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(programs.map(|programs| ("PROVISIOND_PG_BIN", programs)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self { process: command.spawn().unwrap(), data_dir: data_dir.to_owned() }
    }

    /// One that serves.
    fn start(data_dir: &Path) -> Self {
        let mut daemon = Self::spawn(data_dir, None);
        let deadline = Instant::now() + PATIENCE;
        while !daemon.is_ready() {
            assert!(Instant::now() < deadline, "the daemon is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        daemon
    }

    fn is_ready(&mut self) -> bool {
        if let Some(status) = self.process.try_wait().unwrap() {
            panic!("the daemon ended with {status}: {}", self.last_words());
        }
        let Ok(url) = std::fs::read_to_string(self.data_dir.join("address")) else { return false };
        let host = url.trim().trim_start_matches("http://");
        let Ok(mut connection) = TcpStream::connect(host) else { return false };
        write!(connection, "GET /readyz HTTP/1.0\r\nhost: {host}\r\n\r\n").unwrap();
        let mut status = String::new();
        BufReader::new(connection).read_line(&mut status).is_ok() && status.contains(" 200 ")
    }

    /// What it wrote to its standard error until it ended.
    fn last_words(&mut self) -> String {
        let mut words = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        words
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
