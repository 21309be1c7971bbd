//! What a run returns, throws and writes.

use std::sync::Arc;
use std::time::Duration;

use provisiond::domain::host_call::ConsoleLevel;
use provisiond::domain::status::ErrorClass;
use provisiond::js::RunOutcome;
use serde_json::json;

use super::support::{NoCalls, run, run_once, run_with, start, texts, thrown, value};

#[tokio::test]
async fn a_function_is_given_the_context_and_returns() {
    let host = start("export default async (ctx) => ({ hello: ctx.name, list: [1, null] })").await;
    let end = run(&host, json!({"name": "Ada \u{1f600} \u{2028} \"quoted\""})).await;
    assert_eq!(value(end), json!({"hello": "Ada \u{1f600} \u{2028} \"quoted\"", "list": [1, null]}));
    assert_eq!(host.in_flight(), 0);
    assert!(host.is_alive());
}

#[tokio::test]
async fn whatever_is_thrown_has_a_message() {
    for (thrower, expected) in [
        ("throw new Error('broken')", "broken"),
        ("throw new TypeError('wrong')", "TypeError: wrong"),
        ("throw new Error()", "logic threw Error without a message"),
        ("throw undefined", "logic threw undefined"),
        ("throw null", "logic threw null"),
        ("throw 'text'", "text"),
        ("throw ''", "logic threw an empty string"),
        ("throw 42", "logic threw 42"),
        ("throw 1n", "logic threw 1n"),
        ("throw Symbol('s')", "logic threw Symbol(s)"),
        ("throw { code: 7 }", "logic threw { code: 7 }"),
        ("throw new DOMException('gone', 'AbortError')", "AbortError: gone"),
        ("null.x", "TypeError: Cannot read properties of null (reading 'x')"),
        ("await Promise.reject()", "logic threw undefined"),
        ("throw { get message() { throw 1 } }", "logic threw a value that cannot be described"),
        ("throw new Proxy({}, { get() { throw 1 } })", "logic threw a value that cannot be described"),
    ] {
        let thrown = thrown(run_once(&format!("export default async () => {{ {thrower} }}")).await);
        assert_eq!(thrown.message, expected, "{thrower}");
    }
    let long = thrown(run_once("export default () => { throw 'x'.repeat(1e5) }").await);
    assert_eq!(long.message.len(), 4096);
}

#[tokio::test]
async fn stacks_show_the_authors_code_only() {
    let code = "
        function inner() {
            throw new Error('deep');
        }
        export default async function outer() {
            await null;
            inner();
        }";
    let stack = thrown(run_once(code).await).stack.unwrap_or_default();
    let lines: Vec<_> = stack.lines().collect();
    assert!(lines[0].starts_with("at inner (logic.js:3:"), "{stack}");
    assert!(lines[1].starts_with("at outer (logic.js:7:"), "{stack}");
    assert!(!stack.contains("ext:"), "{stack}");
}

#[tokio::test]
async fn a_class_of_failure_is_found_behind_causes() {
    let code = "
        export default () => {
            const deep = Object.assign(new Error('a'), { errorClass: 'rateLimited', retryAfter: 2.5 });
            throw new Error('c', { cause: new Error('b', { cause: deep }) });
        }";
    let thrown = thrown(run_once(code).await);
    assert_eq!(thrown.error_class, Some(ErrorClass::RateLimited));
    assert_eq!(thrown.retry_after, Some(Duration::from_millis(2_500)));
}

#[tokio::test]
async fn console_lines_have_level_and_time() {
    let end = run_once(
        "export default async () => {
            console.debug('a', 1, { b: [2] });
            console.log('%s is %d', 'x', 5);
            console.warn(new Map([[1, 2]]));
            await new Promise((resolve) => setTimeout(resolve, 30));
            console.error('late');
            console.assert(true, 'not this');
            console.assert(false, 'this');
        }",
    )
    .await;
    assert_eq!(
        texts(&end.console),
        ["a 1 { b: [ 2 ] }", "x is 5", "Map(1) { 1 => 2 }", "late", "assertion failed: this"]
    );
    let levels: Vec<_> = end.console.iter().map(|line| line.level).collect();
    use ConsoleLevel::{Debug, Error, Info, Warn};
    assert_eq!(levels, [Debug, Info, Warn, Error, Error]);
    let times: Vec<u64> = end.console.iter().map(|line| line.at_ms).collect();
    assert!(times.is_sorted() && times[3] - times[2] >= 29, "{times:?}");
}

#[tokio::test]
async fn the_console_of_a_run_is_cut() {
    let end = run_once("export default () => { for (let i = 0; i < 1e5; i++) console.log(i) }").await;
    assert_eq!(end.console.len(), 201);
    assert!(end.console[200].text.starts_with("the rest of the console was cut"), "{:?}", end.console[200]);
    let end =
        run_once("export default () => { for (let i = 0; i < 50; i++) console.log('x'.repeat(1e4)) }").await;
    let bytes: usize = end.console.iter().map(|line| line.text.len()).sum();
    assert!((65_536..66_000).contains(&bytes), "{bytes}");
}

/// The limit counts bytes of UTF-8, a character stays whole, and that something is
/// missing is said.
#[tokio::test]
async fn the_console_is_cut_at_a_character_and_says_so() {
    for (line, kept) in [
        ("'\\u20ac'.repeat(70000)", 65_535),
        ("'x' + '\\u{1f600}'.repeat(70000)", 65_533),
        ("'\\0'.repeat(70000)", 65_535),
        ("'x'.repeat(70000)", 65_536),
        ("'\\ud83d'.repeat(70000)", 65_535),
    ] {
        let end =
            run_once(&format!("export default () => {{ console.log({line}); console.log('tail') }}")).await;
        let texts = texts(&end.console);
        assert_eq!((texts.len(), texts[0].len()), (2, kept), "{line}");
        assert!(texts[1].starts_with("the rest of the console was cut"), "{}", texts[1]);
    }
}

#[tokio::test]
async fn lines_belong_to_the_run_that_wrote_them() {
    let host = Arc::new(
        start(
            "let shared = Promise.resolve();
        export default async ({ name }) => {
            console.log(name, 1);
            await shared;
            console.log(name, 2);
            await new Promise((resolve) => setTimeout(() => { console.log(name, 3); resolve(); }, 5));
            console.log(name, 4);
            await new Promise((resolve) => queueMicrotask(() => { console.log(name, 5); resolve(); }));
            await crypto.subtle.digest('SHA-256', new Uint8Array(1));
            console.log(name, 6);
        }",
        )
        .await,
    );
    let runs = (0..64).map(|name| {
        let host = host.clone();
        tokio::spawn(async move { (name, run(&host, json!({ "name": name })).await) })
    });
    for run in runs.collect::<Vec<_>>() {
        let (name, end) = run.await.unwrap();
        let expected: Vec<_> = (1..=6).map(|line| format!("{name} {line}")).collect();
        assert_eq!(texts(&end.console), expected);
    }
}

#[tokio::test]
async fn what_nobody_caught_is_a_line_of_the_console() {
    let end = run_once(
        "export default async () => {
            setTimeout(() => { throw new Error('timer') }, 1);
            queueMicrotask(() => { throw new Error('microtask') });
            Promise.reject(new Error('forgotten'));
            const target = new EventTarget();
            target.addEventListener('x', () => { throw new Error('listener') });
            target.dispatchEvent(new Event('x'));
            await new Promise((resolve) => setTimeout(resolve, 20));
            return 'fine';
        }",
    )
    .await;
    let mut lines = texts(&end.console).join("\n");
    for expected in [
        "uncaught in a callback of setTimeout: timer",
        "uncaught in a callback of queueMicrotask: microtask",
        "unhandled rejection: forgotten",
        "uncaught in an event listener: listener",
    ] {
        assert!(lines.contains(expected), "{expected}: {lines}");
        lines = lines.replace(expected, "");
    }
    assert_eq!(value(end), "fine");
}

#[tokio::test]
async fn timers_run_and_end_with_their_run() {
    let host = start(
        "globalThis.ticks = 0;
        export default async ({ look }) => {
            if (look) return globalThis.ticks;
            setInterval(() => { globalThis.ticks++ }, 1);
            let n = 0;
            const id = setInterval(() => { n++ }, 1);
            await new Promise((resolve) => setTimeout(resolve, 40));
            clearInterval(id);
            const stopped = n;
            await new Promise((resolve) => setTimeout(resolve, 10));
            return n > 0 && stopped === n;
        }",
    )
    .await;
    assert_eq!(value(run(&host, json!({})).await), true);
    let ticks = value(run(&host, json!({"look": true})).await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(value(run(&host, json!({"look": true})).await), ticks);
}

#[tokio::test]
async fn thousands_of_runs_are_not_lost() {
    let host = Arc::new(
        start(
            "export default async ({ n }) => {
                await null;
                if (n % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
                return n * 2;
            }",
        )
        .await,
    );
    let mut workers = Vec::new();
    for worker in 0..100u64 {
        let host = host.clone();
        workers.push(tokio::spawn(async move {
            for i in 0..50 {
                let n = worker * 1000 + i;
                assert_eq!(value(run(&host, json!({ "n": n })).await), n * 2);
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(host.in_flight(), 0);
}

#[tokio::test]
async fn a_context_that_is_no_json_spoils_no_other_run() {
    let host = start("export default ({ n }) => n").await;
    let request = |context: &str| provisiond::js::RunRequest { context: context.into() };
    let runs =
        ["{\"n\":1}", "{\"n\":", "{\"n\":2}"].map(|context| host.run(request(context), Arc::new(NoCalls)));
    let ends = futures_util::future::join_all(runs).await;
    assert_eq!(value(ends[0].clone()), 1);
    assert_eq!(thrown(ends[1].clone()).message, "the context of the run is not JSON");
    assert_eq!(value(ends[2].clone()), 2);
}

#[tokio::test]
async fn a_killed_host_interrupts_its_runs() {
    let host = Arc::new(start("export default () => new Promise(() => {})").await);
    let running = tokio::spawn({
        let host = host.clone();
        async move { run_with(&host, json!({}), Arc::new(NoCalls)).await }
    });
    while host.in_flight() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    host.kill();
    let end = running.await.unwrap();
    assert_eq!(end.outcome, RunOutcome::Interrupted("the host was stopped".into()));
    assert!(!host.is_alive());
    let end = run(&host, json!({})).await;
    assert_eq!(end.outcome, RunOutcome::Interrupted("the host has ended: the host was stopped".into()));
}

#[tokio::test]
async fn a_dropped_host_is_gone() {
    let host = start("export default () => 1").await;
    let pid = host.pid();
    drop(host);
    for _ in 0..200 {
        if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the host is still there");
}
