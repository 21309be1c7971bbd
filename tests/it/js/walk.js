// Answers with the ways to all that this run has in common with an earlier one of
// the same host and that could be changed by it.
const before = new WeakSet();
const own = new Set([before, handler, collect, walk, open, guarded]);
own.add(own);

const address = "https://a.example/b?c=d";
const hmac = { name: "HMAC", hash: "SHA-256" };
const inspect = Symbol.for("Deno.privateCustomInspect");

function guarded(make) {
  try {
    return make();
  } catch (error) {
    return error;
  }
}

async function collect(ctx) {
  const kept = [];
  const keep = (...values) => (kept.push(...values), "");
  const start = (controller) => void keep(controller);
  const form = () => { const data = new FormData(); data.set("a", "b"); data.set("f", new File(["c"], "d")); return data; };
  const given = () => ["text", new Uint8Array(3), new Blob(["a", "b"]), form(), new URLSearchParams("a=b"), new Blob(["a"]).stream(), null];
  for (const body of given()) keep(new Response(body));
  for (const body of given()) keep(new Response(body).clone());
  for (const body of given()) keep(new Request(address, { method: "POST", body, signal: ctx.signal, duplex: "half" }));
  for (const body of given()) { const response = new Response(body); keep(response, response.body); }
  const answer = await fetch(address + "&ok");
  keep(answer, answer.clone(), await fetch(address + "&ok", { method: "POST", body: new Blob(["x"]) }));
  await fetch(address + "&fail").catch(keep);
  await fetch("no address").catch(keep);
  for (const type of [undefined, "bytes"]) {
    const make = () => new ReadableStream({ type, start, pull: keep, cancel: keep });
    keep(make().getReader(), make().values(), make()[Symbol.asyncIterator](), ...make().tee());
    const reader = make().getReader(), iterator = make().values();
    keep(reader, reader.read(), reader.closed, iterator, iterator.next(), iterator.return);
  }
  const byob = new ReadableStream({ type: "bytes", start, pull: (controller) => void keep(controller.byobRequest) }).getReader({ mode: "byob" });
  keep(byob, byob.read(new Uint8Array(4)));
  const writer = new WritableStream({ start, write: (_chunk, controller) => void keep(controller, controller.signal) }).getWriter();
  keep(writer, writer.write(1), writer.closed, writer.ready);
  const transform = new TransformStream({ start, transform: (_chunk, controller) => void keep(controller) });
  keep(transform, transform.writable.getWriter().write(1), transform.readable.getReader());
  keep(new ReadableStream({ start }).pipeTo(new WritableStream({ start })));
  keep(new WritableStream({ start, write() {}, close() {}, abort() {} }), new TransformStream({ start, transform() {}, flush() {}, cancel() {} }));
  keep(new TextDecoderStream(), new TextEncoderStream(), ReadableStream.from([1]), ReadableStream.from((async function* () {})()));
  const count = new CountQueuingStrategy({ highWaterMark: 1 }), bytes = new ByteLengthQueuingStrategy({ highWaterMark: 1 });
  keep(count, count.size, bytes, bytes.size);
  const target = new EventTarget();
  target.addEventListener("a", keep);
  target.onabort = keep;
  target.dispatchEvent(new CustomEvent("a", { detail: {} }));
  const controller = new AbortController(), any = AbortSignal.any([controller.signal, ctx.signal]);
  any.onabort = keep;
  any.addEventListener("abort", keep);
  keep(target, controller, any, AbortSignal.timeout(1e6), AbortSignal.abort(), AbortSignal.abort().reason, new Event("a"), ctx.signal);
  controller.abort();
  const key = await crypto.subtle.importKey("raw", new Uint8Array(8), hmac, true, ["sign"]);
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  keep(key, key.algorithm, key.usages, pair, pair.privateKey, await crypto.subtle.exportKey("jwk", key));
  await crypto.subtle.importKey("raw", new Uint8Array(8), "AES-GCM", true, ["sign"]).catch(keep);
  const headers = new Headers({ a: "b" }), params = new URLSearchParams("a=b"), url = new URL(address);
  keep(headers, headers.entries(), headers.keys(), params, params.entries(), url, url.searchParams, form(), form().entries());
  keep(new URLPattern({ pathname: "/:a" }), new URLPattern({ pathname: "/:a" }).exec("https://a.example/b"));
  keep(new TextEncoder(), new TextDecoder(), new TextDecoder("gbk"), new Blob(["a"]).slice(0, 1), new File(["a"], "b"));
  keep(setTimeout(() => {}, 1), new DOMException("a"), guarded(() => structuredClone(new Error("a"))), structuredClone(new Blob(["a"])));
  console.log({ [inspect]: keep }, Proxy, new Proxy({}, {}));
  const date = new Intl.DateTimeFormat("en", { timeZone: "Europe/Berlin" });
  keep(date, date.format, date.resolvedOptions(), date.formatToParts(0));
  const makers = [
    () => [1][Symbol.iterator](), () => new Map([[1, 2]]).entries(), () => new Set([1]).values(), () => "a"[Symbol.iterator](),
    () => "a".matchAll(/a/g), () => Iterator.from({ next() {} }), () => Iterator.concat([1]), () => Iterator.zip([[1]]), () => Iterator.zipKeyed({ a: [1] }),
    () => [1].values().map((x) => x), () => [1].values().take(1), () => (function* () {})(), () => (async function* () {})(), () => function* () {},
    () => async function* () {}, () => async () => {}, () => function () { return arguments; }(1), () => (0, eval)("(function () { return arguments })()"),
    () => /a(?<n>b)/d.exec("ab"), () => ((strings) => strings)`a${1}`, () => class { static #a = 1; }, () => (function () {}).bind(),
    () => Promise.resolve(1), () => new Proxy({}, {}), () => Proxy.revocable({}, {}), () => new WeakRef({}), () => new WeakMap(),
    () => new FinalizationRegistry(() => {}), () => Object(Symbol.iterator), () => Object(1n), () => JSON.rawJSON("1"), () => new DataView(new ArrayBuffer(1)),
    () => new Function("return this")(), () => (0, eval)("this"), () => Promise.withResolvers(), () => Object.groupBy([1], String), () => new AggregateError([1]),
    () => null.x, () => (function f() { f(); })(), () => new Array(-1), () => BigInt(1.5), () => decodeURI("%"), () => missing, () => JSON.parse("{"), () => (0, eval)("("),
    () => new URL("x"), () => atob("*"), () => structuredClone(() => {}), () => new Response("x", { status: 1 }), () => new Headers([["("]]),
    () => new TextDecoder("x"), () => "x".normalize("x"), () => "x".repeat(-1), () => crypto.getRandomValues(1), () => Reflect.construct(AbortSignal, []),
    () => { using a = { [Symbol.dispose]() { throw 1; } }; throw 2; }, () => "x".repeat(2 ** 30), () => require("x"), () => new DOMException("a", "AbortError"),
  ];
  for (const make of makers) keep(guarded(make));
  await Promise.resolve();
  await new Promise((resolve) => setTimeout(resolve, 5));
  return { globalThis, ctx, kept };
}

// Everything that can be had of the roots, each with a way to it. Lets others have
// their turn.
async function walk(roots) {
  const seen = new Map(), todo = [[roots, "roots"]];
  while (todo.length > 0) {
    const [value, way] = todo.pop();
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value) || own.has(value)) continue;
    seen.set(value, way);
    if (seen.size % 200 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    todo.push([Reflect.getPrototypeOf(value), `${way}.__proto__`]);
    if (ArrayBuffer.isView(value)) continue;
    for (let owner = value; owner !== null; owner = Reflect.getPrototypeOf(owner)) {
      for (const key of Reflect.ownKeys(owner)) {
        const part = Reflect.getOwnPropertyDescriptor(owner, key), to = `${way}.${String(key)}`;
        if (owner === value) todo.push([part.value, to], [part.get, `${to}<get>`], [part.set, `${to}<set>`]);
        if (part.get && (owner === value || seen.size < 20_000)) todo.push([guarded(() => Reflect.apply(part.get, value, [])), `${to}()`]);
      }
    }
    guarded(() => Map.prototype.forEach.call(value, (item, key) => todo.push([item, `${way}.get()`], [key, `${way}.key()`])));
    guarded(() => Set.prototype.forEach.call(value, (item) => todo.push([item, `${way}.has()`])));
  }
  return seen;
}

// What of an object can be changed, for all that its properties are.
const states = [
  () => Map.prototype.has, () => Set.prototype.has, () => WeakMap.prototype.has, () => WeakSet.prototype.has, () => Date.prototype.getTime,
  () => Reflect.getOwnPropertyDescriptor(ArrayBuffer.prototype, "byteLength").get,
  () => Reflect.getOwnPropertyDescriptor(DataView.prototype, "byteLength").get,
];
own.add(states);

function open(value) {
  if (!Object.isFrozen(value)) return true;
  return states.some((method) => {
    try {
      Reflect.apply(method(), value, [{}]);
      return true;
    } catch {
      return false;
    }
  });
}

export default async function handler(ctx) {
  const seen = await walk(await collect(ctx));
  const found = [];
  for (const [value, way] of seen) {
    if (before.has(value) && value !== globalThis && open(value)) found.push(way);
    before.add(value);
  }
  return { found, seen: seen.size };
}
