//! Logic that does harm: each ends at its limit, and hurts nobody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use provisiond::js::{JsHost, RunEnd, RunOutcome};
use serde_json::json;

use super::support::{run, small_limits, start, thrown, value};
use crate::support::cpu::CpuMeter;

/// CPU time that may be used until a limit is seen and enforced.
const SLACK: Duration = Duration::from_secs(1);
const CPU: &str = "the CPU limit of 500 ms was reached";
const WALL: &str = "the wall limit of 5 s was reached";
const HEAP: &str = "the heap limit of 64 MiB was reached";

/// Logic that behaves unless it is asked to do harm.
async fn host_of(poison: &str) -> Arc<JsHost> {
    Arc::new(
        start(&format!(
            "export default async ({{ harm }}) => {{ if (!harm) {{ await null; return 'clean'; }} {poison} }}"
        ))
        .await,
    )
}

async fn harm(host: &JsHost) -> RunEnd {
    run(host, json!({"harm": true})).await
}

async fn is_stopped(poison: &str, sentence: &str, limit: Duration) {
    let host = host_of(poison).await;
    assert_eq!(value(run(&host, json!({})).await), "clean");
    let meter = CpuMeter::of(host.pid());
    let end = harm(&host).await;
    let used = meter.stop();
    // Of a promise that never settles only the run ends.
    let expected = match sentence == WALL {
        true => RunOutcome::TimedOut(sentence.into()),
        false => RunOutcome::Killed(sentence.into()),
    };
    assert_eq!(end.outcome, expected, "{poison}");
    assert_eq!(host.is_alive(), sentence == WALL, "{poison}");
    assert!(used < limit + SLACK, "{poison}: {used:?}");
    let fresh = if host.is_alive() { host } else { host_of(poison).await };
    assert_eq!(value(run(&fresh, json!({})).await), "clean");
}

#[tokio::test]
async fn loops_are_stopped() {
    let cpu = small_limits().cpu();
    is_stopped("for (;;) {}", CPU, cpu).await;
    is_stopped("const next = () => queueMicrotask(next); next(); await new Promise(() => {});", CPU, cpu)
        .await;
    is_stopped("for (;;) { await null; }", CPU, cpu).await;
    is_stopped("for (;;) { try { for (;;) {} } catch {} finally { continue } }", CPU, cpu).await;
}

#[tokio::test]
async fn expressions_that_backtrack_are_stopped() {
    is_stopped("/^(a+)+$/.test('a'.repeat(40) + 'b')", CPU, small_limits().cpu()).await;
}

#[tokio::test]
async fn built_ins_that_never_yield_are_stopped() {
    let cpu = small_limits().cpu();
    is_stopped("Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)", CPU, cpu).await;
    is_stopped("const a = []; a.length = 2 ** 32 - 1; a.join('')", CPU, cpu).await;
}

#[tokio::test]
async fn heap_bombs_are_stopped() {
    let cpu = small_limits().cpu();
    is_stopped("const all = []; for (;;) all.push('x'.repeat(100000) + all.length);", HEAP, cpu).await;
    is_stopped("const all = []; for (;;) all.push(new Array(1000).fill({}));", HEAP, cpu).await;
    is_stopped("const all = []; for (;;) all.push(new ArrayBuffer(2 ** 20));", HEAP, cpu).await;
    is_stopped(
        "const all = []; for (;;) { try { for (;;) all.push(new Uint8Array(2 ** 20)); } catch {} }",
        HEAP,
        cpu,
    )
    .await;
}

#[tokio::test]
async fn memory_outside_the_heap_is_bounded() {
    let poison = "const all = []; for (;;) all.push(new Blob([new Uint8Array(2 ** 20)]));";
    is_stopped(poison, HEAP, small_limits().wall()).await;
}

#[tokio::test]
async fn promises_that_never_settle_reach_the_wall_limit() {
    is_stopped("await new Promise(() => {});", WALL, small_limits().wall()).await;
    is_stopped(
        "for (;;) await new Promise((resolve) => setTimeout(resolve, 1));",
        WALL,
        small_limits().wall(),
    )
    .await;
}

#[tokio::test]
async fn a_run_that_reaches_the_wall_limit_leaves_the_host() {
    let host = Arc::new(
        start(
            "let reason = 'none'; let after = 'nothing';
            export default async (ctx) => {
                if (ctx.look) { await new Promise((resolve) => setTimeout(resolve, 1)); return { reason, after }; }
                ctx.signal.addEventListener('abort', () => {
                    reason = ctx.signal.reason.name;
                    fetch('https://a.example/').catch((error) => { after = error.message; });
                });
                await new Promise(() => {});
            }",
        )
        .await,
    );
    let pid = host.pid();
    assert_eq!(run(&host, json!({})).await.outcome, RunOutcome::TimedOut(WALL.into()));
    assert_eq!(host.in_flight(), 0);
    assert_eq!(
        value(run(&host, json!({"look": true})).await),
        json!({"reason": "TimeoutError", "after": "fetch is only available while a run is in progress"})
    );
    assert_eq!((host.pid(), host.is_alive()), (pid, true));
}

#[tokio::test]
async fn deep_recursion_is_an_error() {
    let host = host_of("const f = () => f() + 1; f();").await;
    assert!(thrown(harm(&host).await).message.contains("call stack"), "recursion");
    let json = host_of("JSON.parse('['.repeat(1e6))").await;
    thrown(harm(&json).await);
    assert_eq!(value(run(&host, json!({})).await), "clean");
    assert_eq!(value(run(&json, json!({})).await), "clean");
}

#[tokio::test]
async fn giant_values_are_refused() {
    let host = host_of("return 'x'.repeat(2e6)").await;
    let sentence = "the limit of 1 MiB for the returned value was reached";
    assert_eq!(harm(&host).await.outcome, RunOutcome::Limit(sentence.into()));
    let wide = host_of("return '\\u20ac'.repeat(500000)").await;
    assert_eq!(harm(&wide).await.outcome, RunOutcome::Limit(sentence.into()));
    assert_eq!(value(run(&host, json!({})).await), "clean");
}

#[tokio::test]
async fn giant_contexts_and_code_are_refused() {
    let host = start("export default () => 'clean'").await;
    let giant = provisiond::js::RunRequest { context: " ".repeat((64 << 20) + 1) };
    let end = host.run(giant, Arc::new(super::support::NoCalls)).await;
    assert_eq!(end.outcome, RunOutcome::Limit("the limit of 64 MiB for the context was reached".into()));
    assert_eq!(value(run(&host, json!({})).await), "clean");
    let code = " ".repeat((64 << 20) + 1);
    let error = super::support::try_start(&code).await.map(drop).unwrap_err();
    assert_eq!(error.to_string(), "the limit of 64 MiB for code was reached");
}

#[tokio::test]
async fn bystanders_are_interrupted() {
    for poison in ["for (;;) {}", "const all = []; for (;;) all.push(new Array(1000).fill({}));"] {
        let host = Arc::new(
            start(&format!(
                "export default async ({{ harm }}) => {{
                    await new Promise((resolve) => setTimeout(resolve, harm ? 50 : 20000));
                    {poison}
                }}"
            ))
            .await,
        );
        let bystanders: Vec<_> = (0..5)
            .map(|_| {
                let host = host.clone();
                tokio::spawn(async move { run(&host, json!({})).await })
            })
            .collect();
        let culprit = harm(&host).await;
        assert!(matches!(culprit.outcome, RunOutcome::Interrupted(_)), "{culprit:?}");
        for bystander in bystanders {
            let end = bystander.await.unwrap();
            let RunOutcome::Interrupted(why) = &end.outcome else { panic!("{end:?}") };
            assert!(why.starts_with("the host was stopped with 6 runs in it: the "), "{why}");
        }
        assert!(!host.is_alive());
    }
}

#[tokio::test]
async fn many_slow_runs_are_no_loop() {
    let host = Arc::new(
        start("export default () => { const until = performance.now() + 50; while (performance.now() < until); }")
            .await,
    );
    let runs: Vec<_> = (0..30)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move { run(&host, json!({})).await })
        })
        .collect();
    for run in runs {
        assert_eq!(value(run.await.unwrap()), json!(null));
    }
}

#[tokio::test]
async fn lines_before_a_loop_are_kept() {
    let host = host_of("console.log('before'); for (;;) {}").await;
    let end = harm(&host).await;
    assert_eq!(end.console.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["before"]);
}

#[tokio::test]
async fn an_idle_host_uses_no_cpu() {
    let host = start("export default async () => { setInterval(() => {}, 1); await fetch; }").await;
    value(run(&host, json!({})).await);
    let cpu = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", host.pid())).unwrap();
        stat.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // What it does at the end of a run takes a moment.
    let mut before = 0;
    while before != cpu() {
        before = cpu();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    // A timer that goes on would wake it a thousand times.
    assert!(cpu() - before < 3_000_000, "{} ns", cpu() - before);
}

/// Leaves a loop behind that begins when a long calculation has ended.
const LEAVES_A_LOOP: &str = r#"
    export default async ({ account }) => {
        if (account !== "evil") return { status: "provisioned" };
        const key = await crypto.subtle.importKey("raw", new Uint8Array(8), "PBKDF2", false, ["deriveBits"]);
        const salt = new Uint8Array(8);
        crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-512", salt, iterations: 3e5 }, key, 512)
            .then(() => { for (;;); });
        return { status: "provisioned" };
    };"#;

#[tokio::test]
async fn what_an_ended_run_left_behind_is_nobody_elses_fault() {
    let host = start(LEAVES_A_LOOP).await;
    value(run(&host, json!({ "account": "evil" })).await);
    // While it calculates it says at once that it is not at rest; then it loops.
    let mut silent = 0;
    while silent < 3 {
        let asked = Instant::now();
        assert!(!host.is_at_rest().await);
        silent = if asked.elapsed() < Duration::from_millis(250) { 0 } else { silent + 1 };
    }
    let end = run(&host, json!({ "account": "good" })).await;
    assert!(matches!(end.outcome, RunOutcome::Interrupted(_)), "{:?}", end.outcome);
}

#[tokio::test]
async fn a_host_that_is_busy_without_a_run_is_ended() {
    let host = start(LEAVES_A_LOOP).await;
    value(run(&host, json!({ "account": "good" })).await);
    assert!(host.is_at_rest().await);
    value(run(&host, json!({ "account": "evil" })).await);
    while host.is_alive() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_host_that_somebody_else_kills_is_not_its_runs_fault() {
    let host = start("export default async () => { await new Promise(() => {}); }").await;
    let pid = nix::unistd::Pid::from_raw(host.pid().try_into().unwrap());
    let run = run(&host, json!({}));
    let kill = async {
        while host.in_flight() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    };
    let (end, ()) = tokio::join!(run, kill);
    let why = "the host was killed from outside the daemon; is the system short of memory?";
    assert_eq!(end.outcome, RunOutcome::Interrupted(why.into()));
    assert!(host.was_killed_from_outside());
}
