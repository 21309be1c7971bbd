//! Hosts that were taken over: programs that speak the protocol badly. Their
//! runs end with a sentence that says so, and the daemon goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use provisiond::domain::host_call::{FetchRequest, Fetched, HostCallFuture, HostCalls};
use provisiond::domain::target::Limits;
use provisiond::js::{HostProgram, JsHost, RunEnd, RunOutcome, StartError};
use serde_json::json;

use super::support::{NoCalls, response, run_with};

const CODE: &str = "export default () => 1";
const LIMITS: Limits = Limits { cpu_ms: 1_000, wall_ms: 4_000, heap_mib: 32 };
/// What a host is sent before its first run's own bytes: the start with its code,
/// a ping, and the head of the run.
const UNTIL_RUN: usize = 13 + CODE.len() + 13 + 13;

/// Shell functions for frames on the socket, which is standard input: `frame
/// LENGTH-OF-PAYLOAD KIND RUN CALL`, numbers as four octal bytes, low one first.
const FRAMES: &str = r#"#!/bin/sh
ZERO='\0\0\0\0' RUN='\100\0\0\0'
frame() { printf "$1\\$2$3$4" >&0; }
booted() { frame '\011\0\0\0' 020 $ZERO $ZERO; }
ready() { frame '\011\0\0\0' 021 $ZERO $ZERO; }
pong() { frame '\011\0\0\0' 031 $ZERO '\001\0\0\0'; }
"#;

/// A program that becomes a host of its own kind.
struct Impostor {
    program: HostProgram,
    _directory: tempfile::TempDir,
}

impl Impostor {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host");
        fs::write(&path, format!("{FRAMES}{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { program: HostProgram::new(path), _directory: directory }
    }

    /// One that starts well, and misbehaves once it has a run.
    fn in_a_run(script: &str) -> Self {
        Self::new(&format!("booted; ready\n/usr/bin/head -c {UNTIL_RUN} <&0 >/dev/null\npong\n{script}"))
    }

    async fn start(&self) -> Result<JsHost, StartError> {
        loop {
            match JsHost::start(&self.program, CODE, &LIMITS).await {
                // Another test forked while this one wrote the program.
                Err(StartError::Spawn(error)) if error.contains("Text file busy") => {}
                end => return end,
            }
        }
    }
}

async fn refused(script: &str) -> String {
    match Impostor::new(script).start().await {
        Ok(_) => panic!("it was taken for a host: {script}"),
        Err(error) => error.to_string(),
    }
}

async fn end_of(script: &str) -> RunEnd {
    let impostor = Impostor::in_a_run(script);
    run_with(&impostor.start().await.unwrap(), json!({}), Arc::new(Nobody)).await
}

/// Never answers.
struct Nobody;

impl HostCalls for Nobody {
    fn fetch(&self, _: FetchRequest) -> HostCallFuture<Fetched> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn impostors_are_refused_by_what_they_say() {
    const ENDED: &str = "the JavaScript host ended while it was started: it broke the protocol";
    for (script, sentence) in [
        (
            "printf 'GET / HTTP/1.1\\r\\n\\r\\n' >&0",
            format!("{ENDED} (a frame of 542393671 bytes is larger than allowed)"),
        ),
        (
            "frame '\\377\\377\\377\\377' 020 $ZERO $ZERO",
            format!("{ENDED} (a frame of 4294967295 bytes is larger"),
        ),
        ("frame '\\011\\0\\0\\0' 143 $ZERO $ZERO", format!("{ENDED} (a frame of unknown kind 99)")),
        ("printf '\\001\\0\\0\\0\\020' >&0", format!("{ENDED} (a frame is too short)")),
        ("ready", format!("{ENDED} (a frame of kind 17 out of turn)")),
        ("booted; booted", format!("{ENDED} (a frame of kind 16 out of turn)")),
        ("booted; frame '\\011\\0\\0\\0' 022 $ZERO $ZERO", "it failed without a reason".into()),
        ("booted; exec /bin/sleep 60", "the wall limit of 4 s was reached while the logic was loaded".into()),
        ("booted; echo 'out of luck' >&2; exit 3", "exit code 3, out of luck".into()),
        // {"tests":["a","a", … 1,001 in all.
        (
            "booted; frame '\\270\\017\\0\\0' 021 $ZERO $ZERO; printf '{\"tests\":[' >&0; \
             i=0; while [ $i -lt 1000 ]; do printf '\"a\",' >&0; i=$((i+1)); done; printf '\"a\"]}' >&0",
            "the limit of 1000 tests was reached".into(),
        ),
        ("booted; frame '\\011\\0\\0\\0' 032 $ZERO $ZERO", "the heap limit of 32 MiB was reached".into()),
        ("exit 0", "the JavaScript host ended while it was started: exit code 0".into()),
    ] {
        // Whoever says nothing wrong has to go on living.
        let error = refused(&format!("{script}\nexec /bin/sleep 60")).await;
        assert!(error.contains(&sentence), "{script}: {error}");
    }
}

#[tokio::test]
async fn a_host_that_breaks_the_protocol_in_a_run_is_to_blame() {
    const BROKE: &str = "the run brought its host down: it broke the protocol";
    for (script, sentence) in [
        ("frame '\\011\\0\\0\\0' 143 $RUN $ZERO", format!("{BROKE} (a frame of unknown kind 99)")),
        ("frame '\\011\\0\\0\\0' 001 $RUN $ZERO", format!("{BROKE} (a frame of unknown kind 1)")),
        ("booted", format!("{BROKE} (a frame of kind 16 out of turn)")),
        ("frame '\\011\\0\\0\\0' 027 $RUN $ZERO", format!("{BROKE} (a frame is too short)")),
        (
            "frame '\\011\\0\\040\\0' 023 $RUN $ZERO; /usr/bin/head -c 2097152 /dev/zero >&0",
            format!("{BROKE} (a frame of 2097152 bytes is larger than allowed)"),
        ),
        (
            "i=0; while [ $i -le 1000 ]; do frame '\\017\\0\\0\\0' 027 $RUN $ZERO; printf '\\002\\0\\0\\0[]' >&0; \
             i=$((i+1)); done",
            format!("{BROKE} (more frames of a run than allowed)"),
        ),
        ("printf '\\377\\0' >&0; exit 4", "the run brought its host down: exit code 4".into()),
    ] {
        let end = end_of(&format!("{script}\nexec /bin/sleep 60")).await;
        assert_eq!(end.outcome, RunOutcome::Killed(sentence), "{script}");
    }
}

#[tokio::test]
async fn what_a_host_says_of_its_run_is_checked() {
    for (script, expected) in [
        ("frame '\\014\\0\\0\\0' 023 $RUN $ZERO; printf '{\"a' >&0", "the returned value cannot be read: "),
        (
            "frame '\\014\\0\\0\\0' 024 $RUN $ZERO; printf '\\377\\376x' >&0",
            "logic threw a value that cannot be described",
        ),
    ] {
        let RunOutcome::Threw(thrown) = end_of(&format!("{script}\nexec /bin/sleep 60")).await.outcome else {
            panic!("{script}")
        };
        assert!(thrown.message.starts_with(expected), "{script}: {thrown:?}");
    }
    // Ends of runs that there are not, answers to pings that there were not, then
    // an end that counts.
    let others = "frame '\\015\\0\\0\\0' 023 '\\101\\0\\0\\0' $ZERO; printf null >&0; \
        frame '\\011\\0\\0\\0' 031 $ZERO '\\377\\0\\0\\0'; \
        frame '\\014\\0\\0\\0' 023 $RUN $ZERO; printf '[1]' >&0; exec /bin/sleep 60";
    assert_eq!(end_of(others).await.outcome, RunOutcome::Returned(json!([1])));
}

#[tokio::test]
async fn what_a_host_writes_is_cut() {
    // Five MiB in one line, and as much on its standard error.
    let script = "frame '\\012\\0\\120\\0' 026 $RUN $ZERO; printf '\\1' >&0
        /usr/bin/head -c 5242880 /dev/zero >&0
        /usr/bin/head -c 5242880 /dev/zero >&2 &
        frame '\\014\\0\\0\\0' 023 $RUN $ZERO; printf '[2]' >&0; exec /bin/sleep 60";
    let end = end_of(script).await;
    assert_eq!(end.outcome, RunOutcome::Returned(json!([2])));
    assert_eq!(end.console.len(), 1);
    assert!(end.console[0].text.len() <= 256 * 1024, "{}", end.console[0].text.len());
}

/// Answers at once, with four MiB.
struct Generous;

impl HostCalls for Generous {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        let answer = response(&request, 200, &vec![0; 4 << 20]);
        Box::pin(std::future::ready(Ok(answer.into())))
    }
}

#[tokio::test]
async fn answers_do_not_pile_up_before_a_host_that_does_not_read() {
    let impostor = Impostor::in_a_run(
        r#"i=0; while [ $i -lt 100 ]; do frame '\077\0\0\0' 027 $RUN $ZERO
        printf '\062\0\0\0["GET","http://a.example/","follow",[],false,null]' >&0
        i=$((i+1)); done; exec /bin/sleep 60"#,
    );
    let host = impostor.start().await.unwrap();
    let end = run_with(&host, json!({}), Arc::new(Generous)).await;
    let sentence = "the run brought its host down: \
        the limit of 256 MiB for answers that it has not read was reached";
    assert_eq!(end.outcome, RunOutcome::Killed(sentence.into()));
}

#[tokio::test]
async fn a_host_that_says_nothing_more_reaches_the_wall_limit() {
    let impostor = Impostor::in_a_run("exec /bin/sleep 60");
    let host = impostor.start().await.unwrap();
    let end = run_with(&host, json!({}), Arc::new(NoCalls)).await;
    assert_eq!(end.outcome, RunOutcome::TimedOut("the wall limit of 4 s was reached".into()));
}
