//! Logic that means harm: each script ends as it says in its first line, and
//! nobody notices. See `script.rs` for what a script says.
//!
//! The classes are what sandboxes of others fell to, and what an engine without
//! a process around it does not survive.

mod peer;
mod script;

use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use provisiond::js::{HostProgram, JsHost, RunEnd, RunOutcome, RunRequest};
use serde_json::json;

use peer::Peer;
use script::Script;

/// Scripts of one class at a time; the machine has other things to do.
const AT_ONCE: usize = 2;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/poison/scripts"))
}

/// The scripts of a class, in the order of their names.
fn scripts(class: &str) -> Vec<Script> {
    let mut paths: Vec<_> =
        std::fs::read_dir(folder().join(class)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| Script::read(path)).collect()
}

async fn suite(class: &str) {
    let scripts = scripts(class);
    let faults: Vec<String> =
        stream::iter(&scripts)
            .map(|script| async move {
                check(script).await.err().map(|fault| format!("{}: {fault}", script.name))
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
    assert!(faults.is_empty(), "{class}: {} of {}\n{}", faults.len(), scripts.len(), faults.join("\n"));
}

/// Runs the poison, then an innocent run of the same logic: on the same host if
/// the poison has left it.
async fn check(script: &Script) -> Result<(), String> {
    let program = HostProgram::new(env!("CARGO_BIN_EXE_provisiond"));
    let start = || JsHost::start(&program, script.code.as_str(), &script.limits);
    let host = match (start().await, script.end.refusal()) {
        (Ok(host), None) => host,
        (Ok(_), Some(_)) => return Err("it was loaded".into()),
        (Err(error), Some(expected)) if error.to_string().contains(expected) => return Ok(()),
        (Err(error), _) => return Err(format!("it was refused: {error}")),
    };
    let poisoned = run(&host, true).await;
    script.check(&poisoned)?;
    if host.is_alive() == script.end.is_killed() {
        return Err(format!("the host is alive: {}", host.is_alive()));
    }
    let host = if host.is_alive() { host } else { start().await.map_err(|error| error.to_string())? };
    let mut innocent = run(&host, false).await;
    if matches!(innocent.outcome, RunOutcome::Interrupted(_)) {
        // What was given up is still at work, or what it left takes long to free on a
        // slow machine, and the host is given up: whoever was in it is run again
        // elsewhere.
        let fresh = start().await.map_err(|error| error.to_string())?;
        innocent = run(&fresh, false).await;
    }
    script.check_innocent(&innocent)
}

async fn run(host: &JsHost, harm: bool) -> RunEnd {
    let context = json!({ "harm": harm }).to_string();
    host.run(RunRequest { context }, Arc::new(Peer)).await
}

macro_rules! classes {
    ($($class:ident),* $(,)?) => {
        const CLASSES: &[&str] = &[$(stringify!($class)),*];
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $class() {
                suite(stringify!($class)).await;
            }
        )*
    };
}

classes!(
    answers,
    builtins,
    calls,
    console,
    depth,
    escapes,
    expressions,
    intrinsics,
    loading,
    loops,
    memory,
    text,
    throws,
    waiting,
);

#[test]
fn every_class_is_run() {
    let mut found: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, CLASSES);
    let count: usize = CLASSES.iter().map(|class| scripts(class).len()).sum();
    assert!(count >= 60, "{count} scripts");
}
