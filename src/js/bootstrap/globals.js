// What logic sees. Whatever is not listed here is taken away.
(function () {
const { core, primordials } = __bootstrap;
const { op_elapsed } = core.ops;
const {
  ArrayPrototypePush,
  DateNow,
  ObjectDefineProperty,
  ReflectDefineProperty,
  ReflectDeleteProperty,
  ReflectOwnKeys,
  String,
  SymbolToStringTag,
  TypeError,
} = primordials;
const load = (name) => core.loadExtScript(name);

// Of the language itself. `Atomics` and `SharedArrayBuffer` can block a thread
// for ever, `WebAssembly` has memory of its own, `ShadowRealm` has intrinsics
// of its own.
const LANGUAGE = [
  "AggregateError", "Array", "ArrayBuffer", "BigInt", "BigInt64Array", "BigUint64Array", "Boolean",
  "DataView", "Date", "Error", "EvalError", "FinalizationRegistry", "Float16Array", "Float32Array",
  "Float64Array", "Function", "Infinity", "Int16Array", "Int32Array", "Int8Array", "Intl", "Iterator",
  "JSON", "Map", "Math", "NaN", "Number", "Object", "Promise", "Proxy", "RangeError", "ReferenceError",
  "Reflect", "RegExp", "Set", "String", "Symbol", "SyntaxError", "TypeError", "URIError", "Uint16Array",
  "Uint32Array", "Uint8Array", "Uint8ClampedArray", "WeakMap", "WeakRef", "WeakSet", "decodeURI",
  "decodeURIComponent", "encodeURI", "encodeURIComponent", "escape", "eval", "globalThis", "isFinite",
  "isNaN", "parseFloat", "parseInt", "undefined", "unescape",
];

// What the engine throws all the same.
const THROWN = ["InternalError", "SuppressedError"];

// Of the web.
function web() {
  const abort = load("ext:deno_web/03_abort_signal.js");
  const base64 = load("ext:deno_web/05_base64.js");
  const crypto = load("ext:deno_crypto/00_crypto.js");
  const encoding = load("ext:deno_web/08_text_encoding.js");
  const events = load("ext:deno_web/02_event.js");
  const files = load("ext:deno_web/09_file.js");
  const streams = load("ext:deno_web/06_streams.js");
  const timers = load("ext:provisiond/timers.js");
  const url = load("ext:deno_web/00_url.js");
  return {
    __proto__: null,
    AbortController: abort.AbortController,
    AbortSignal: abort.AbortSignal,
    Blob: files.Blob,
    ByteLengthQueuingStrategy: streams.ByteLengthQueuingStrategy,
    CountQueuingStrategy: streams.CountQueuingStrategy,
    Crypto: crypto.Crypto,
    CryptoKey: crypto.CryptoKey,
    CustomEvent: events.CustomEvent,
    DOMException: load("ext:deno_web/01_dom_exception.js").DOMException,
    Event: events.Event,
    EventTarget: events.EventTarget,
    File: files.File,
    FormData: load("ext:deno_fetch/21_formdata.js").FormData,
    Headers: load("ext:deno_fetch/20_headers.js").Headers,
    ReadableStream: streams.ReadableStream,
    ReadableStreamDefaultReader: streams.ReadableStreamDefaultReader,
    Request: load("ext:deno_fetch/23_request.js").Request,
    Response: load("ext:deno_fetch/23_response.js").Response,
    SubtleCrypto: crypto.SubtleCrypto,
    TextDecoder: encoding.TextDecoder,
    TextDecoderStream: encoding.TextDecoderStream,
    TextEncoder: encoding.TextEncoder,
    TextEncoderStream: encoding.TextEncoderStream,
    TransformStream: streams.TransformStream,
    URL: url.URL,
    URLPattern: load("ext:deno_web/01_urlpattern.js").URLPattern,
    URLSearchParams: url.URLSearchParams,
    WritableStream: streams.WritableStream,
    atob: base64.atob,
    btoa: base64.btoa,
    clearInterval: timers.clearInterval,
    clearTimeout: timers.clearTimeout,
    console: load("ext:provisiond/console.js").console,
    crypto: crypto.crypto,
    fetch: load("ext:provisiond/fetch.js").fetch,
    performance: performance(),
    queueMicrotask: timers.queueMicrotask,
    setInterval: timers.setInterval,
    setTimeout: timers.setTimeout,
    structuredClone: load("ext:deno_web/02_structured_clone.js").structuredClone,
  };
}

// What is there but would outlive a run, or get around what the host is for.
function adjust({ AbortSignal, URL }) {
  load("ext:provisiond/signing.js").install();
  const { timeout } = load("ext:provisiond/timers.js");
  ReflectDefineProperty(AbortSignal, "timeout", {
    __proto__: null,
    value: timeout,
    writable: true,
    enumerable: true,
    configurable: true,
  });
  ReflectDeleteProperty(URL, "createObjectURL");
  ReflectDeleteProperty(URL, "revokeObjectURL");
}

function performance() {
  const performance = {
    now() {
      return op_elapsed();
    },
    timeOrigin: DateNow() - op_elapsed(),
  };
  return ObjectDefineProperty(performance, SymbolToStringTag, { __proto__: null, value: "Performance" });
}

// What decorators keep their metadata under. Packages that bring it along would add
// to `Function.prototype`, which is frozen.
function addMetadata({ Function, Symbol }) {
  const metadata = Symbol("Symbol.metadata");
  ObjectDefineProperty(Symbol, "metadata", { __proto__: null, value: metadata });
  ObjectDefineProperty(Function.prototype, metadata, { __proto__: null, value: null });
}

// Answers with what all runs share and no global names, and with the globals that
// are the web's.
function install(scope) {
  addMetadata(scope);
  const shared = [load("ext:deno_crypto/00_crypto.js").crypto.subtle];
  for (let i = 0; i < THROWN.length; i++) ArrayPrototypePush(shared, scope[THROWN[i]]);
  load("ext:provisiond/intl.js").install(scope);
  const kept = { __proto__: null };
  for (let i = 0; i < LANGUAGE.length; i++) kept[LANGUAGE[i]] = true;
  const added = web();
  adjust(added);
  const names = ReflectOwnKeys(scope);
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (kept[name] || name === SymbolToStringTag) continue;
    if (!ReflectDeleteProperty(scope, name)) throw new TypeError(`${String(name)} cannot be removed`);
  }
  const addedNames = ReflectOwnKeys(added);
  for (let i = 0; i < addedNames.length; i++) {
    ReflectDefineProperty(scope, addedNames[i], {
      __proto__: null,
      value: added[addedNames[i]],
      writable: true,
      enumerable: false,
      configurable: true,
    });
  }
  return { shared, web: added };
}

return { install };
})();
