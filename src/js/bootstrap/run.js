// The runs: begins them, settles them, and knows which one the code that runs
// right now belongs to. The engine carries that along with every promise
// reaction; timers and microtasks carry it themselves.
(function () {
const { core, primordials } = __bootstrap;
const { getAsyncContext, setAsyncContext, cancelTimer } = core;
const {
  op_drop_body,
  op_limits,
  op_elapsed,
  op_run_broke,
  op_run_returned,
  op_run_threw,
} = core.ops;
const {
  ArrayIsArray,
  ArrayPrototypeFind,
  JSONParse,
  MapPrototypeDelete,
  MapPrototypeForEach,
  MapPrototypeGet,
  MapPrototypeGetSize,
  MapPrototypeSet,
  ObjectDefineProperty,
  ObjectKeys,
  PromisePrototypeThen,
  PromiseReject,
  PromiseResolve,
  SafeMap,
  TypeError,
} = primordials;
const { AbortController } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const { DOMException } = core.loadExtScript("ext:deno_web/01_dom_exception.js");
const { unanswered } = core.loadExtScript("ext:provisiond/calls.js");
const { console } = core.loadExtScript("ext:provisiond/console.js");
const { guardSecrets } = core.loadExtScript("ext:provisiond/secrets.js");
const { stringify } = core.loadExtScript("ext:provisiond/strict_json.js");
const { describe, HostCallError, toJson } = core.loadExtScript("ext:provisiond/thrown.js");

const { 4: MAX_RETURNED, 9: MAX_TESTS } = op_limits();

class Run {
  constructor(id) {
    this.id = id;
    this.ended = false;
    this.startedAt = op_elapsed();
    // Host calls without an answer, by number; made when first needed.
    this.calls = null;
    this.callCount = 0;
    // Requests that are not sent yet, or that a test answers.
    this.unsent = null;
    this.timers = null;
    this.controller = null;
    this.console = null;
    // Answers requests in place of the daemon: in a test of the author's.
    this.scripted = null;
    // Keys that it has signed with.
    this.signers = null;
  }

  signal() {
    if (this.controller === null) {
      this.controller = new AbortController();
      if (this.ended) this.controller.abort(ended());
    }
    return this.controller.signal;
  }
}

function ended() {
  return new DOMException("the run has ended", "TimeoutError");
}

const runs = new SafeMap();
let logic;
let tests = { __proto__: null };
let loading = null;

// The run that the calling code belongs to. `what` names what only a run may do.
function current(what) {
  const run = getAsyncContext();
  if (run === undefined || run === null || run.ended) {
    throw new TypeError(`${what} is only available while a run is in progress`);
  }
  return run;
}

function maybeCurrent() {
  const run = getAsyncContext();
  return run === undefined || run === null || run.ended ? null : run;
}

function begin(id, context) {
  const run = new Run(id);
  // Another name for the same record, rather than a second copy in the frame.
  if (context?.subject?.kind === "account") context.account = context.subject;
  guardSecrets(context);
  ObjectDefineProperty(context, "signal", {
    __proto__: null,
    get: () => run.signal(),
    enumerable: false,
    configurable: true,
  });
  drive(run, () => logic(context));
}

// A test is a run that calls logic itself, within runs that share its number.
function beginTest(id, name) {
  const { helpers } = core.loadExtScript("ext:provisiond/testing.js");
  const inner = (scripted) => {
    const run = new Run(id);
    run.scripted = scripted;
    return run;
  };
  const run = inner(() => PromiseReject(new TypeError("only logic can fetch: call it with `t.run`")));
  drive(run, () => {
    const test = tests[name];
    const result = test(helpers(logic, { start: inner, answer, end }));
    const isPromise = typeof result === "object" && result !== null && typeof result.then === "function";
    // What a test returns is nobody's.
    return isPromise ? PromisePrototypeThen(PromiseResolve(result), () => undefined) : undefined;
  });
}

function drive(run, work) {
  MapPrototypeSet(runs, run.id, run);
  setAsyncContext(run);
  try {
    const result = work();
    if (typeof result === "object" && result !== null && typeof result.then === "function") {
      PromisePrototypeThen(
        PromiseResolve(result),
        (value) => returned(run, value),
        (error) => threw(run, error),
      );
    } else {
      returned(run, result);
    }
  } catch (error) {
    threw(run, error);
  } finally {
    setAsyncContext(undefined);
  }
}

function returned(run, value) {
  if (run.ended) return;
  let text;
  try {
    text = answer(run, value);
  } catch (error) {
    threw(run, error);
    return;
  }
  if (run.ended) return;
  end(run);
  if (text.length > MAX_RETURNED) {
    op_run_broke(run.id);
  } else {
    op_run_returned(run.id, text);
  }
}

// What logic answered, as JSON. It fails where that would not say what was meant,
// or is said too early.
function answer(run, value) {
  let text;
  try {
    text = stringify(value, "the returned value", "in the response");
  } catch (error) {
    if (error?.errorClass === "logic") throw error;
    const { message } = JSONParse(describe(error, "the returned value cannot be written as JSON: "));
    throw new HostCallError(message, "logic");
  }
  const forgotten = unanswered(run);
  if (forgotten === null) return text;
  // Nothing is lost by a read that is given up, or where it did not work anyway.
  if (!forgotten.writes || value?.status === "provisionFailed") {
    console.warn(forgotten.sentence);
    return text;
  }
  throw new HostCallError(forgotten.sentence, "logic");
}

function threw(run, error) {
  if (run.ended) return;
  const text = describe(error, "");
  if (run.ended) return;
  end(run);
  op_run_threw(run.id, text);
}

// Nothing of a run outlives it: its timers stop, its calls are dropped.
function end(run) {
  run.ended = true;
  if (MapPrototypeGet(runs, run.id) === run) MapPrototypeDelete(runs, run.id);
  if (run.timers !== null) {
    MapPrototypeForEach(run.timers, cancelTimer);
    run.timers = null;
  }
  const calls = run.calls;
  run.calls = null;
  run.unsent = null;
  // Whoever else waits for them, in a later run, would wait for ever.
  if (calls !== null && MapPrototypeGetSize(calls) > 0) {
    const reason = new HostCallError("the run that made this call has ended", "transient");
    MapPrototypeForEach(calls, (call) => call.reject(reason));
  }
}

// The daemon gave the run up.
function abort(id) {
  const run = MapPrototypeGet(runs, id);
  if (run === undefined) return;
  end(run);
  const reason = ended();
  if (run.controller === null) return;
  setAsyncContext(run);
  try {
    run.controller.abort(reason);
  } finally {
    setAsyncContext(undefined);
  }
}

// `how` answers whether more is to come of the call. `body` is what it is given.
function settle(message, body, how) {
  const calls = MapPrototypeGet(runs, message[1])?.calls ?? null;
  const call = calls === null ? undefined : MapPrototypeGet(calls, message[2]);
  if (call === undefined) {
    if (typeof body === "number") op_drop_body(body);
    return;
  }
  if (!how(call)) MapPrototypeDelete(calls, message[2]);
}

const RUN = 2;
const REPLY = 3;
const REFUSAL = 4;
const ABORT = 5;
const TEST = 8;
const PART = 9;
const END = 10;

// Called by the host with the messages of one batch, a JSON array.
function deliver(text) {
  const batch = JSONParse(text);
  for (let i = 0; i < batch.length; i++) {
    const message = batch[i];
    switch (message[0]) {
      case RUN:
        begin(message[1], message[2]);
        break;
      case TEST:
        beginTest(message[1], message[2]);
        break;
      case REPLY:
        settle(message, message[4], (call) => call.reply(message[3], message[4]));
        break;
      case PART:
        settle(message, message[3], (call) => call.part?.(message[3]));
        break;
      case END:
        settle(message, null, (call) => call.end?.());
        break;
      case REFUSAL:
        settle(message, null, (call) => call.refuse(message[3]));
        break;
      case ABORT:
        abort(message[1]);
        break;
    }
  }
}

// The pseudo-run of loading: it has timers and a console, but no host calls.
function beginLoading() {
  loading ??= new Run(0);
  setAsyncContext(loading);
}

function endLoading() {
  end(loading);
  setAsyncContext(undefined);
}

const NO_FUNCTION = "logic must have a function as `export default` or `module.exports`";
const BAD_TESTS = "`tests` must be an object whose members are functions";
const TOO_MANY_TESTS = `the limit of ${MAX_TESTS} tests was reached`;

// Takes what logic exports: the namespace of a module, or what CommonJS leaves.
// Answers with JSON, or with the sentence that says what is wrong.
function adopt(exported) {
  const main = exported?.default;
  const found = ArrayPrototypeFind([exported, main, main?.default], (value) => typeof value === "function");
  if (found === undefined) return NO_FUNCTION;
  logic = found;
  const given = exported.tests ?? main?.tests ?? {};
  if (typeof given !== "object" || ArrayIsArray(given)) return BAD_TESTS;
  const names = ObjectKeys(given);
  if (names.length > MAX_TESTS) return TOO_MANY_TESTS;
  for (let i = 0; i < names.length; i++) {
    if (typeof given[names[i]] !== "function") return BAD_TESTS;
    tests[names[i]] = given[names[i]];
  }
  return toJson({ tests: names });
}

return { adopt, beginLoading, current, deliver, endLoading, maybeCurrent };
})();
