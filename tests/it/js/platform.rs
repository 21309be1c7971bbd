//! Rows of `docs/web-platform.md` that no suite of the web's own is behind.

use serde_json::json;

use super::support::{Peer, evaluate, response, run_with, start, value};

/// What `f` returns or how its error begins.
const TRY: &str = "const attempt = (f) => { try { return f(); } catch (error) { return error.name + ': ' + error.message; } };";

#[tokio::test]
async fn patterns_match_urls() {
    let seen = evaluate(
        "const users = new URLPattern({ pathname: '/users/:id' }), url = 'https://a.example/users/7';
        const whole = new URLPattern('https://*.example:8443/a/:b\\\\?c=*#d');
        const based = new URLPattern('/a/:b', 'https://a.example/x?y');
        const object = new URLPattern({ pathname: 'b', baseURL: 'https://a.example/a/c' });
        const found = whole.exec('https://x.y.example:8443/a/B?c=1#d');
        return {
            test: [users.test(url), users.test(url + '/x'), users.test({ pathname: '/users/7' }),
                users.test('/users/7'), users.test('/users/7', 'https://a.example'), new URLPattern().test(url)],
            exec: [users.exec('https://a.example/nobody'), users.exec(url).pathname, users.exec(url).inputs,
                users.exec('/users/7', 'https://a.example').inputs],
            whole: [found.hostname, found.port.input, found.pathname.groups, found.search.groups, found.hash.input],
            based: [based.protocol, based.hostname, based.port, based.pathname, based.test('https://a.example/a/b'),
                based.test('https://b.example/a/b')],
            object: [object.pathname, object.test('https://a.example/a/b'), object.test('https://a.example/b')],
        };",
    )
    .await;
    assert_eq!(
        seen,
        json!({
            "test": [true, false, true, false, true, true],
            "exec": [
                null, { "input": "/users/7", "groups": { "id": "7" } }, ["https://a.example/users/7"],
                ["/users/7", "https://a.example"],
            ],
            "whole": [
                { "input": "x.y.example", "groups": { "0": "x.y" } }, "8443", { "b": "B" }, { "0": "1" }, "d",
            ],
            "based": ["https", "a.example", "", "/a/:b", true, false],
            "object": ["/a/b", true, false],
        })
    );
}

#[tokio::test]
async fn patterns_have_groups() {
    let seen = evaluate(
        "const groups = (pathname, path) => {
            const found = new URLPattern({ pathname }).exec({ pathname: path });
            return found && Object.entries(found.pathname.groups).map(([name, text]) => `${name}=${text}`).join();
        };
        const kinds = '/:kind(user|group)/:id(\\\\d+)';
        return {
            groups: [
                groups('/files/*', '/files/a/b'), groups('/*/x/*', '/a/x/b'), groups('/files{/:sub}?', '/files'), groups('/:path+', '/a/b'),
                groups('/:path*', '/'), groups('/:path+', '/'), groups(kinds, '/group/12'), groups(kinds, '/group/x'), groups('/(a+)', '/aa'),
                groups('/é', '/%C3%A9'), groups('/USERS', '/users'),
            ],
            folded: [
                new URLPattern({ pathname: '/USERS' }, { ignoreCase: true }).test({ pathname: '/users' }),
                new URLPattern('/USERS', 'https://a.example', { ignoreCase: true }).test('https://a.example/users'),
            ],
            others: [
                new URLPattern({ search: 'a=:x&*' }).exec('https://a.example/?a=1&b=2').search.groups,
                new URLPattern({ hostname: '{:sub.}?a.example' }).exec('https://b.a.example/').hostname.groups,
                new URLPattern({ protocol: 'http{s}?' }).test('http://a.example/'),
                new URLPattern({ hostname: 'm\\u00fcnchen.example' }).hostname,
            ],
            expressions: [kinds, '/users/:id', '/files/*'].map((pathname) => new URLPattern({ pathname }).hasRegExpGroups),
        };",
    )
    .await;
    assert_eq!(
        seen,
        json!({
            "groups": [
                "0=a/b", "0=a,1=b", "sub=undefined", "path=a/b", null, null, "kind=group,id=12", null, "0=aa", "", null,
            ],
            "folded": [true, true],
            "others": [{ "0": "b=2", "x": "1" }, { "sub": "b" }, true, "xn--mnchen-3ya.example"],
            "expressions": [true, false, false],
        })
    );
}

#[tokio::test]
async fn bad_patterns_are_type_errors() {
    let seen = evaluate(
        "const bad = [
            () => new URLPattern({ pathname: '/(' }), () => new URLPattern({ pathname: '/([)' }), () => new URLPattern({ pathname: '/(é)' }),
            () => new URLPattern({ pathname: '/:a/:a' }), () => new URLPattern('/a'), () => new URLPattern('https://a.example', 'nonsense'),
            () => new URLPattern({ pathname: '/a' }, 'https://a.example'), () => URLPattern({}),
            () => new URLPattern({}).test({ pathname: '/' }, 'https://a.example'), () => URLPattern.prototype.test.call({}, 'https://a.example'),
            // As the table says: the flag is `u`.
            () => new URLPattern({ pathname: '/([\\\\p{L}--[a-z]])' }),
        ];
        return bad.filter((attempt) => { try { attempt(); return true; } catch (error) { return !(error instanceof TypeError); } }).map(String);",
    )
    .await;
    assert_eq!(seen, json!([]));
}

#[tokio::test]
async fn requests_and_responses_have_their_short_forms() {
    let peer = Peer::new(|request| Ok(response(request, 200, b"body")));
    let code = "export default async () => {
        const sent = { cookie: 'a=1', 'set-cookie': 'b=2', origin: 'https://b.example' };
        const got = await fetch(new Request('https://a.example/', { headers: sent }).clone());
        const form = new FormData();
        form.append('a', '1'); form.append('a', new File(['x'], 'n.txt')); form.set('b', new Blob(['y']));
        const read = await new Response(form).formData();
        const redirect = Response.redirect('https://b.example/', 303);
        const chunks = []; for await (const chunk of got.clone().body) chunks.push(...chunk);
        return {
            own: [...new Headers(sent).keys()], bytes: [...(await got.bytes())], chunks,
            error: [Response.error().type, Response.error().status],
            redirect: [redirect.status, redirect.headers.get('location')],
            form: [read.getAll('a').length, await read.getAll('a')[1].text(), read.get('a'), read.get('b').name, read.has('c')],
        };
    }";
    let end = run_with(&start(code).await, json!({}), peer.clone()).await;
    assert_eq!(
        value(end),
        json!({
            "own": ["cookie", "origin", "set-cookie"], "bytes": [98, 111, 100, 121], "chunks": [98, 111, 100, 121],
            "error": ["error", 0], "redirect": [303, "https://b.example/"], "form": [2, "x", "1", "blob", false],
        })
    );
    let names: Vec<_> = peer.seen()[0].headers.iter().map(|(name, _)| name.clone()).collect();
    assert!(
        ["cookie", "set-cookie", "origin"].iter().all(|name| names.iter().any(|n| n == name)),
        "{names:?}"
    );
}

#[tokio::test]
async fn bytes_have_their_texts() {
    let seen = evaluate(&format!(
        "{TRY} const bytes = new Uint8Array([251, 255, 0]);
        return [
            atob('-_8'), bytes.toBase64(), bytes.toBase64({{ alphabet: 'base64url', omitPadding: true }}), bytes.toHex(),
            [...Uint8Array.fromBase64('-_8', {{ alphabet: 'base64url' }})], [...Uint8Array.fromHex('fbff')],
            attempt(() => Uint8Array.fromHex('x')).split(':')[0],
        ];"
    ))
    .await;
    let expected = json!(["\u{fb}\u{ff}", "+/8A", "-_8A", "fbff00", [251, 255], [251, 255], "SyntaxError"]);
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn keys_are_wrapped_derived_and_used() {
    let seen = evaluate(
        "const { subtle } = crypto, data = new Uint8Array([1, 2, 3]), hash = 'SHA-256';
        const rsa = await subtle.generateKey(
            { name: 'RSA-OAEP', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash }, true, ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey']);
        const opened = await subtle.decrypt('RSA-OAEP', rsa.privateKey, await subtle.encrypt('RSA-OAEP', rsa.publicKey, data));
        const aes = { name: 'AES-GCM', length: 256 }, iv = new Uint8Array(12);
        const key = await subtle.generateKey(aes, true, ['encrypt', 'decrypt']);
        const wrapped = await subtle.wrapKey('raw', key, rsa.publicKey, 'RSA-OAEP');
        const unwrapped = await subtle.unwrapKey('raw', wrapped, rsa.privateKey, 'RSA-OAEP', aes, true, ['decrypt']);
        const round = await subtle.decrypt({ name: 'AES-GCM', iv }, unwrapped, await subtle.encrypt({ name: 'AES-GCM', iv }, key, data));
        const secret = await subtle.importKey('raw', data, 'PBKDF2', false, ['deriveKey']);
        const derived = await subtle.deriveKey({ name: 'PBKDF2', hash, salt: data, iterations: 10 }, secret, aes, true, ['encrypt']);
        const signs = {};
        for (const [name, more] of [['RSASSA-PKCS1-v1_5', { hash }], ['RSA-PSS', { hash, saltLength: 32 }], ['ECDSA', { namedCurve: 'P-521', hash }], ['Ed25519', {}]]) {
            const made = { name, modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), ...more };
            const pair = await subtle.generateKey(made, true, ['sign', 'verify']);
            const signature = await subtle.sign(made, pair.privateKey, data);
            const again = await subtle.importKey('spki', await subtle.exportKey('spki', pair.publicKey), made, true, ['verify']);
            const jwk = await subtle.exportKey('jwk', pair.publicKey);
            signs[name] = [await subtle.verify(made, again, signature, data), await subtle.verify(made, again, signature, iv), jwk.kty,
                (await subtle.exportKey('pkcs8', pair.privateKey)).byteLength > 40];
        }
        return { opened: [...new Uint8Array(opened)], round: [...new Uint8Array(round)], derived: (await subtle.exportKey('raw', derived)).byteLength, signs };",
    )
    .await;
    let signs = json!({
        "RSASSA-PKCS1-v1_5": [true, false, "RSA", true], "RSA-PSS": [true, false, "RSA", true],
        "ECDSA": [true, false, "EC", true], "Ed25519": [true, false, "OKP", true],
    });
    assert_eq!(seen, json!({ "opened": [1, 2, 3], "round": [1, 2, 3], "derived": 32, "signs": signs }));
}

#[tokio::test]
async fn deviations_are_as_the_tables_say() {
    let seen = evaluate(&format!(
        "{TRY} const list = Object.assign([1], {{ more: 2 }});
        return {{
            clone: structuredClone(list).more ?? null, text: attempt(() => setTimeout('1')).split(':')[0],
            target: typeof globalThis.addEventListener, performance: Object.getOwnPropertyNames(performance).sort(),
            classes: [typeof ReadableStreamDefaultReader, typeof ReadableStreamBYOBReader, typeof WritableStreamDefaultWriter],
            storage: [typeof sessionStorage, typeof indexedDB, typeof caches],
            meta: attempt(() => (0, eval)('import.meta')).split(':')[0], imported: await import('lodash').catch((error) => error.name),
            locale: ['a'.localeCompare('b', 'sv'), (1234.5).toLocaleString('de')], key: '\\u00c4'.normalize('NFD').toLowerCase(),
        }};"
    ))
    .await;
    let expected = json!({
        "clone": null, "text": "TypeError", "target": "undefined", "performance": ["now", "timeOrigin"],
        "classes": ["function", "undefined", "undefined"], "storage": ["undefined", "undefined", "undefined"],
        "meta": "SyntaxError", "imported": "TypeError", "locale": [-1, "1234.5"], "key": "a\u{308}",
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn resources_are_disposed_of() {
    let seen = evaluate(
        "const log = [], named = (name) => ({ [Symbol.dispose]() { log.push(name); }, async [Symbol.asyncDispose]() { log.push(name + '!'); } });
        { using a = named('a'), b = named('b'); await using c = named('c'); log.push('end'); }
        try { using d = named('d'); throw 1; } catch { log.push('caught'); }
        return log;",
    )
    .await;
    assert_eq!(seen, json!(["end", "c!", "b", "a", "d", "caught"]));
}
