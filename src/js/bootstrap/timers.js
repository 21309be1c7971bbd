// Timers of a run; they end with it.
(function () {
const { core, primordials } = __bootstrap;
const { cancelTimer, createTimer, getAsyncContext, setAsyncContext } = core;
const {
  MapPrototypeDelete,
  MapPrototypeGet,
  MapPrototypeSet,
  Number,
  NumberMAX_SAFE_INTEGER,
  PromisePrototypeThen,
  PromiseResolve,
  ReflectApply,
  SafeMap,
  TypeError,
} = primordials;
const { AbortController } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { current } = core.loadExtScript("ext:provisiond/run.js");
const { uncaught } = core.loadExtScript("ext:provisiond/console.js");

function set(name, callback, delay, args, repeat) {
  if (typeof callback !== "function") throw new TypeError(`${name} wants a function`);
  const run = current(name);
  let id = 0;
  const timer = createTimer(
    () => {
      if (!repeat && run.timers !== null) MapPrototypeDelete(run.timers, id);
      const before = getAsyncContext();
      setAsyncContext(run);
      try {
        ReflectApply(callback, undefined, args);
      } catch (error) {
        uncaught(`uncaught in a callback of ${name}`, error);
      } finally {
        setAsyncContext(before);
      }
    },
    Number(delay),
    undefined,
    repeat,
    true,
    true,
  );
  id = timer._timerId;
  run.timers ??= new SafeMap();
  MapPrototypeSet(run.timers, id, timer);
  return id;
}

function clear(id) {
  const timers = getAsyncContext()?.timers;
  if (!timers) return;
  const timer = MapPrototypeGet(timers, Number(id));
  if (timer === undefined) return;
  cancelTimer(timer);
  MapPrototypeDelete(timers, timer._timerId);
}

function setTimeout(callback, delay = 0, ...args) {
  return set("setTimeout", callback, delay, args, false);
}
function setInterval(callback, delay = 0, ...args) {
  return set("setInterval", callback, delay, args, true);
}
function clearTimeout(id = undefined) {
  clear(id);
}
function clearInterval(id = undefined) {
  clear(id);
}

const settled = PromiseResolve(undefined);
function queueMicrotask(callback) {
  if (typeof callback !== "function") throw new TypeError("queueMicrotask wants a function");
  PromisePrototypeThen(settled, () => {
    try {
      callback();
    } catch (error) {
      uncaught("uncaught in a callback of queueMicrotask", error);
    }
  });
}

// Milliseconds that a timer can take.
const LONGEST = 2147483647;

// `AbortSignal.timeout`, with a timer that ends with its run: one for every
// request, each as long as its time, would fill the heap.
function timeout(milliseconds) {
  const delay = Number(milliseconds);
  if (!(delay >= 0 && delay <= NumberMAX_SAFE_INTEGER)) {
    throw new TypeError("AbortSignal.timeout wants a number of milliseconds");
  }
  const controller = new AbortController();
  const expire = () => controller.abort(new DOMException("Signal timed out.", "TimeoutError"));
  // A longer one would fire at once; its run ends sooner anyway.
  set("AbortSignal.timeout", expire, delay < LONGEST ? delay : LONGEST, [], false);
  return controller.signal;
}

return { clearInterval, clearTimeout, queueMicrotask, setInterval, setTimeout, timeout };
})();
