// Builds the globals, takes everything else away, freezes what is left, and
// hands the host the functions that it calls.
(() => {
const { core } = __bootstrap;
const scope = globalThis;
const load = (name) => core.loadExtScript(name);

const run = load("ext:provisiond/run.js");
const { log, uncaught } = load("ext:provisiond/console.js");
const events = load("ext:deno_web/02_event.js");

// What the extensions' Rust side throws by these names; unregistered it would
// arrive as `undefined`.
const { DOMException } = load("ext:deno_web/01_dom_exception.js");
for (
  const name of [
    "AbortError", "DataError", "IndexSizeError", "InvalidAccessError", "InvalidCharacterError", "InvalidStateError",
    "NetworkError", "NotSupportedError", "OperationError", "QuotaExceededError", "SyntaxError", "TypeMismatchError",
  ]
) {
  core.registerErrorBuilder(`DOMException${name}`, (message) => new DOMException(message, name));
}

// An exception that nobody caught is a line of the run's console; it must not
// end the host.
core.setReportExceptionCallback((error) => uncaught("uncaught", error));
core.setUnhandledPromiseRejectionHandler((_promise, error) => {
  uncaught("unhandled rejection", error);
  return true;
});
events.saveGlobalThisReference({
  dispatchEvent(event) {
    uncaught("uncaught in an event listener", event.error);
    return false;
  },
});

const { install } = load("ext:provisiond/globals.js");
const { freezeAll } = load("ext:provisiond/freeze.js");
const { samples } = load("ext:provisiond/samples.js");
const { shared, web } = install(scope);
load("ext:provisiond/scope.js").guard(scope);
freezeAll(scope, samples, shared, web);

// Taken away again by the module that exports it.
scope.__provisiond = { log };

const modules = { __proto__: null, provisiond: Object.freeze({ __proto__: null, log }) };
function require(name) {
  const module = modules[name];
  if (module !== undefined) return module;
  throw new Error(`cannot find module "${name}": only "provisiond" can be required, packages are bundled on publication`);
}

function requireFrom(factory) {
  const module = { exports: {} };
  factory.call(module.exports, module.exports, module, require);
  return module.exports;
}

return { ...run, requireFrom };
})();
