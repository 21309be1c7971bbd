//! The tests of the web platform itself, in a real host. What is known to fail
//! stands in `tests/wpt/expectations.json` with a reason; anything else that
//! fails, and anything there that passes, is noticed.
//!
//! The tests are other people's and not in the repository: `scripts/test` gets them
//! (`scripts/setup --platform-tests`). Without them this fails, unless
//! `PROVISIOND_PLATFORM_TESTS=skip` leaves it out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use provisiond::domain::host_call::{FetchRequest, FetchResponse, Fetched, HostCallFuture, HostCalls};
use provisiond::domain::target::Limits;
use provisiond::js::{RunOutcome, RunRequest};
use serde::Deserialize;

use crate::js::support::start_within;

/// Room for the longest file, in a test build and beside other tests.
const LIMITS: Limits = Limits { cpu_ms: 60_000, wall_ms: 300_000, heap_mib: 512 };
/// Hosts at a time.
const AT_ONCE: usize = 2;

/// By file, and by reason what fails on account of it: names of tests, where `*`
/// stands for anything.
type Expectations = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// What came of a file.
#[derive(Debug, Deserialize)]
struct Report {
    passed: usize,
    failed: BTreeMap<String, String>,
    error: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wpt")
}

/// Where `scripts/setup` unpacks the platform's tests.
fn unpacked(path: impl AsRef<Path>) -> PathBuf {
    let cache = std::env::var_os("PROVISIOND_CACHE").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/provisiond");
    cache.unwrap_or_else(home).join("wpt").join(path)
}

/// Whether somebody wants no platform tests. Panics when they are wanted and are
/// not there, or are others than those of the selection.
fn left_out() -> bool {
    if std::env::var_os("PROVISIOND_PLATFORM_TESTS").is_some_and(|value| value == "skip") {
        println!("left out: PROVISIOND_PLATFORM_TESTS=skip");
        return true;
    }
    let selection = std::fs::read_to_string(folder().join("selection.txt")).unwrap();
    let there = std::fs::read_to_string(unpacked("selection.txt")).ok();
    assert!(
        there.as_ref() == Some(&selection),
        "the tests of the web platform are {} in {}: get them with `scripts/setup --platform-tests`, \
         or leave them out with PROVISIOND_PLATFORM_TESTS=skip",
        if there.is_some() { "of another selection" } else { "not" },
        unpacked("").display()
    );
    false
}

/// Answers with the platform's files.
struct Files;

impl HostCalls for Files {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        let url = url::Url::parse(&request.url).unwrap();
        let file = std::fs::read(unpacked(url.path().trim_start_matches('/')));
        let (status, body) = file.map_or((404, Bytes::new()), |bytes| (200, bytes.into()));
        let response = FetchResponse {
            status,
            status_text: String::new(),
            url: request.url,
            redirected: false,
            headers: Vec::new(),
            body,
        };
        Box::pin(std::future::ready(Ok(response.into())))
    }
}

/// Every test file below a folder.
fn files(below: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(unpacked(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            files(&path, found);
        } else if path.to_str().unwrap().ends_with(".any.js") {
            found.push(path.to_str().unwrap().to_owned());
        }
    }
}

/// The file with all that it names in its `META: script=` lines.
fn code(file: &str) -> String {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|_| panic!("{}", path.display()));
    let text = read(&unpacked(file));
    let here = Path::new(file).parent().unwrap();
    let mut code = read(&folder().join("host.js")).replace("FOLDER", here.to_str().unwrap());
    code.push_str(&read(&unpacked("resources/testharness.js")));
    for line in text.lines() {
        let Some(script) = line.strip_prefix("// META: script=") else { continue };
        let path = match script.trim().strip_prefix('/') {
            Some(absolute) => PathBuf::from(absolute),
            None => here.join(script.trim()),
        };
        writeln!(code, "\n{}", read(&unpacked(path))).unwrap();
    }
    code + &text + &read(&folder().join("end.js"))
}

async fn run(file: &str) -> Report {
    let host = start_within(&code(file), LIMITS).await;
    let end = host.run(RunRequest { context: "{}".into() }, Arc::new(Files)).await;
    match end.outcome {
        RunOutcome::Returned(value) => serde_json::from_value(value).unwrap(),
        other => Report { passed: 0, failed: BTreeMap::new(), error: Some(format!("{other:?}")) },
    }
}

/// Whether a name is what a pattern says.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => name == pattern,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|tail| {
            (0..=tail.len()).any(|at| tail.is_char_boundary(at) && fits(rest, &tail[at..]))
        }),
    }
}

/// What is not as expected, empty when all is.
fn compare(file: &str, report: &Report, expected: &BTreeMap<String, Vec<String>>) -> String {
    let mut said = String::new();
    let patterns: Vec<&String> = expected.values().flatten().collect();
    for (name, message) in &report.failed {
        if !patterns.iter().any(|pattern| fits(pattern, name)) {
            writeln!(said, "{file} fails: {name:?}: {message}").unwrap();
        }
    }
    for pattern in &patterns {
        if !report.failed.keys().any(|name| fits(pattern, name)) && report.error.is_none() {
            writeln!(said, "{file} passes, or is gone: {pattern:?}").unwrap();
        }
    }
    let expects_end = patterns.iter().any(|pattern| *pattern == "*");
    match &report.error {
        Some(error) if !expects_end => writeln!(said, "{file} ended early: {error}").unwrap(),
        None if report.passed + report.failed.len() == 0 => writeln!(said, "{file} has no tests").unwrap(),
        _ => {}
    }
    said
}

/// Runs all files of an area; at least `least` tests have to pass.
async fn check(area: &str, least: usize) {
    if left_out() {
        return;
    }
    let text = std::fs::read_to_string(folder().join("expectations.json")).unwrap();
    let expectations: Expectations = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    files(Path::new(area), &mut found);
    let reports = stream::iter(&found).map(async |file| (file, run(file).await)).buffer_unordered(AT_ONCE);
    let (mut said, mut passed) = (String::new(), 0);
    for (file, report) in reports.collect::<Vec<_>>().await {
        let none = BTreeMap::new();
        said += &compare(file, &report, expectations.get(file).unwrap_or(&none));
        passed += report.passed;
    }
    println!("{area}: {passed} of the platform's tests pass");
    assert!(said.is_empty(), "\n{said}");
    assert!(passed >= least, "only {passed} pass");
}

#[test]
fn expectations_are_of_files_that_are_there() {
    if left_out() {
        return;
    }
    let text = std::fs::read_to_string(folder().join("expectations.json")).unwrap();
    let expectations: Expectations = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    files(Path::new(""), &mut found);
    let found: BTreeSet<_> = found.iter().collect();
    for (file, reasons) in &expectations {
        assert!(found.contains(file), "{file} is not there");
        assert!(reasons.keys().all(|reason| reason.len() > 10), "{file}: a reason is missing");
    }
}

macro_rules! areas {
    ($($name:ident: $folder:literal, $least:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            check($folder, $least).await;
        })*
    };
}

areas! {
    abort: "dom/abort", 31;
    atob: "html/webappapis/atob", 378;
    console: "console", 16;
    encoding: "encoding", 11183;
    events: "dom/events", 36;
    files_and_blobs: "FileAPI", 257;
    high_resolution_time: "hr-time", 6;
    microtasks: "html/webappapis/microtask-queuing", 5;
    piping: "streams/piping", 182;
    readable_streams: "streams/readable-streams", 278;
    structured_clone: "html/webappapis/structured-clone", 104;
    timers: "html/webappapis/timers", 8;
    transform_streams: "streams/transform-streams", 114;
    urls: "url", 1841;
    web_crypto: "WebCryptoAPI", 1914;
    writable_streams: "streams/writable-streams", 184;
}
