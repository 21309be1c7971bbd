// `console` and `log`: lines of the run that writes them.
(function () {
const { core, primordials } = __bootstrap;
const { op_console, op_limits, op_elapsed } = core.ops;
const { getAsyncContext } = core;
const {
  ArrayPrototypeUnshift,
  Error,
  MapPrototypeDelete,
  MapPrototypeGet,
  MapPrototypeSet,
  MathRound,
  ObjectDefineProperty,
  ObjectFreeze,
  SafeMap,
  String,
  StringPrototypeIncludes,
  StringPrototypeRepeat,
  StringPrototypeReplaceAll,
  StringPrototypeSlice,
  SymbolToStringTag,
  TypedArrayPrototypeSubarray,
} = primordials;
const { inspectArgs } = core.loadExtScript("ext:deno_web/01_console.js");
const { frames, message } = core.loadExtScript("ext:provisiond/thrown.js");

const { 2: MAX_LINES, 3: MAX_BYTES } = op_limits();
const DEBUG = 0;
const INFO = 1;
const WARN = 2;
const ERROR = 3;

// Lines of code that runs after its run has ended belong to nobody.
function state() {
  const run = getAsyncContext();
  if (run === undefined || run === null || run.ended) return null;
  if (run.console === null) {
    run.console = { run, lines: 0, bytes: 0, cut: false, indent: 0, timers: null, counters: null };
  }
  return run.console;
}

function format(args) {
  if (args.length === 1 && typeof args[0] === "string") return args[0];
  return inspectArgs(args, { colors: false });
}

// As much of the text as takes no more bytes of UTF-8 than that. What stands for
// NUL, which is not kept, is counted as it is.
function fitting(text, bytes) {
  text = StringPrototypeSlice(text, 0, bytes);
  if (StringPrototypeIncludes(text, "\0")) text = StringPrototypeReplaceAll(text, "\0", "\ufffd");
  if (core.byteLength(text) <= bytes) return text;
  const encoded = core.encode(text);
  let end = bytes;
  while (end > 0 && (encoded[end] & 0xc0) === 0x80) end--;
  return core.decode(TypedArrayPrototypeSubarray(encoded, 0, end));
}

function write(level, args) {
  const to = state();
  if (to === null || to.cut) return;
  if (to.lines < MAX_LINES) {
    const text = StringPrototypeRepeat("  ", to.indent) + format(args);
    const kept = fitting(text, MAX_BYTES - to.bytes);
    to.cut = kept.length < text.length;
    to.bytes += core.byteLength(kept);
    put(to, level, kept);
  } else {
    to.cut = true;
  }
  if (!to.cut) return;
  put(to, WARN, `the rest of the console was cut: a run may write ${MAX_LINES} lines and ${MAX_BYTES} bytes`);
}

function put(to, level, text) {
  to.lines++;
  op_console(to.run.id, level, MathRound(op_elapsed() - to.run.startedAt), text);
}

// What no code of the author's could catch.
function uncaught(prefix, error) {
  // What nobody will read is not made: a stack takes memory.
  if (state()?.cut !== false) return;
  let text;
  try {
    text = message(error) + frames(error);
  } catch {
    text = "a value that cannot be described";
  }
  write(ERROR, [`${prefix}: ${text}`]);
}

function count(label) {
  const to = state();
  if (to === null) return;
  to.counters ??= new SafeMap();
  const value = (MapPrototypeGet(to.counters, label) ?? 0) + 1;
  MapPrototypeSet(to.counters, label, value);
  write(INFO, [`${label}: ${value}`]);
}

function elapsed(label, args, stop) {
  const to = state();
  const start = to?.timers === null ? undefined : to && MapPrototypeGet(to.timers, label);
  if (start === undefined || start === null) return;
  if (stop) MapPrototypeDelete(to.timers, label);
  ArrayPrototypeUnshift(args, `${label}: ${MathRound((op_elapsed() - start) * 1000) / 1000} ms`);
  write(INFO, args);
}

const console = {
  debug(...args) { write(DEBUG, args); },
  trace(...args) { write(DEBUG, [(args.length === 0 ? "trace" : format(args)) + frames(new Error())]); },
  log(...args) { write(INFO, args); },
  info(...args) { write(INFO, args); },
  warn(...args) { write(WARN, args); },
  error(...args) { write(ERROR, args); },
  assert(condition = false, ...args) {
    if (condition) return;
    ArrayPrototypeUnshift(args, args.length === 0 ? "assertion failed" : "assertion failed:");
    write(ERROR, args);
  },
  dir(value = undefined) { write(INFO, [value]); },
  dirxml(...args) { write(INFO, args); },
  table(value = undefined) { write(INFO, [value]); },
  count(label = "default") { count(String(label)); },
  countReset(label = "default") {
    const counters = state()?.counters;
    if (counters) MapPrototypeDelete(counters, String(label));
  },
  time(label = "default") {
    const to = state();
    if (to === null) return;
    to.timers ??= new SafeMap();
    MapPrototypeSet(to.timers, String(label), op_elapsed());
  },
  timeLog(label = "default", ...args) { elapsed(String(label), args, false); },
  timeEnd(label = "default") { elapsed(String(label), [], true); },
  group(...args) {
    if (args.length > 0) write(INFO, args);
    const to = state();
    if (to !== null && to.indent < 20) to.indent++;
  },
  groupCollapsed(...args) { console.group(...args); },
  groupEnd() {
    const to = state();
    if (to !== null && to.indent > 0) to.indent--;
  },
  clear() {},
};
ObjectDefineProperty(console, SymbolToStringTag, { __proto__: null, value: "console" });

function log(...args) { write(INFO, args); }
log.debug = console.debug;
log.info = console.info;
log.warn = console.warn;
log.error = console.error;

return { console, log: ObjectFreeze(log), uncaught };
})();
