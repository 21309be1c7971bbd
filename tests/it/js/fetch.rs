//! `fetch`, answered by the daemon.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use provisiond::domain::host_call::{
    Effect, FetchRequest, Fetched, HostCallError, HostCallFuture, HostCalls, Redirect,
};
use provisiond::domain::status::ErrorClass;
use provisiond::domain::target::Limits;
use provisiond::js::{RunEnd, RunOutcome};
use serde_json::{Value, json};

use super::support::{NoCalls, Peer, response, run, run_with, start, start_within, thrown, value};

async fn with_peer(body: &str, peer: Arc<dyn HostCalls>) -> RunEnd {
    let host = start(&format!("export default async (ctx) => {{ {body} }}")).await;
    run_with(&host, json!({}), peer).await
}

#[tokio::test]
async fn a_request_is_handed_over_whole() {
    let peer = Peer::ok(r#"{"id":7}"#);
    let end = with_peer(
        "const answer = await fetch('https://a.example/users?x=1#frag', {
            method: 'post',
            headers: { 'X-One': '1', Authorization: 'Bearer t' },
            body: JSON.stringify({ name: 'Ada \u{e9}' }),
        });
        return { ok: answer.ok, status: answer.status, type: answer.headers.get('Content-Type'), id: (await answer.json()).id };",
        peer.clone(),
    )
    .await;
    assert_eq!(value(end), json!({"ok": true, "status": 200, "type": "application/json", "id": 7}));
    let expected = FetchRequest {
        method: "POST".into(),
        url: "https://a.example/users?x=1#frag".into(),
        headers: vec![
            ("x-one".into(), "1".into()),
            ("authorization".into(), "Bearer t".into()),
            ("content-type".into(), "text/plain;charset=UTF-8".into()),
        ],
        body: Some(Bytes::from("{\"name\":\"Ada é\"}")),
        redirect: Redirect::Unsaid,
        effect: None,
    };
    let mut seen = peer.seen();
    seen[0].headers.sort();
    let mut headers = expected.headers.clone();
    headers.sort();
    assert_eq!(seen, [FetchRequest { headers, ..expected }]);
}

#[tokio::test]
async fn logic_may_say_what_a_request_does() {
    let peer = Peer::ok("");
    let end = with_peer(
        "const url = 'https://a.example/';
        await fetch(url, { method: 'POST', effect: 'read' });
        await fetch(new Request(url), { effect: 'write' });
        await fetch(new URL(url), { method: 'POST', body: new Uint8Array(2), effect: null });
        return fetch(url, { effect: 'both' }).catch(String);",
        peer.clone(),
    )
    .await;
    let effects: Vec<_> = peer.seen().into_iter().map(|request| request.effect).collect();
    assert_eq!(effects, [Some(Effect::Read), Some(Effect::Write), None]);
    assert!(value(end).as_str().unwrap().contains("'effect' must be"));
}

#[tokio::test]
async fn every_kind_of_body_can_be_sent() {
    let peer = Peer::ok("");
    let end = with_peer(
        "const url = 'https://a.example/';
        const send = (body, headers) => fetch(url, { method: 'PUT', body, headers });
        await fetch(url);
        await send('');
        await send(new Uint8Array([0, 255, 128, 10]));
        await send(new Uint8Array([9, 1, 2, 9]).subarray(1, 3));
        await send(new URLSearchParams({ a: '1 2', b: '&' }));
        await send(new Blob(['blob', new Uint8Array([1])], { type: 'x/y' }));
        await send(new ReadableStream({ start(c) { c.enqueue(new Uint8Array([1, 2])); c.enqueue(new Uint8Array([3])); c.close(); } }));
        await fetch(new Request(url, { method: 'PATCH', body: 'request' }));
        const form = new FormData(); form.append('field', 'value');
        await send(form);",
        peer.clone(),
    )
    .await;
    value(end);
    let seen = peer.seen();
    let bodies: Vec<_> = seen.iter().map(|request| request.body.as_deref()).collect();
    assert_eq!(bodies[..2], [None, Some(&b""[..])]);
    assert_eq!(bodies[2], Some(&[0, 255, 128, 10][..]));
    assert_eq!(bodies[3], Some(&[1, 2][..]));
    assert_eq!(bodies[4], Some(&b"a=1+2&b=%26"[..]));
    assert_eq!(bodies[5], Some(&b"blob\x01"[..]));
    assert_eq!(bodies[6], Some(&[1, 2, 3][..]));
    assert_eq!((bodies[7], seen[7].method.as_str()), (Some(&b"request"[..]), "PATCH"));
    let form = String::from_utf8_lossy(bodies[8].unwrap()).into_owned();
    assert!(form.contains("name=\"field\"\r\n\r\nvalue\r\n"), "{form}");
    let type_of = |index: usize| -> Option<&str> {
        let header = seen[index].headers.iter().find(|(name, _)| name == "content-type");
        header.map(|(_, value)| value.as_str())
    };
    assert_eq!(type_of(4), Some("application/x-www-form-urlencoded;charset=UTF-8"));
    assert_eq!(type_of(5), Some("x/y"));
    assert!(type_of(8).is_some_and(|kind| kind.starts_with("multipart/form-data; boundary=")));
}

#[tokio::test]
async fn bodies_arrive_as_they_were_sent() {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    let long = "\u{e9}".repeat(50_000);
    let peer = Peer::new({
        let long = long.clone();
        move |request| {
            let body = match request.url.as_str() {
                "https://a.example/binary" => &bytes[..],
                "https://a.example/long" => long.as_bytes(),
                "https://a.example/bom" => "\u{feff}text".as_bytes(),
                "https://a.example/odd" => "\u{2028}\"\\\0".as_bytes(),
                _ => b"",
            };
            Ok(response(request, 200, body))
        }
    });
    let end = with_peer(
        "const get = (name) => fetch('https://a.example/' + name);
        const binary = new Uint8Array(await (await get('binary')).arrayBuffer());
        const streamed = [];
        for await (const chunk of (await get('binary')).body) streamed.push(chunk.length);
        return {
            length: binary.length,
            sum: binary.reduce((a, b) => a + b),
            streamed: streamed.reduce((a, b) => a + b),
            long: (await (await get('long')).text()).length,
            bom: await (await get('bom')).text(),
            odd: await (await get('odd')).text(),
            none: (await (await get('none')).arrayBuffer()).byteLength,
            blob: (await (await get('odd')).blob()).size,
            bytes: [...(await (await get('bom')).bytes())].slice(0, 3),
        };",
        peer,
    )
    .await;
    let expected = json!({
        "length": 100_000, "sum": sum, "streamed": 100_000, "long": 50_000, "bom": "text",
        "odd": "\u{2028}\"\\\0", "none": 0, "blob": 6, "bytes": [0xef, 0xbb, 0xbf],
    });
    assert_eq!(value(end), expected);
}

#[tokio::test]
async fn responses_follow_the_standard() {
    let peer = Peer::new(|request| {
        let mut answer = response(request, 204, b"");
        match request.url.rsplit('/').next() {
            Some("moved") => {
                answer.status = 200;
                answer.redirected = true;
                answer.url = "https://b.example/".into();
                answer.headers =
                    vec![("set-cookie".into(), "a=1".into()), ("set-cookie".into(), "b=2".into())];
            }
            Some("missing") => {
                answer.status = 404;
                answer.status_text = "Not Found".into();
            }
            Some("manual") => answer.status = 302,
            _ => {}
        }
        Ok(answer)
    });
    let end = with_peer(
        "const get = (name, init) => fetch('https://a.example/' + name, init);
        const moved = await get('moved');
        const missing = await get('missing');
        const empty = await get('empty');
        const manual = await get('manual', { redirect: 'manual' });
        const copy = moved.clone();
        let immutable; try { moved.headers.set('a', 'b'); } catch (error) { immutable = error.name; }
        let twice; await missing.text(); try { await missing.text(); } catch (error) { twice = error.name; }
        return [moved.redirected, moved.url, moved.headers.getSetCookie(), missing.ok, missing.statusText,
            empty.body, manual.status, await copy.text(), immutable, twice];",
        peer.clone(),
    )
    .await;
    let expected = json!([
        true,
        "https://b.example/",
        ["a=1", "b=2"],
        false,
        "Not Found",
        null,
        302,
        "",
        "TypeError",
        "TypeError"
    ]);
    assert_eq!(value(end), expected);
    let redirects: Vec<_> = peer.seen().iter().map(|request| request.redirect).collect();
    assert_eq!(redirects, [Redirect::Unsaid, Redirect::Unsaid, Redirect::Unsaid, Redirect::Manual]);
}

#[tokio::test]
async fn bad_requests_are_type_errors() {
    let end = with_peer(
        "const seen = [];
        for (const call of [
            () => fetch(),
            () => fetch('not a url'),
            () => fetch('https://a.example/', { method: 'TRACE' }),
            () => fetch('https://a.example/', { body: 'x' }),
            () => fetch('https://a.example/', { headers: { 'a b': 'c' } }),
            () => fetch('https://a.example/', { redirect: 'sometimes' }),
        ]) {
            const promise = call();
            try { await promise; seen.push('done'); } catch (error) { seen.push(error.name); }
        }
        return seen;",
        Peer::ok(""),
    )
    .await;
    assert_eq!(value(end), json!(vec!["TypeError"; 6]));
}

fn failing() -> Arc<Peer> {
    Peer::new(|_| {
        Err(HostCallError {
            class: ErrorClass::RateLimited,
            message: "too many requests".into(),
            retry_after: Some(Duration::from_secs(30)),
        })
    })
}

#[tokio::test]
async fn failed_calls_keep_their_class() {
    let end = with_peer(
        "try { await fetch('https://a.example/'); } catch (error) {
            return [error instanceof TypeError, error.name, error.message, error.errorClass, error.retryAfter];
        }",
        failing(),
    )
    .await;
    assert_eq!(value(end), json!([true, "HostCallError", "too many requests", "rateLimited", 30]));
    for body in [
        "await fetch('https://a.example/')",
        "try { await fetch('https://a.example/') } catch (cause) { throw new Error('too many requests', { cause }) }",
    ] {
        let thrown = thrown(with_peer(body, failing()).await);
        assert_eq!(thrown.message, "too many requests");
        assert_eq!(thrown.error_class, Some(ErrorClass::RateLimited));
        assert_eq!(thrown.retry_after, Some(Duration::from_secs(30)));
    }
}

/// Answers with the status that the path names, and asks to wait if that is a failure.
fn by_path() -> Arc<Peer> {
    Peer::new(|request| {
        let status = request.url.rsplit('/').next().unwrap().parse().unwrap();
        let mut answer = response(request, status, b"{}");
        if status >= 400 {
            answer.headers.push(("retry-after".into(), "299.997".into()));
        }
        Ok(answer)
    })
}

/// Wherever it stands in the chain of what was thrown, and in whatever form.
#[tokio::test]
async fn an_error_has_the_class_of_the_answer_that_it_came_of() {
    let limited = (Some(ErrorClass::RateLimited), Some(Duration::from_secs(300)));
    for (body, expected) in [
        ("throw limited", limited),
        ("throw new Error('x', { cause: limited })", limited),
        ("throw new Error('x', { cause: new Error('y', { cause: limited }) })", limited),
        ("throw Object.assign(new Error('x'), { response: limited })", limited),
        (
            "throw Object.assign(new Error('x'), { response: { status: 429, headers: { 'retry-after': 300 } } })",
            limited,
        ),
        ("throw new AggregateError([new Error('a'), new Error('b', { cause: limited })], 'x')", limited),
        (
            "await Promise.any([Promise.reject(new Error('a', { cause: missing })), Promise.reject(limited)])",
            limited,
        ),
        ("throw Object.assign(new Error('x'), { errorClass: 'rateLimited', retryAfter: '299.2' })", limited),
        ("throw Object.assign(new Error('x'), { errorClass: 'rateLimited', response: limited })", limited),
        (
            "throw Object.assign(new Error('x', { cause: limited }), { errorClass: 'auth' })",
            (Some(ErrorClass::Auth), None),
        ),
        (
            "throw new Error('x', { cause: missing })",
            (Some(ErrorClass::Permanent), Some(Duration::from_secs(300))),
        ),
        ("throw new Error('x', { cause: well })", (Some(ErrorClass::Logic), None)),
        ("throw Object.assign(new Error('x'), { response: 'nothing' })", (None, None)),
        ("throw Object.assign(new Error('x'), { status: 429, response: { status: 4 } })", (None, None)),
    ] {
        let calls = "const [limited, missing, well] = await Promise.all(
            [429, 404, 200].map((status) => fetch(`https://a.example/${status}`)));";
        let thrown = thrown(with_peer(&format!("{calls} {body}"), by_path()).await);
        assert_eq!((thrown.error_class, thrown.retry_after), expected, "{body}");
    }
}

/// What answers never, and what comes with it, is not asked twice.
#[tokio::test]
async fn hostile_errors_are_described() {
    for body in [
        "throw { get response() { throw new Error('inner') }, message: 'x' }",
        "throw Object.assign(new Error('x'), { response: { status: 429, headers: { get() { throw 1 } } } })",
        "const loop = new Error('x'); loop.cause = loop; throw loop",
        "const loop = new AggregateError([], 'x'); loop.errors = [loop, loop]; throw loop",
    ] {
        thrown(with_peer(body, Peer::ok("")).await);
    }
}

/// Never answers, and counts the calls that are begun and dropped.
#[derive(Debug, Default)]
struct Silence {
    begun: AtomicUsize,
    dropped: Arc<AtomicUsize>,
}

struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl HostCalls for Silence {
    fn fetch(&self, _: FetchRequest) -> HostCallFuture<Fetched> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let dropped = Dropped(self.dropped.clone());
        Box::pin(async move {
            let _dropped = dropped;
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn signals_abort_calls() {
    let silence = Arc::new(Silence::default());
    let host = start(
        "export default async () => {
            const seen = [];
            const controller = new AbortController();
            setTimeout(() => controller.abort(), 20);
            await fetch('https://a.example/', { signal: controller.signal }).catch((e) => seen.push(e.name));
            await fetch('https://a.example/', { signal: controller.signal }).catch((e) => seen.push(e.name));
            await fetch('https://a.example/', { signal: AbortSignal.timeout(20) }).catch((e) => seen.push(e.name));
            const request = new Request('https://a.example/', { signal: AbortSignal.timeout(20) });
            await fetch(request).catch((e) => seen.push(e.name));
            await fetch('https://a.example/', { signal: AbortSignal.abort(new Error('mine')) }).catch((e) => seen.push(e.message));
            return seen;
        }",
    )
    .await;
    let end = run_with(&host, json!({}), silence.clone()).await;
    assert_eq!(value(end), json!(["AbortError", "AbortError", "TimeoutError", "TimeoutError", "mine"]));
    assert_eq!(silence.begun.load(Ordering::SeqCst), 3);
    assert_eq!(silence.dropped.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn the_wall_limit_aborts_calls() {
    let silence = Arc::new(Silence::default());
    let host = start("export default async () => { await fetch('https://a.example/') }").await;
    let end = run_with(&host, json!({}), silence.clone()).await;
    assert_eq!(end.outcome, RunOutcome::TimedOut("the wall limit of 5 s was reached".into()));
    assert_eq!(silence.dropped.load(Ordering::SeqCst), 1);
    assert!(host.is_alive());
}

#[tokio::test]
async fn ended_runs_make_no_calls() {
    let host = start(
        "let late = [];
        export default async ({ look }) => {
            if (look) { await new Promise((resolve) => setTimeout(resolve, 60)); return late; }
            const later = async () => {
                await crypto.subtle.digest('SHA-256', new Uint8Array(1000));
                await fetch('https://a.example/').catch((error) => late.push(error.message));
                console.log('late');
                try { setTimeout(() => late.push('timer'), 1) } catch (error) { late.push(error.message) }
            };
            later();
            return 'early';
        }",
    )
    .await;
    assert_eq!(value(run(&host, json!({})).await), "early");
    let end = run_with(&host, json!({"look": true}), Arc::new(NoCalls)).await;
    assert!(end.console.is_empty(), "{:?}", end.console);
    let only = |what: &str| format!("{what} is only available while a run is in progress");
    assert_eq!(value(end), json!([only("fetch"), only("setTimeout")]));
}

#[tokio::test]
async fn calls_and_bodies_are_limited() {
    let peer = Peer::ok("1");
    let end = with_peer(
        "let done = 0;
        try { for (;;) { await fetch('https://a.example/'); done++; } }
        catch (error) { return [done, error.name, error.message, error.errorClass]; }",
        peer.clone(),
    )
    .await;
    let sentence = "the limit of 1000 host calls in a run was reached";
    assert_eq!(value(end), json!([1000, "HostCallError", sentence, "logic"]));
    assert_eq!(peer.seen().len(), 1000);
    let end = with_peer(
        "const send = (body) => fetch('https://a.example/', { method: 'POST', body }).then((r) => r.status, (e) => e.message);
        return [await send('x'.repeat(10 * 2 ** 20)), await send('x'.repeat(10 * 2 ** 20 + 1)), await send('\u{e9}'.repeat(6 * 2 ** 20))];",
        Peer::ok("1"),
    )
    .await;
    let sentence = "the limit of 10485760 bytes for a request body was reached";
    assert_eq!(value(end), json!([200, sentence, sentence]));
}

/// Answers when so many have asked, and not before.
struct Together(Arc<tokio::sync::Barrier>);

impl HostCalls for Together {
    fn fetch(&self, request: FetchRequest) -> HostCallFuture<Fetched> {
        let all = Arc::clone(&self.0);
        Box::pin(async move {
            all.wait().await;
            Ok(response(&request, 200, request.url.as_bytes()).into())
        })
    }
}

#[tokio::test]
async fn calls_go_on_side_by_side() {
    let end = with_peer(
        "const names = Array.from({ length: 50 }, (_, i) => 'https://a.example/' + i);
        const texts = await Promise.all(names.map(async (name) => (await fetch(name)).text()));
        return texts.every((text, i) => text === names[i]);",
        Arc::new(Together(Arc::new(tokio::sync::Barrier::new(50)))),
    )
    .await;
    assert_eq!(value(end), Value::Bool(true));
}

#[tokio::test]
async fn thousands_of_runs_with_calls_are_not_lost() {
    let host = Arc::new(
        start(
            "export default async ({ n }) => {
                const answer = await fetch('https://a.example/' + n, { method: 'POST', body: String(n) });
                return { status: answer.status, n: Number(await answer.text()) };
            }",
        )
        .await,
    );
    let echo = Peer::new(|request| Ok(response(request, 200, request.body.as_deref().unwrap_or_default())));
    let mut workers = Vec::new();
    for worker in 0..64u64 {
        let (host, echo) = (host.clone(), echo.clone());
        workers.push(tokio::spawn(async move {
            for i in 0..40 {
                let n = worker * 1000 + i;
                let end = run_with(&host, json!({ "n": n }), echo.clone()).await;
                assert_eq!(value(end), json!({"status": 200, "n": n}));
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_a_run_leaves_behind_fails_for_whoever_waits_for_it() {
    let silence = Arc::new(Silence::default());
    let host = start(
        "let shared;
        export default async () => {
            if (!shared) { shared = fetch('https://a.example/'); return 'first'; }
            return await shared.catch((error) => [error.errorClass, error.message]);
        }",
    )
    .await;
    assert_eq!(value(run_with(&host, json!({}), silence.clone()).await), json!("first"));
    let end = run_with(&host, json!({}), silence).await;
    assert_eq!(value(end), json!(["transient", "the run that made this call has ended"]));
}

#[tokio::test]
async fn a_body_that_is_given_up_is_not_sent() {
    let end = with_peer(
        "let cancelled;
        const stop = new AbortController();
        const body = new ReadableStream({
            pull: () => new Promise(() => {}),
            cancel: (reason) => { cancelled = reason.message; },
        });
        setTimeout(() => stop.abort(new Error('enough')), 5);
        const sent = fetch('https://a.example/', { method: 'POST', body, duplex: 'half', signal: stop.signal });
        return [await sent.catch((error) => error.message), cancelled];",
        Peer::new(|_| panic!("it was sent")),
    )
    .await;
    assert_eq!(value(end), json!(["enough", "enough"]));
}

#[tokio::test]
async fn the_longest_timeout_is_none() {
    let end = with_peer(
        "const signal = AbortSignal.timeout(Number.MAX_SAFE_INTEGER);
        await new Promise((resolve) => setTimeout(resolve, 20));
        return (await fetch('https://a.example/', { signal })).status;",
        Peer::ok(""),
    )
    .await;
    assert_eq!(value(end), json!(200));
}

#[tokio::test]
async fn heads_on_their_way_are_bounded() {
    let silence = Arc::new(Silence::default());
    let host = start_within(
        "export default async () => {
            const refused = [];
            const headers = { x: 'a'.repeat(900_000) };
            for (let i = 0; i < 100; i++) {
                fetch('https://a.example/', { headers }).catch((error) => refused.push(error.message));
                await new Promise((resolve) => setTimeout(resolve, 1));
            }
            while (refused.length < 20) await new Promise((resolve) => setTimeout(resolve, 1));
            return [...new Set(refused)];
        }",
        Limits { cpu_ms: 60_000, wall_ms: 60_000, heap_mib: 64 },
    )
    .await;
    let end = run_with(&host, json!({}), silence.clone()).await;
    assert_eq!(value(end), json!(["the limit of 64 MiB for requests on their way from a host was reached"]));
    assert!(silence.begun.load(Ordering::SeqCst) <= 75, "{silence:?}");
}
