//! What logic answers: as JSON that says what was meant, and not before its calls
//! are done.

use std::time::Duration;

use provisiond::domain::host_call::HostCallError;
use provisiond::domain::status::ErrorClass;
use provisiond::js::{RunEnd, RunOutcome};
use serde_json::{Value, json};

use super::support::{Peer, evaluate, response, run, run_once, run_with, start, texts, thrown, value};

/// The message of a run that fails in the class that is the author's to mend.
fn refused(end: RunEnd) -> String {
    let thrown = thrown(end);
    assert_eq!(thrown.error_class, Some(ErrorClass::Logic), "{thrown:?}");
    thrown.message
}

#[tokio::test]
async fn returned_values_become_json() {
    assert_eq!(evaluate("").await, json!(null));
    assert_eq!(evaluate("return null").await, json!(null));
    assert_eq!(
        evaluate("return { a: undefined, b: new Date(0), c: null, d: [null, {}], e: new Number(4) }").await,
        json!({"b": "1970-01-01T00:00:00.000Z", "c": null, "d": [null, {}], "e": 4})
    );
    assert_eq!(
        evaluate("class P { x = 1; #y = 2; f() {} } return { p: new P(), e: new (class {})() }").await,
        json!({"p": {"x": 1}, "e": {}})
    );
    assert_eq!(evaluate("return { then(resolve) { resolve(7) } }").await, json!(7));
    assert_eq!(
        evaluate("return ['\\ud800', { a: '\\ud800' }]").await,
        json!(["\u{fffd}", { "a": "\u{fffd}" }])
    );
}

#[tokio::test]
async fn what_json_cannot_say_is_named() {
    let host = start("export default ({ code }) => (0, eval)(`(${code})`)").await;
    for (code, expected) in [
        ("{ attributes: { phones: ['1', '2', NaN] } }", "`attributes.phones[2]` in the response is NaN"),
        (
            "{ attributes: { phones: ['1', undefined] } }",
            "`attributes.phones[1]` in the response is undefined",
        ),
        ("{ attributes: { phones: [, '1'] } }", "`attributes.phones[0]` in the response is undefined"),
        (
            "{ attributes: { until: new Date('soon') } }",
            "`attributes.until` in the response is an invalid date",
        ),
        ("{ attributes: { mail: () => 1 } }", "`attributes.mail` in the response is a function"),
        ("{ attributes: { mail: Symbol('x') } }", "`attributes.mail` in the response is a symbol"),
        ("{ attributes: { n: 1n } }", "`attributes.n` in the response is a BigInt: write it as a string"),
        (
            "{ attributes: Promise.resolve({}) }",
            "`attributes` in the response is a promise: an `await` is missing",
        ),
        (
            "{ metadata: { a: { b: [{ c: -Infinity }] } } }",
            "`metadata.a.b[0].c` in the response is -Infinity",
        ),
        ("{ metadata: new Map([[1, 2]]) }", "`metadata` in the response is an object of the class Map"),
        (
            "{ metadata: { seen: new Set([1]) } }",
            "`metadata.seen` in the response is an object of the class Set",
        ),
        (
            "{ metadata: { headers: new Headers() } }",
            "`metadata.headers` in the response is an object of the class Headers",
        ),
        (
            "{ metadata: { error: new Error('x') } }",
            "`metadata.error` in the response is an object of the class Error",
        ),
        (
            "{ metadata: { toJSON: () => null } }",
            "`metadata` in the response is an object whose `toJSON` gives null",
        ),
        (
            "{ metadata: { toJSON() {} } }",
            "`metadata` in the response is an object whose `toJSON` gives nothing",
        ),
        ("{ metadata: { n: new Number(NaN) } }", "`metadata.n` in the response is NaN"),
        ("{ runAgainIn: 60 / 0 }", "`runAgainIn` in the response is Infinity"),
        ("{ runAgainIn: Number('1 h') }", "`runAgainIn` in the response is NaN"),
        ("{ runAgainAt: new Date(NaN) }", "`runAgainAt` in the response is an invalid date"),
        ("{ remoteId: NaN }", "`remoteId` in the response is NaN"),
        ("{ remoteId: 12345678901234567890n }", "`remoteId` in the response is a BigInt"),
        ("NaN", "the returned value is NaN"),
        ("() => 1", "the returned value is a function"),
        ("Symbol('a')", "the returned value is a symbol"),
        ("1n", "the returned value is a BigInt"),
    ] {
        let message = refused(run(&host, json!({ "code": code })).await);
        assert!(message.starts_with(expected), "{code}: {message}");
    }
}

#[tokio::test]
async fn what_cannot_be_written_at_all_is_the_authors_to_mend() {
    for (body, expected) in [
        ("const a = {}; a.a = a; return a", "the returned value cannot be written as JSON: TypeError: "),
        ("return { toJSON() { throw new Error('no') } }", "the returned value cannot be written as JSON: no"),
        (
            "return { a: {}, get b() { throw new Error('no') } }",
            "the returned value cannot be written as JSON: no",
        ),
    ] {
        let message = refused(run_once(&format!("export default () => {{ {body} }}")).await);
        assert!(message.starts_with(expected), "{body}: {message}");
    }
}

/// What becomes of a run that answers this early, and of what it wrote.
async fn answering_early(body: &str) -> RunEnd {
    let peer = Peer::slow(Duration::from_secs(600), |request| Ok(response(request, 200, b"{}")));
    let code = format!(
        "const url = 'https://me:pw@crm.example/users/7?key=k#f', done = {{ status: 'provisioned' }};
        const put = (init) => fetch(url, {{ method: 'PUT', body: 'x', ...init }});
        export default async (ctx) => {{ {body} }}"
    );
    run_with(&start(&code).await, json!({}), peer).await
}

#[tokio::test]
async fn a_forgotten_await_fails_the_run_and_names_the_call() {
    let put = "logic answered while PUT https://crm.example/users/7 was under way: an `await` is missing";
    for body in [
        "put(); return done",
        "void put().then((saved) => saved.json()); return done",
        "const save = async () => { const saved = await put(); if (!saved.ok) throw 1 }; save(); return done",
        "await Promise.race([put(), new Promise((go) => setTimeout(go, 5))]); return done",
        "const stop = new AbortController(); put({ signal: stop.signal }); return { status: 'provisionOngoing' }",
        "put({ body: new ReadableStream({ start() {} }) }); return done",
        "fetch(url, { method: 'PUT', body: new Blob(['x']).stream() }); return done",
    ] {
        let message = refused(answering_early(body).await);
        assert!(message.starts_with(put), "{body}: {message}");
    }
    let two = "put(); fetch('https://a.example/b', { effect: 'write' }); return done";
    let message = refused(answering_early(two).await);
    assert!(
        message.contains("PUT https://crm.example/users/7, GET https://a.example/b were under way"),
        "{message}"
    );
    let many = "for (let i = 0; i < 9; i++) put(); return done";
    let message = refused(answering_early(many).await);
    assert!(message.contains("users/7 and 6 more were under way"), "{message}");
}

#[tokio::test]
async fn what_is_given_up_on_purpose_is_no_forgotten_call() {
    for (body, warned) in [
        (
            "const stop = new AbortController(); put({ signal: stop.signal }).catch(() => {}); stop.abort(); return done",
            false,
        ),
        ("await put({ signal: AbortSignal.timeout(5) }).catch(() => {}); return done", false),
        (
            "const stop = new AbortController(), body = new ReadableStream({ start() {} }); \
          const sent = put({ body, signal: stop.signal }).catch(() => {}); stop.abort(); await sent; return done",
            false,
        ),
        ("const key = crypto.subtle.digest('SHA-256', new Uint8Array(9)); return done", false),
        ("fetch(url); return done", true),
        ("fetch(url, { method: 'POST', effect: 'read' }); return done", true),
        ("await Promise.race([fetch(url), Promise.resolve(1)]); return done", true),
        (
            "try { await Promise.all([put(), Promise.reject(1)]) } catch { return { status: 'provisionFailed' } }",
            true,
        ),
    ] {
        let end = answering_early(body).await;
        let lines = texts(&end.console);
        assert_eq!(
            lines.iter().any(|line| line.starts_with("logic answered while ")),
            warned,
            "{body}: {lines:?}"
        );
        assert!(matches!(end.outcome, RunOutcome::Returned(_)), "{body}: {end:?}");
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_no_forgotten_call() {
    let failing = |request: &provisiond::domain::host_call::FetchRequest| match request.url.ends_with("/no") {
        true => Err(HostCallError { class: ErrorClass::Transient, message: "no".into(), retry_after: None }),
        false => Ok(response(request, 200, &[b'x'; 100_000])),
    };
    let code = "export default async () => {
        const { ok } = await fetch('https://a.example/', { method: 'POST', body: 'x' });
        await fetch('https://a.example/no', { method: 'POST', body: 'x' }).catch(() => {});
        return ok;
    }";
    assert_eq!(value(run_with(&start(code).await, json!({}), Peer::new(failing)).await), json!(true));
}

fn with_secrets(code: &str, secrets: Value) -> Value {
    json!({ "code": code, "connection": { "url": "x", "secrets": secrets } })
}

#[tokio::test]
async fn an_unknown_secret_is_an_error_that_lists_the_known_ones() {
    let host = start("export default ({ code, connection: { secrets } }) => eval(code)").await;
    let two = json!({ "token": "h-1", "key2": "h-2" });
    for code in [
        "`Bearer ${secrets.tokn}`",
        "secrets['tokn']",
        "const { tokn } = secrets",
        "secrets.tokn ?? 'x'",
        "Object.create(secrets).tokn",
    ] {
        let message = refused(run(&host, with_secrets(code, two.clone())).await);
        let expected = "TypeError: `ctx.connection.secrets` has no `tokn`: there are `token`, `key2`";
        assert!(message.starts_with(expected), "{code}: {message}");
    }
    let message = refused(run(&host, with_secrets("secrets.token", json!({}))).await);
    assert!(message.contains("has no `token`: there are none"), "{message}");
}

#[tokio::test]
async fn secrets_are_otherwise_an_object_like_any() {
    let host = start("export default async ({ code, connection: { secrets } }) => await eval(code)").await;
    let two = json!({ "token": "h-1", "key2": "h-2" });
    for (code, expected) in [
        ("secrets.token", json!("h-1")),
        (
            "['token' in secrets, 'tokn' in secrets, Object.hasOwn(secrets, 'tokn'), secrets.hasOwnProperty('key2')]",
            json!([true, false, false, true]),
        ),
        ("Object.entries(secrets)", json!([["token", "h-1"], ["key2", "h-2"]])),
        ("secrets", two.clone()),
        ("({ ...secrets })", two.clone()),
        ("structuredClone(secrets)", two.clone()),
        (
            "(() => { const names = []; for (const name in secrets) names.push(name); return names })()",
            json!(["token", "key2"]),
        ),
        (
            "[secrets?.then === undefined, secrets[Symbol.iterator] === undefined, secrets.length === undefined]",
            json!([true, true, true]),
        ),
        ("(console.log(secrets), String(secrets))", json!("[object Object]")),
        ("(secrets.mine = 1, secrets.mine)", json!(1)),
        ("secrets instanceof Object && secrets.constructor === Object", json!(true)),
    ] {
        assert_eq!(value(run(&host, with_secrets(code, two.clone())).await), expected, "{code}");
    }
}
