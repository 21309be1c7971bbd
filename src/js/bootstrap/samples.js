// Instances of all that logic can make or is given: they lead to what is shared by
// all runs and that no global names.
(function () {
const { core, primordials } = __bootstrap;
const { SymbolAsyncIterator, SymbolFor, SymbolIterator } = primordials;
const load = (name) => core.loadExtScript(name);
const { inspect } = load("ext:deno_web/01_console.js");
const { AssertionError } = load("ext:deno_web/00_infra.js");
const { HostCallError } = load("ext:provisiond/thrown.js");
const { sampleResponses } = load("ext:provisiond/fetch.js");

const ADDRESS = "https://a.example/b?c=d#e";

function thrownBy(doing) {
  try {
    doing();
  } catch (error) {
    return error;
  }
  return undefined;
}

function errors() {
  const { BadResource, Interrupted, NotCapable } = core;
  return [
    new HostCallError("", "logic"),
    new DOMException(""),
    new AssertionError(""),
    new BadResource(""),
    new Interrupted(""),
    new NotCapable(""),
    thrownBy(() => new URL("")),
    thrownBy(() => atob("*")),
    thrownBy(() => structuredClone(() => {})),
  ];
}

function bodies() {
  const form = new FormData();
  form.append("a", new File(["b"], "c"));
  form.append("d", "e");
  return ["text", new Uint8Array(1), new Blob(["a"]), form, new URLSearchParams("a=b"), new ReadableStream()];
}

// With the clone of each: it reads along.
function messages() {
  const found = [Response.error(), Response.json({}), Response.redirect(ADDRESS), new Request(ADDRESS)];
  const { signal } = new AbortController();
  const add = (message) => void found.push(message, message.clone());
  for (const body of bodies()) add(new Response(body));
  for (const body of bodies()) add(new Request(ADDRESS, { method: "POST", body, signal, duplex: "half" }));
  return [...found, ...sampleResponses(), ...bodies()];
}

// Read from, so that what waits for a chunk is there as well.
function readable(type) {
  const found = [];
  const make = () => new ReadableStream({ type, start: (controller) => void found.push(controller) });
  const source = make();
  found.push(new ReadableStream({ type, pull() {}, cancel() {} }));
  const modes = type === "bytes" ? [undefined, { mode: "byob" }] : [undefined];
  for (const mode of modes) {
    const reader = make().getReader(mode);
    found.push(reader, reader.read(new Uint8Array(8)), reader.closed);
  }
  const iterator = make().values();
  found.push(iterator, iterator.next(), make()[SymbolAsyncIterator](), ...source.tee(), source);
  const full = make();
  found[found.length - 1].enqueue(new Uint8Array(1));
  found.push(full, make().pipeThrough(new TransformStream()));
  return found;
}

function streams() {
  const found = [];
  const start = (controller) => void found.push(controller);
  const writer = new WritableStream({ start, write: () => new Promise(() => {}) }).getWriter();
  found.push(writer, writer.write("a"), writer.closed, writer.ready, new WritableStream());
  found.push(new WritableStream({ write() {}, close() {}, abort() {} }));
  found.push(new TransformStream({ transform() {}, flush() {}, cancel() {} }));
  const transform = new TransformStream({ start });
  const written = transform.writable.getWriter();
  found.push(transform, written, written.write("a"), transform.readable.getReader());
  found.push(new TextDecoderStream(), new TextEncoderStream(), ReadableStream.from(["a"]));
  found.push(new CountQueuingStrategy({ highWaterMark: 1 }), new ByteLengthQueuingStrategy({ highWaterMark: 1 }));
  return [...found, ...readable(undefined), ...readable("bytes")];
}

function events() {
  const found = [];
  const target = new EventTarget();
  target.addEventListener("a", (event) => void found.push(event), { once: true });
  target.dispatchEvent(new CustomEvent("a", { detail: 1 }));
  const controller = new AbortController();
  const dependent = AbortSignal.any([controller.signal, new AbortController().signal]);
  dependent.onabort = (event) => void found.push(event);
  const waiting = AbortSignal.any([new AbortController().signal]);
  waiting.addEventListener("abort", () => {});
  controller.abort();
  return [...found, target, controller, dependent, waiting, AbortSignal.abort(), new Event("a")];
}

function* generator() {
  yield 1;
}

async function* asyncGenerator() {
  yield 1;
}

function language() {
  return [
    async function () {}, async () => {}, generator, asyncGenerator, generator(), asyncGenerator(),
    new Map([[1, 2]])[SymbolIterator](), new Set([1])[SymbolIterator](), [1][SymbolIterator](),
    "a"[SymbolIterator](), "a".matchAll(/a/g), Iterator.from({ next() {} }), [1].values().map((value) => value),
    Iterator.concat?.([1]), Iterator.zip?.([[1]]), Iterator.zipKeyed?.({ a: [1] }),
    /(?<a>a)/d.exec("a"), new Proxy({}, {}), (function () {
      return arguments;
    })(1),
    new Intl.DateTimeFormat("en"), new Intl.DateTimeFormat("en").resolvedOptions(),
    new Intl.DateTimeFormat("en").formatToParts(0), new WeakRef({}), new FinalizationRegistry(() => {}),
  ];
}

function web() {
  const params = new URLSearchParams("a=b");
  const headers = new Headers({ a: "b" });
  const form = new FormData();
  const pattern = new URLPattern({ pathname: "/:a" });
  const key = CryptoKey.fromCloneData({
    keyType: "secret",
    extractable: true,
    usages: ["sign"],
    algorithm: { name: "HMAC", hash: { name: "SHA-256" }, length: 512 },
    keyData: { type: "secret", data: new Uint8Array(64) },
  });
  return [
    new URL(ADDRESS), params, params[SymbolIterator](), headers, headers[SymbolIterator](), form,
    form[SymbolIterator](), pattern, pattern.exec("https://a.example/b"), new TextEncoder(), new TextDecoder(),
    new TextDecoder("gbk"), key, structuredClone(new Blob(["a"])),
  ];
}

// What an object is handed that says itself how it is shown.
function inspected() {
  const found = [];
  const shows = (...given) => {
    found.push(...given);
    return "";
  };
  for (const name of ["Deno.privateCustomInspect", "Deno.customInspect", "nodejs.util.inspect.custom"]) {
    inspect({ [SymbolFor(name)]: shows }, { colors: false });
  }
  return found;
}

function samples() {
  return [...streams(), ...messages(), ...errors(), ...events(), ...language(), ...web(), ...inspected()];
}

return { samples };
})();
