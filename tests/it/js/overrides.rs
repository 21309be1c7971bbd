//! What inherits from a built-in object may have properties of its own by the names
//! of the built-in's: an assignment defines them there, and the built-in stays.

use provisiond::domain::target::Limits;
use serde_json::json;

use super::support::{Peer, evaluate, run, run_with, start, start_within, value};

/// Each built-in class that a global names: what of its prototype and of itself
/// cannot be assigned on what inherits from it, beside what is read-only in every
/// engine. `docs/web-platform.md` says which.
#[tokio::test]
async fn all_but_these_can_be_assigned_on_what_inherits_them() {
    let limits = Limits { cpu_ms: 20_000, wall_ms: 60_000, heap_mib: 128 };
    let host = start_within(
        "const everywhere = (owner, key) => (typeof owner === 'function' && ['length', 'name', 'prototype'].includes(key)) ||
            (typeof key === 'symbol' ? !['Symbol(Symbol.iterator)', 'Symbol(Symbol.asyncIterator)'].includes(String(key)) : /^[A-Z_]+$/.test(key));
        const heirs = (owner, name) => {
            const shut = [];
            for (const key of Reflect.ownKeys(owner)) {
                if (everywhere(owner, key)) continue;
                const told = () => { const d = Reflect.getOwnPropertyDescriptor(owner, key); return d.value ?? d.get; };
                const before = told(), heir = Object.create(owner);
                const { get, set } = Reflect.getOwnPropertyDescriptor(owner, key);
                // An accessor without a setter, or one that does something else, is so in every engine.
                if (get !== undefined && !Object.hasOwn(get, 'originalValue')) continue;
                if (set !== undefined && get === undefined) continue;
                try { heir[key] = 7; } catch (error) { if (!(error instanceof TypeError)) throw error; }
                const open = Object.hasOwn(heir, key) && heir[key] === 7 && delete heir[key];
                if (!Object.is(told(), before)) throw new Error(`${name}.${String(key)} was changed`);
                if (!open) shut.push(String(key));
            }
            return shut.length === 0 ? [] : [`${name}: ${shut.sort().join(' ')}`];
        };
        export default () => {
            const names = Reflect.ownKeys(globalThis).filter((name) => typeof globalThis[name] === 'function' && globalThis[name].prototype);
            const inner = {
                TypedArray: Object.getPrototypeOf(Uint8Array), ArrayIterator: { prototype: Object.getPrototypeOf([].values()) },
                AsyncGenerator: { prototype: Object.getPrototypeOf((async function* () {}).prototype) },
                Generator: { prototype: Object.getPrototypeOf((function* () {}).prototype) }, console: { prototype: console },
            };
            return [...names.map((name) => [name, globalThis[name]]), ...Object.entries(inner)].sort()
                .flatMap(([name, it]) => [...heirs(it.prototype, `${name}.prototype`), ...(typeof it === 'function' ? heirs(it, name) : [])]);
        };",
        limits,
    )
    .await;
    let shut = value(run(&host, json!({})).await);
    let lines: Vec<_> = shut.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn classes_of_the_old_style_extend_built_ins() {
    let seen = evaluate(
        "function A() { this.length = 0; this.made = true; }
        A.prototype = Object.create(Array.prototype);
        A.prototype.constructor = A;
        A.prototype.push = function (x) { return Array.prototype.push.call(this, x * 2); };
        const a = new A(), plain = Object.create(Array.prototype);
        a.push(3); a.push(4); plain.push('x'); plain[1] = 'y';
        function B() {}
        Object.setPrototypeOf(B.prototype, Array.prototype);
        B.prototype.map = () => 'mapped';
        const b = new B();
        b.length = 5;
        function M() { const made = Reflect.construct(Map, [], M); return made; }
        M.prototype = Object.create(Map.prototype, { constructor: { value: M } });
        Object.setPrototypeOf(M, Map);
        M.prototype.get = function (key) { return Map.prototype.get.call(this, key) ?? 'default'; };
        M.groupBy = () => 'mine';
        class P extends Promise {}
        P.resolve = () => 'resolved'; P.all = () => 'all';
        function E(message) { this.message = message; }
        E.prototype = Object.create(Error.prototype); E.prototype.constructor = E; E.prototype.name = 'E'; E.captureStackTrace = () => 1;
        const logger = Object.create(console);
        logger.log = (text) => `logged ${text}`;
        return [
            a[0], a.length, a instanceof Array, a.join('-'), plain.length, Object.keys(plain), b.map(), b.length, b instanceof Array,
            new M().get(1), new M() instanceof Map, M.groupBy(), P.resolve(), P.all(), String(new E('m')), logger.log('x'),
            [1, 2].map((x) => x), [].length, Array.prototype.length, Object.keys(Object.create(Array.prototype)), new Map([[1, 2]]).get(1),
        ];",
    )
    .await;
    let expected = json!([
        6,
        2,
        true,
        "6-8",
        1,
        ["0", "1"],
        "mapped",
        5,
        true,
        "default",
        true,
        "mine",
        "resolved",
        "all",
        "E: m",
        "logged x",
        [1, 2],
        0,
        0,
        [],
        2
    ]);
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn instances_may_have_methods_of_their_own() {
    let host = start(
        "export default async () => {
            const map = new Map([[1, 2]]); map.get = () => 'own'; map.set = 1;
            const set = new Set(); set.has = () => 'own';
            const promise = Promise.resolve(1); promise.then = (done) => done('own');
            const response = await fetch('https://a.example/'); response.json = () => 'own';
            const request = new Request('https://a.example/'); request.clone = () => 'own';
            const array = [1, 2]; array[Symbol.iterator] = function* () { yield 'own'; };
            array.push = () => 'own'; array.constructor = 'own';
            const expression = /a/; expression.exec = () => null; expression.test = () => 'own';
            const date = new Date(0); date.getTime = () => 'own'; date.toISOString = () => 'own';
            const bytes = new Uint8Array(1); bytes.subarray = () => 'own'; bytes.set = 1;
            const url = new URL('https://a.example/'); url.toString = () => 'own';
            const headers = new Headers({ a: 'b' }); headers.get = () => 'own';
            const call = () => 1; call.call = () => 'own'; call.bind = 1; call.apply = 2;
            const iterator = [1][Symbol.iterator](); iterator.next = () => ({ done: true });
            const made = (function* () { yield 1; })(); made.next = () => ({ done: true }); made.return = 1;
            const signal = new AbortController().signal; signal.addEventListener = () => 'own'; signal.throwIfAborted = () => 'own';
            const weak = new WeakMap(); weak.get = () => 'own';
            return [
                map.get(1), set.has(1), await { then: promise.then }, response.json(), request.clone(), [...array], array.push(1),
                array.constructor, 'xay'.replace(expression, 'b'), expression.test(''), date.getTime(), JSON.stringify({ date }),
                bytes.subarray(), String(url), headers.get('a'), call.call(), [...iterator], [...made], signal.throwIfAborted(), weak.get(),
                Object.keys(map), Object.keys(array),
            ];
        }",
    )
    .await;
    let own = json!([
        "own",
        "own",
        "own",
        "own",
        "own",
        ["own"],
        "own",
        "own",
        "xay",
        "own",
        "own",
        "{\"date\":\"own\"}",
        "own",
        "own",
        "own",
        "own",
        [],
        [],
        "own",
        "own",
        ["get", "set"],
        ["0", "1", "push", "constructor"]
    ]);
    assert_eq!(value(run_with(&host, json!({}), Peer::ok("{}")).await), own);
    // Nobody else's are touched.
    assert_eq!(value(run_with(&host, json!({}), Peer::ok("{}")).await), own);
}

/// As `cross-fetch` makes itself a global object, and older packages bring what is
/// there already.
#[tokio::test]
async fn polyfills_of_what_is_there_change_nothing() {
    let seen = evaluate(
        "function Global() { this.fetch = 'own'; this.Headers = 1; }
        Global.prototype = globalThis;
        const own = new Global(), there = fetch, failed = [];
        Date.now = Date.now || (() => 1);
        Array.prototype.map = Array.prototype.map || null;
        Object.assign = Object.assign || null;
        globalThis.fetch = globalThis.fetch || null;
        globalThis.URL ??= null;
        const named = Function.prototype.toString;
        Function.prototype.toString = () => 'of core-js';
        if (Function.prototype.toString !== named) throw new Error('it was changed');
        if (Function.prototype[Symbol.metadata] === undefined) throw new Error('it would be added');
        for (const change of [() => { Date.now = () => 1; }, () => { globalThis.fetch = 1; }, () => { fetch = 1; }, () => { new Global().JSON = 1; }]) {
            try { change(); } catch (error) { failed.push(error instanceof TypeError); }
        }
        return [own.fetch, Object.keys(own), fetch === there, typeof own.setTimeout, failed, typeof Response.json, Symbol.metadata.toString()];",
    )
    .await;
    let expected = json!([
        "own",
        ["fetch", "Headers"],
        true,
        "function",
        [true, true, true, true],
        "function",
        "Symbol(Symbol.metadata)"
    ]);
    assert_eq!(seen, expected);
}

/// Packages such as `get-intrinsic` ask for the function behind a descriptor.
#[tokio::test]
async fn descriptors_tell_what_they_stand_for() {
    let seen = evaluate(
        "const told = (owner, key) => Object.getOwnPropertyDescriptor(owner, key).get.originalValue === owner[key];
        return [told(Map.prototype, 'get'), told(Array.prototype, Symbol.iterator), told(Object.prototype, 'toString'),
            told(Promise, 'all'), Object.isFrozen(Object.getOwnPropertyDescriptor(Map.prototype, 'get').get)];",
    )
    .await;
    assert_eq!(seen, json!([true, true, true, true, true]));
}

#[tokio::test]
async fn built_ins_themselves_are_as_closed_as_ever() {
    let changed = evaluate(
        "const owners = [Array.prototype, Map.prototype, Promise.prototype, Response.prototype, Array, Promise, Date.prototype, console];
        const changed = [];
        for (const owner of owners) for (const key of Reflect.ownKeys(owner)) {
            const before = Reflect.getOwnPropertyDescriptor(owner, key);
            for (const attempt of [
                () => { owner[key] = 1; }, () => Reflect.set(owner, key, 1), () => Reflect.set({}, key, 1, owner),
                () => Object.defineProperty(owner, key, { value: 1 }), () => delete owner[key], () => before.set?.call(owner, 1),
                () => { before.set?.call(undefined, 1); }, () => { before.set?.call(1, 1); },
            ]) { try { attempt(); } catch {} }
            const after = Reflect.getOwnPropertyDescriptor(owner, key);
            if (after.value !== before.value || after.get !== before.get || after.set !== before.set) changed.push(String(key));
        }
        return changed;",
    )
    .await;
    assert_eq!(changed, json!([]));
}
