//! What logic sees, and what it cannot change.

use provisiond::domain::host_call::HostCallError;
use provisiond::domain::status::ErrorClass;
use provisiond::domain::target::Limits;
use serde_json::json;

use super::support::{Peer, evaluate, response, run, run_once, run_with, start, start_within, value};

#[tokio::test]
async fn globals_are_exactly_these() {
    let names = evaluate(
        "const names = Reflect.ownKeys(globalThis).map(String).sort();
        return names;",
    )
    .await;
    insta::assert_snapshot!(
        names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    );
}

#[tokio::test]
async fn nothing_leads_to_the_host() {
    let found = evaluate(
        "const seen = new Set(), todo = [globalThis], names = [];
        const bad = /^(Deno|__bootstrap|gc|ops|core|internals|op_.*|__v8x.*|Atomics|SharedArrayBuffer|WebAssembly|ShadowRealm)$/;
        while (todo.length) {
            const value = todo.pop();
            if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) continue;
            seen.add(value);
            todo.push(Reflect.getPrototypeOf(value));
            for (const key of Reflect.ownKeys(value)) {
                if (typeof key === 'string' && bad.test(key)) names.push(key);
                const d = Reflect.getOwnPropertyDescriptor(value, key);
                todo.push(d.value, d.get, d.set);
            }
        }
        return names;",
    )
    .await;
    assert_eq!(found, json!([]));
}

#[tokio::test]
async fn everything_reachable_is_frozen() {
    let open = evaluate(
        "const seen = new Set([globalThis]), todo = [], open = [];
        const add = (value, path) => todo.push([value, path]);
        for (const key of Reflect.ownKeys(globalThis)) add(globalThis[key], String(key));
        add(Reflect.getPrototypeOf(async function* () {}), 'async generator');
        add(Reflect.getPrototypeOf(function* () {}), 'generator');
        add(Reflect.getPrototypeOf(async () => {}), 'async');
        add(Reflect.getPrototypeOf([][Symbol.iterator]()), 'array iterator');
        add(Reflect.getPrototypeOf(new URLSearchParams()[Symbol.iterator]()), 'params iterator');
        add(Reflect.getPrototypeOf('a'.matchAll(/a/g)), 'match iterator');
        while (todo.length) {
            const [value, path] = todo.pop();
            if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) continue;
            seen.add(value);
            if (!Object.isFrozen(value)) open.push(path);
            add(Reflect.getPrototypeOf(value), path + '.__proto__');
            for (const key of Reflect.ownKeys(value)) {
                const d = Reflect.getOwnPropertyDescriptor(value, key);
                for (const part of ['value', 'get', 'set']) add(d[part], path + '.' + String(key));
            }
        }
        return open;",
    )
    .await;
    assert_eq!(open, json!([]));
}

#[tokio::test]
async fn globals_cannot_be_replaced() {
    let results = evaluate(
        "const tries = [
            () => { Object.prototype.polluted = 1 }, () => { Array.prototype.map = 1 }, () => { fetch = 1 },
            () => { globalThis.fetch = 1 }, () => { delete globalThis.fetch; if (!fetch) throw new TypeError() },
            () => { JSON.parse = 1 }, () => { Headers.prototype.get = 1 }, () => { Object.prototype.toString = 1 },
            () => { console.log = 1 }, () => { Promise.prototype.then = 1 }, () => { ({}).__proto__.x = 1 },
            () => { Object.setPrototypeOf(Array.prototype, null) }, () => { crypto.subtle.digest = 1 },
        ];
        return tries.filter((attempt) => { try { attempt(); return true } catch (e) { return !(e instanceof TypeError) } }).map(String);",
    )
    .await;
    assert_eq!(results, json!([]));
}

#[tokio::test]
async fn innocent_assignments_work() {
    let code = "
        class Base { toString() { return 'base' } }
        class Mine extends Error { constructor(m) { super(m); this.name = 'Mine'; this.message = m + '!'; } }
        function Old() {}
        Old.prototype.toString = function () { return 'old' };
        Old.prototype.constructor = Old;
        function Sub() {} Sub.prototype = Object.create(Error.prototype); Sub.prototype.constructor = Sub; Sub.prototype.name = 'Sub';
        export default () => {
            const object = {}; object.toString = () => 'own'; object.hasOwnProperty = 1; object.constructor = 2; object.valueOf = 3;
            const array = []; array.toString = () => 'array';
            const instance = new Base(); instance.toString = () => 'instance';
            const date = new Date(0); date.toJSON = () => 'date';
            const f = () => {}; f.toString = () => 'function';
            const e = new Error('a'); e.message = 'b'; e.name = 'N'; e.stack = 's';
            Error.stackTraceLimit = 50; Error.prepareStackTrace = () => 'x';
            const { ...copy } = object;
            const parsed = JSON.parse('{\"toString\": 1, \"constructor\": 2, \"__proto__\": 3}');
            return [String(object), Object.keys(object), String(array), String(instance), JSON.stringify(date), String(f), String(e),
                String(new Mine('m')), String(new Old()), String(new Sub()), Object.keys(copy).length, Object.keys(parsed)];
        }";
    let expected = json!([
        "own",
        ["toString", "hasOwnProperty", "constructor", "valueOf"],
        "array",
        "instance",
        "\"date\"",
        "function",
        "N: b",
        "Mine: m!",
        "old",
        "Sub",
        4,
        ["toString", "constructor", "__proto__"]
    ]);
    assert_eq!(value(run_once(code).await), expected);
}

#[tokio::test]
async fn pollution_does_not_cross_runs() {
    let host = start(
        "export default ({ attack }) => {
            if (attack) {
                'use strict';
                for (const steal of [
                    () => { Object.prototype.admin = true }, () => { Array.prototype.push = () => 0 },
                    () => { ({}).constructor.prototype.admin = true }, () => { JSON.stringify = () => '1' },
                    () => { globalThis.JSON = null }, () => { Map.prototype.get = () => 1 },
                ]) try { steal() } catch {}
            }
            return [({}).admin ?? null, [1].push(2), JSON.stringify({ a: 1 }), new Map([[1, 2]]).get(1)];
        }",
    )
    .await;
    let clean = json!([null, 2, "{\"a\":1}", 2]);
    assert_eq!(value(run(&host, json!({"attack": true})).await), clean);
    assert_eq!(value(run(&host, json!({})).await), clean);
}

/// A peer of which some requests fail.
fn peer() -> std::sync::Arc<Peer> {
    Peer::new(|request| {
        if request.url.contains("fail") {
            let message = "refused".to_owned();
            return Err(HostCallError { class: ErrorClass::Transient, message, retry_after: None });
        }
        Ok(response(request, 200, b"answer"))
    })
}

/// From instances of everything, along properties, symbols, prototypes and what
/// accessors give: two runs have nothing in common that one could change.
#[tokio::test]
async fn nothing_that_two_runs_share_can_be_changed() {
    let limits = Limits { cpu_ms: 20_000, wall_ms: 60_000, heap_mib: 256 };
    let host = start_within(include_str!("walk.js"), limits).await;
    for number in 1..=3 {
        let found = value(run_with(&host, json!({}), peer()).await);
        assert!(found["seen"].as_u64() > Some(2_000), "{found}");
        assert_eq!(found["found"], json!([]), "in run {number}");
    }
}

#[tokio::test]
async fn the_insides_of_responses_and_errors_are_nobodys_to_change() {
    let host = start(
        "const inside = (object, name) => object[Reflect.ownKeys(object).find((key) => String(key) === `Symbol(${name})`)];
        const pollute = (object, name, value) => { try { object[name] = value; return 'changed'; } catch (error) { return error.name; } };
        export default async ({ attack }) => {
            const answer = await fetch('https://a.example/');
            const failure = await fetch('https://a.example/fail').catch((error) => error);
            const tried = [];
            if (attack) {
                const body = Object.getPrototypeOf(inside(answer, 'response').body);
                const { consume } = body;
                tried.push(pollute(body, 'consume', function () { return consume.call(this) + '/*poisoned*/'; }));
                tried.push(pollute(body, 'more', 1), pollute(body.constructor, 'more', 1));
                tried.push(pollute(Object.getPrototypeOf(failure), 'poison', 1), pollute(failure.constructor, 'poison', 1));
            }
            return [tried, await answer.text(), failure.poison ?? null, failure.constructor.poison ?? null, failure.errorClass];
        }",
    )
    .await;
    let attacked = value(run_with(&host, json!({ "attack": true }), peer()).await);
    assert_eq!(attacked[0], json!(["TypeError", "TypeError", "TypeError", "TypeError", "TypeError"]));
    let clean = json!([[], "answer", null, null, "transient"]);
    assert_eq!(value(run_with(&host, json!({}), peer()).await), clean);
}

#[tokio::test]
async fn the_global_object_stays_open_and_inherits_what_it_did() {
    let host = start(
        "export default ({ attack }) => {
            const attempts = [
                (g) => Object.freeze(g), (g) => Object.seal(g), (g) => Object.preventExtensions(g), (g) => Reflect.preventExtensions(g),
                (g) => Object.setPrototypeOf(g, { leaked: 1 }), (g) => Reflect.setPrototypeOf(g, { leaked: 1 }), (g) => { g.__proto__ = { leaked: 1 }; },
                (g) => Reflect.getOwnPropertyDescriptor(Object.prototype, '__proto__').set.call(g, null),
            ];
            const proxy = new Proxy(globalThis, {}), tried = [];
            const globals = attack ? [globalThis, proxy, new Proxy(proxy, { isExtensible: () => true })] : [];
            for (const attempt of attempts) for (const g of globals) {
                try { attempt(g); tried.push(String(attempt)); } catch (error) {
                    if (!(error instanceof TypeError) || !error.message.startsWith('globalThis cannot be ')) tried.push(error.message);
                }
            }
            globalThis.counted = (globalThis.counted ?? 0) + 1;
            return [tried, typeof leaked, counted, Object.isExtensible(globalThis)];
        }",
    )
    .await;
    assert_eq!(value(run(&host, json!({ "attack": true })).await), json!([[], "undefined", 1, true]));
    assert_eq!(value(run(&host, json!({})).await), json!([[], "undefined", 2, true]));
}

/// What guards the global object is as the functions of the language are.
#[tokio::test]
async fn other_objects_can_be_frozen_and_given_prototypes() {
    let seen = evaluate(
        "const proxied = new Proxy({}, {}), made = {};
        made.__proto__ = { a: 1 };
        const functions = [Object.freeze, Object.seal, Object.preventExtensions, Object.setPrototypeOf, Reflect.preventExtensions,
            Reflect.setPrototypeOf, Reflect.getOwnPropertyDescriptor(Object.prototype, '__proto__').set];
        const fails = (doing) => { try { doing(); return false; } catch (error) { return error instanceof TypeError; } };
        return [
            functions.map((f) => [f.name, f.length, Object.isFrozen(f), Object.hasOwn(f, 'prototype')].join()), made.a,
            Object.isFrozen(Object.freeze(proxied)), Object.isFrozen(proxied), Object.freeze(1), Object.seal('a'), Object.preventExtensions(null),
            Object.setPrototypeOf({}, Array.prototype) instanceof Array, Reflect.setPrototypeOf({}, null), Reflect.preventExtensions([]),
            fails(() => Reflect.preventExtensions(1)), fails(() => Object.setPrototypeOf(null, {})), fails(() => Reflect.setPrototypeOf(1, {})),
            Object.isSealed(Object.seal([])), Object.freeze(Proxy.revocable({}, {}).proxy) !== undefined,
        ];",
    )
    .await;
    assert_eq!(
        seen,
        json!([
            [
                "freeze,1,true,false",
                "seal,1,true,false",
                "preventExtensions,1,true,false",
                "setPrototypeOf,2,true,false",
                "preventExtensions,1,true,false",
                "setPrototypeOf,2,true,false",
                "set __proto__,1,true,false"
            ],
            1,
            true,
            true,
            1,
            "a",
            null,
            true,
            true,
            true,
            true,
            true,
            true,
            true,
            true,
        ])
    );
}

#[tokio::test]
async fn the_webs_globals_work() {
    let seen = evaluate(
        "const key = await crypto.subtle.importKey('raw', new TextEncoder().encode('k'), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
        const mac = new Uint8Array(await crypto.subtle.sign('HMAC', key, new TextEncoder().encode('m')));
        const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
        const copy = structuredClone({ a: new Map([[1, new Date(5)]]), b: [1n] });
        const stream = new Response('streamed').body.pipeThrough(new TextDecoderStream());
        let text = ''; for await (const part of stream) text += part;
        return {
            mac: mac.length, key: key instanceof CryptoKey, pair: pair.publicKey.type,
            uuid: crypto.randomUUID().length, random: crypto.getRandomValues(new Uint8Array(4)).length,
            clone: copy.a.get(1).getTime(), big: String(copy.b[0]), base64: atob(btoa('hello')),
            url: new URL('../b?c=1', 'https://a.example/x/y').href, params: [...new URLSearchParams('a=1&a=2')].length,
            pattern: new URLPattern({ pathname: '/users/:id' }).exec('https://a.example/users/7').pathname.groups.id,
            headers: [...new Headers([['B', '2'], ['a', '1']])], decoded: new TextDecoder('latin1').decode(new Uint8Array([233])),
            text, now: typeof performance.now(), signal: ctx.signal instanceof AbortSignal, aborted: ctx.signal.aborted,
            json: JSON.stringify(ctx), event: new CustomEvent('x', { detail: 1 }).detail,
            file: new File(['a'], 'n').name, response: await Response.json({ a: 1 }).text(),
        };",
    )
    .await;
    let expected = json!({
        "mac": 32, "key": true, "pair": "public", "uuid": 36, "random": 4, "clone": 5, "big": "1",
        "base64": "hello", "url": "https://a.example/b?c=1", "params": 2, "pattern": "7",
        "headers": [["a", "1"], ["b", "2"]], "decoded": "\u{e9}", "text": "streamed", "now": "number",
        "signal": true, "aborted": false, "json": "{}", "event": 1, "file": "n",
        "response": "{\"a\":1}",
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn code_can_be_made_but_stays_inside() {
    let seen = evaluate("return [eval('1 + 1'), new Function('a', 'return a + 1')(2), typeof new Function('return this')().Deno]").await;
    assert_eq!(seen, json!([2, 3, "undefined"]));
}

/// What `docs/web-platform.md` says is there, or is not.
#[tokio::test]
async fn the_table_of_the_platform_holds() {
    let wrong = evaluate(
        r#"const there = [
            "Array.fromAsync", "Iterator.concat", "Iterator.zip", "Error.isError", "Math.sumPrecise", "Map.prototype.getOrInsert",
            "JSON.rawJSON", "RegExp.escape", "Uint8Array.fromBase64", "Uint8Array.fromHex", "Uint8Array.prototype.toBase64",
            "Promise.withResolvers", "Promise.try", "Iterator.prototype.map", "Set.prototype.union", "Object.groupBy",
            "Array.prototype.toSorted", "ArrayBuffer.prototype.resize", "Float16Array", "ReadableStream.from", "AbortSignal.any",
            "Response.json", "URL.canParse", "Intl.DateTimeFormat", "/[\\p{L}--[a-z]]/v", "/(?i:a)/", "/(?<a>x)|(?<a>y)/",
        ];
        const gone = [
            "Intl.NumberFormat", "Intl.Collator", "Temporal", "WebAssembly", "SharedArrayBuffer", "Atomics", "DisposableStack", "FileReader", "XMLHttpRequest",
            "WebSocket", "EventSource", "CompressionStream", "navigator", "location", "process", "Buffer", "Worker",
            "BroadcastChannel", "MessageChannel", "localStorage", "performance.mark", "URL.createObjectURL",
        ];
        const value = (name) => { try { return (0, eval)(name); } catch (error) { return error instanceof ReferenceError ? undefined : error; } };
        return [
            ...there.filter((name) => value(name) === undefined || value(name) instanceof Error),
            ...gone.filter((name) => value(name) !== undefined),
        ];"#,
    )
    .await;
    assert_eq!(wrong, json!([]));
}

/// The words are those of a full implementation for en-US (ICU); the engine's own
/// pretends to know more and has a constant for one choice of options.
#[tokio::test]
async fn dates_are_shown_in_the_words_of_one_locale_and_any_zone() {
    let shown = evaluate(
        "const date = new Date(Date.UTC(2026, 6, 2, 22, 4, 5, 67));
        const full = { weekday: 'long', year: 'numeric', month: 'long', day: 'numeric' };
        const sortable = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
        const show = (options) => new Intl.DateTimeFormat('de-DE', options).format(date);
        const name = (make) => { try { make(); } catch (error) { return error.name; } };
        return [
            show(), show(full), show({ ...full, timeZone: 'Europe/Berlin' }), show({ ...sortable, timeZone: 'Asia/Kolkata' }),
            show({ dateStyle: 'medium', timeStyle: 'short', timeZone: 'America/New_York' }),
            show({ hour: 'numeric', timeZoneName: 'shortOffset', timeZone: 'Asia/Kolkata' }),
            date.toLocaleString('de-DE', full), date.toLocaleString(), date.toLocaleDateString(),
            date.toLocaleTimeString('en', { timeZone: 'Europe/Berlin', hour12: false }), new Date(NaN).toLocaleString(),
            Intl.DateTimeFormat('de').resolvedOptions().locale, Intl.DateTimeFormat.supportedLocalesOf(['de', 'en-US']),
            new Intl.DateTimeFormat('en', { timeZone: 'Asia/Calcutta' }).resolvedOptions().timeZone,
            name(() => show({ timeZone: 'Nowhere/X' })), name(() => show({ month: 'roman' })),
            name(() => show({ dateStyle: 'full', month: 'long' })), name(() => new Intl.DateTimeFormat().format(NaN)),
            new Intl.DateTimeFormat('en', { timeZone: 'Europe/Berlin', hour: 'numeric', era: 'short', year: 'numeric' })
                .formatToParts(date).map((part) => part.type + part.value).join('|'),
        ];",
    )
    .await;
    assert_eq!(
        shown,
        json!([
            "7/2/2026",
            "Thursday, July 2, 2026",
            "Friday, July 3, 2026",
            "07/03/2026, 03:34",
            "Jul 2, 2026, 6:04 PM",
            "3 AM GMT+5:30",
            "Thursday, July 2, 2026",
            "7/2/2026, 10:04:05 PM",
            "7/2/2026",
            "00:04:05",
            "Invalid Date",
            "en-US",
            ["en-US"],
            "Asia/Kolkata",
            "RangeError",
            "RangeError",
            "TypeError",
            "RangeError",
            "year2026|literal |eraAD|literal, |hour12|literal |dayPeriodAM",
        ])
    );
}

#[tokio::test]
async fn cryptography_is_there_and_fails_with_its_own_errors() {
    let found = evaluate(
        "const { subtle } = crypto, data = new Uint8Array([1, 2, 3]);
        const round = async (algorithm, key, back = key) =>
            new Uint8Array(await subtle.decrypt(algorithm, back, await subtle.encrypt(algorithm, key, data))).join();
        const made = [];
        for (const name of ['AES-GCM', 'AES-CBC']) {
            const key = await subtle.generateKey({ name, length: 256 }, false, ['encrypt', 'decrypt']);
            made.push(await round({ name, iv: crypto.getRandomValues(new Uint8Array(name === 'AES-GCM' ? 12 : 16)) }, key));
        }
        const counter = await subtle.generateKey({ name: 'AES-CTR', length: 128 }, false, ['encrypt', 'decrypt']);
        made.push(await round({ name: 'AES-CTR', counter: new Uint8Array(16), length: 64 }, counter));
        for (const name of ['HKDF', 'PBKDF2']) {
            const key = await subtle.importKey('raw', data, name, false, ['deriveBits']);
            const how = { name, hash: 'SHA-256', salt: data, info: data, iterations: 10 };
            made.push((await subtle.deriveBits(how, key, 128)).byteLength);
        }
        for (const algorithm of [{ name: 'ECDH', namedCurve: 'P-256' }, { name: 'X25519' }]) {
            const { privateKey, publicKey } = await subtle.generateKey(algorithm, false, ['deriveBits']);
            made.push((await subtle.deriveBits({ name: algorithm.name, public: publicKey }, privateKey, 256)).byteLength);
        }
        const errors = [];
        const failing = async (doing) => {
            try { await doing(); } catch (error) { errors.push([error instanceof DOMException, error.name]); }
        };
        await failing(() => subtle.importKey('raw', data, 'AES-GCM', false, ['encrypt']));
        await failing(() => subtle.digest('MD5', data));
        await failing(() => subtle.encrypt({ name: 'AES-GCM', iv: data }, counter, data));
        await failing(() => atob('*'));
        await failing(() => crypto.getRandomValues(new Uint8Array(65537)));
        return { made, errors };",
    )
    .await;
    assert_eq!(found["made"], json!(["1,2,3", "1,2,3", "1,2,3", 16, 16, 32, 32]));
    let names = [
        "DataError",
        "NotSupportedError",
        "InvalidAccessError",
        "InvalidCharacterError",
        "QuotaExceededError",
    ];
    assert_eq!(found["errors"], json!(names.map(|name| json!([true, name]))));
}

#[tokio::test]
async fn errors_are_not_cloned() {
    let names = evaluate(
        "return [new Error('x'), new TypeError('x'), new AggregateError([]), { deep: [new Error('x')] }]
            .map((value) => { try { structuredClone(value); } catch (error) { return error.name; } });",
    )
    .await;
    assert_eq!(names, json!(["DataCloneError", "DataCloneError", "DataCloneError", "DataCloneError"]));
}

#[tokio::test]
async fn bodies_are_streams() {
    let read = evaluate(
        "const reader = new Response('abc').body.getReader();
        const first = await reader.read();
        const text = [];
        const euro = new Uint8Array([0xe2, 0x82, 0xac]);
        const split = ReadableStream.from([euro.subarray(0, 1), euro.subarray(1)]);
        for await (const part of new Response(split).body.pipeThrough(new TextDecoderStream())) text.push(part);
        const bytes = new Blob(['xyz']).stream().getReader({ mode: 'byob' });
        const { value } = await bytes.read(new Uint8Array(2));
        const [one, two] = new Response('tee').body.tee();
        return {
            first: [first.done, first.value.length], last: (await reader.read()).done, text: text.join(''),
            byob: [...value], tee: [await new Response(one).text(), await new Response(two).text()],
            json: await Response.json({ a: 1 }).json(), any: AbortSignal.any([AbortSignal.abort('x')]).reason,
        };",
    )
    .await;
    assert_eq!(
        read,
        json!({
            "first": [false, 3], "last": true, "text": "\u{20ac}", "byob": [120, 121],
            "tee": ["tee", "tee"], "json": { "a": 1 }, "any": "x",
        })
    );
}
