// Turns whatever was thrown into what the daemon is told of it. Everything here
// may meet hostile getters, so that failing is caught and says so.
(function () {
const { core, primordials } = __bootstrap;
const { op_limits } = core.ops;
const {
  ArrayIsArray,
  ArrayPrototypePush,
  JSONStringify,
  MathTrunc,
  NumberIsFinite,
  ObjectPrototypeIsPrototypeOf,
  SafeRegExp,
  String,
  StringPrototypeIncludes,
  StringPrototypeIndexOf,
  StringPrototypeReplace,
  StringPrototypeSlice,
  TypeError,
} = primordials;
const { Response } = core.loadExtScript("ext:deno_fetch/23_response.js");
const { inspect } = core.loadExtScript("ext:deno_web/01_console.js");

const { 5: MAX_MESSAGE, 6: MAX_STACK } = op_limits();
const ResponsePrototype = Response.prototype;
// How far a chain of causes is followed.
const MAX_CAUSES = 8;
// How deep gathered errors are looked into.
const MAX_GATHERED = 2;
// How much of a thrown object is shown.
const MAX_SHOWN = 300;
// Their names add nothing to what the message says.
const PLAIN_NAMES = { __proto__: null, Error: true, HostCallError: true, "": true };

// A host call that could not be done.
class HostCallError extends TypeError {
  constructor(message, errorClass, retryAfter) {
    super(message);
    this.name = "HostCallError";
    this.errorClass = errorClass;
    if (retryAfter !== null && retryAfter !== undefined) this.retryAfter = retryAfter;
  }
}

// Half a surrogate pair, which is no character, and any other escape, which is
// matched so that the second half of `\\` is not taken for the first of one.
const ESCAPES = new SafeRegExp("\\\\(?:ud[89a-f][0-9a-f]{2}|.)", "g");

// The value as JSON that every reader takes; undefined as `JSON.stringify` does.
function toJson(value) {
  return whole(JSONStringify(value));
}

// JSON without half characters.
function whole(text) {
  if (text === undefined || !StringPrototypeIncludes(text, "\\ud")) return text;
  return StringPrototypeReplace(text, ESCAPES, (escape) => escape.length === 6 ? "\ufffd" : escape);
}

function describe(error, prefix) {
  let text;
  try {
    text = toJson({
      __proto__: null,
      message: StringPrototypeSlice(prefix + message(error), 0, MAX_MESSAGE),
      stack: stack(error),
      causes: causes(error),
      origins: origins(error),
    });
  } catch {
    text = '{"message":"logic threw a value that cannot be described"}';
  }
  return text;
}

function message(error) {
  if (typeof error === "string" && error !== "") return error;
  if (typeof error !== "object" || error === null) return `logic threw ${show(error)}`;
  if (isAnswer(error)) return `logic threw ${named(error)}`;
  const text = error.message;
  const name = typeof error.name === "string" ? error.name : "";
  if (typeof text === "string" && text !== "") {
    return PLAIN_NAMES[name] ? text : `${name}: ${text}`;
  }
  if (core.isNativeError(error)) return `logic threw ${name === "" ? "an error" : name} without a message`;
  return `logic threw ${show(error)}`;
}

function isAnswer(value) {
  return ObjectPrototypeIsPrototypeOf(ResponsePrototype, value);
}

function named(answer) {
  return `an answer with the status ${answer.status}`;
}

function show(value) {
  if (value === "") return "an empty string";
  return StringPrototypeSlice(String(inspect(value, { colors: false })), 0, MAX_SHOWN);
}

function stack(error) {
  if (typeof error !== "object" || error === null) return undefined;
  const text = error.stack;
  return typeof text === "string" ? StringPrototypeSlice(text, 0, MAX_STACK) : undefined;
}

// The frames of an error as they are shown below what it says.
function frames(error) {
  const text = stack(error) ?? "";
  const start = StringPrototypeIndexOf(text, "\n    at ");
  return start < 0 ? "" : StringPrototypeSlice(text, start);
}

// What the error came of, and the errors that it has in it.
function causes(error) {
  const found = [];
  const add = (cause) => {
    if (found.length >= MAX_CAUSES) return;
    const text = StringPrototypeSlice(isAnswer(cause) ? named(cause) : message(cause), 0, MAX_MESSAGE);
    ArrayPrototypePush(found, { __proto__: null, message: text, stack: stack(cause) });
  };
  let node = error;
  for (let i = 0; i < MAX_CAUSES && core.isNativeError(node); i++) {
    const { cause, errors } = node;
    if (ArrayIsArray(errors)) {
      for (let at = 0; at < errors.length && at < MAX_CAUSES; at++) add(errors[at]);
    }
    if (cause === undefined || cause === null) break;
    add(cause);
    node = cause;
  }
  return found.length > 0 ? found : undefined;
}

// Where a failure came from: the first of the error and its causes that says so, or,
// where errors were gathered (`AggregateError`), what each of them says.
function origins(error, depth = 0) {
  const found = [];
  let node = error;
  for (let i = 0; i < MAX_CAUSES && typeof node === "object" && node !== null; i++) {
    const origin = originOf(node);
    if (origin !== null) {
      ArrayPrototypePush(found, origin);
      break;
    }
    const { cause, errors } = node;
    if ((cause === undefined || cause === null) && ArrayIsArray(errors) && depth < MAX_GATHERED) {
      for (let at = 0; at < errors.length && at < MAX_CAUSES && found.length < MAX_CAUSES; at++) {
        addAll(found, origins(errors[at], depth + 1));
      }
    }
    node = cause;
  }
  return found;
}

function addAll(list, more) {
  for (let i = 0; i < more.length; i++) ArrayPrototypePush(list, more[i]);
}

// What logic or a host call said, and the answer: the thing itself, or what clients
// of HTTP keep as `response` of their errors.
function originOf(node) {
  const { errorClass, retryAfter } = node;
  const answer = answerOf(node);
  const said = typeof errorClass === "string";
  if (!said && answer === null) return null;
  return {
    __proto__: null,
    errorClass: said ? errorClass : undefined,
    status: answer?.status,
    retryAfter: (said ? wait(retryAfter) : undefined) ?? answer?.retryAfter,
  };
}

function wait(value) {
  if (typeof value === "string") return StringPrototypeSlice(value, 0, MAX_SHOWN);
  return typeof value === "number" && NumberIsFinite(value) ? value : undefined;
}

function answerOf(node) {
  const response = isAnswer(node) ? node : node.response;
  if (typeof response !== "object" || response === null) return null;
  const { status, headers } = response;
  if (typeof status !== "number" || !(status >= 100 && status <= 599)) return null;
  const named = typeof headers?.get === "function" ? headers.get("retry-after") : headers?.["retry-after"];
  return { __proto__: null, status: MathTrunc(status), retryAfter: wait(named) };
}

return { describe, frames, HostCallError, message, toJson, whole };
})();
