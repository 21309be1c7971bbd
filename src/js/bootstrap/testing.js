// The author's tests: `export const tests = { "name": async (t) => { ... } }`.
// Each is a run of its own, in which `t.run` calls logic with what the test
// makes up. Nothing leaves the host: the test answers every request.
(function () {
const { core } = __bootstrap;
const { op_check_response } = core.ops;
const { getAsyncContext, setAsyncContext } = core;
const { Response } = core.loadExtScript("ext:deno_fetch/23_response.js");
const { inspect } = core.loadExtScript("ext:deno_web/01_console.js");
const { check, checkAnswer } = core.loadExtScript("ext:provisiond/testing_check.js");
const { guardSecrets } = core.loadExtScript("ext:provisiond/secrets.js");
const { stringify } = core.loadExtScript("ext:provisiond/strict_json.js");
const { HostCallError } = core.loadExtScript("ext:provisiond/thrown.js");

const MOMENT = "2026-01-01T00:00:00Z";

// `start` makes a run within the test's own, `answer` is what it answers as JSON,
// `end` ends it.
function helpers(logic, { start, answer, end }) {
  return {
    async run(options = {}) {
      check(options);
      const test = getAsyncContext();
      const requests = [];
      const run = start(scripted(options.answers ?? [], requests));
      const outcome = { response: undefined, error: undefined, requests };
      const ctx = context(options, run);
      let result;
      setAsyncContext(run);
      try {
        result = logic(ctx);
      } catch (error) {
        outcome.error = error;
      } finally {
        setAsyncContext(test);
      }
      try {
        outcome.response = checked(await result, options.reason ?? "provision", (response) => answer(run, response));
      } catch (error) {
        outcome.error = error;
      }
      end(run);
      return outcome;
    },
    equal(actual, expected, message = "") {
      if (!same(actual, expected)) fail(message, `expected ${show(expected)}, got ${show(actual)}`);
    },
    ok(value, message = "") {
      if (!value) fail(message, `expected something true, got ${show(value)}`);
    },
  };
}

// What the daemon would not take for a response fails here as it does there.
function checked(response, reason, answer) {
  const problem = op_check_response(reason, answer(response));
  if (problem !== "") throw new HostCallError(problem, "logic");
  return response;
}

function fail(message, what) {
  const error = new Error(message === "" ? what : `${message}: ${what}`);
  error.name = "";
  throw error;
}

function show(value) {
  const text = inspect(value, { colors: false, depth: 6 });
  return text.length > 1000 ? `${text.slice(0, 1000)}...` : text;
}

function context(options, run) {
  const { answers: _answers, account, subject, ...rest } = options;
  const made = {
    kind: "account",
    id: "1",
    externalId: null,
    userName: "test",
    displayName: null,
    status: "active",
    attributes: {},
    version: 1,
    createdAt: MOMENT,
    updatedAt: MOMENT,
    deletedAt: null,
    ...subject,
    ...account,
  };
  const reason = options.reason ?? "provision";
  const made_up = {
    reason,
    trigger: "manual",
    attempt: 1,
    idempotencyKey: `test-${made.id}-${made.version}-${reason}`,
    groups: [],
    organizations: [],
    members: [],
    changes: [],
    config: undefined,
    dependencies: {},
    ...rest,
    subject: made,
    previous: { status: "pending", remoteId: null, metadata: null, lastRunAt: null, ...options.previous },
    target: { id: "1", name: "test", config: options.config ?? {}, ...options.target },
    connection: { secrets: {}, ...options.connection },
  };
  delete made_up.config;
  if (made.kind === "account") made_up.account = made;
  Object.defineProperty(made_up, "signal", { get: () => run.signal(), enumerable: false, configurable: true });
  // As deep as what the daemon sends: nothing is shared with the test.
  const copy = JSON.parse(stringify(made_up, "what `t.run` is given", "in what `t.run` is given"));
  guardSecrets(copy);
  Object.defineProperty(copy, "signal", { get: () => run.signal(), enumerable: false, configurable: true });
  if (copy.account) copy.account = copy.subject;
  return copy;
}

// Does what the daemon would, from a list of answers or a function.
function scripted(answers, requests) {
  const uses = new Map();
  return async (asked) => {
    const request = shown(asked);
    requests.push(request);
    const answer = typeof answers === "function" ? await answers(request) : pick(answers, request, uses);
    if (answer === undefined || answer === null) {
      throw new HostCallError(`the test has no answer for ${request.method} ${request.url}`, "logic");
    }
    if (answer instanceof Response) return answer;
    checkAnswer(answer, "what `answers` gave");
    if (answer.error !== undefined) {
      throw new HostCallError(String(answer.error), answer.errorClass ?? "transient", answer.retryAfter);
    }
    return respond(answer);
  };
}

function pick(answers, request, uses) {
  for (const answer of answers) {
    const used = uses.get(answer) ?? 0;
    if (used >= (answer.times ?? Infinity)) continue;
    if (answer.method !== undefined && answer.method.toUpperCase() !== request.method) continue;
    if (answer.url !== undefined && !matches(answer.url, request.url)) continue;
    uses.set(answer, used + 1);
    return answer;
  }
  return undefined;
}

function matches(pattern, url) {
  if (pattern instanceof RegExp) return pattern.test(url);
  const parts = String(pattern).split("*");
  if (parts.length === 1) return url === pattern;
  if (!url.startsWith(parts[0])) return false;
  let at = parts[0].length;
  for (let i = 1; i < parts.length - 1; i++) {
    const found = url.indexOf(parts[i], at);
    if (found < 0) return false;
    at = found + parts[i].length;
  }
  const last = parts[parts.length - 1];
  return url.length >= at + last.length && url.endsWith(last);
}

function respond({ status = 200, headers = {}, body = null }) {
  const isText = body === null || typeof body === "string";
  const init = { status, headers: isText ? headers : { "content-type": "application/json", ...headers } };
  return new Response(isText ? body : JSON.stringify(body), init);
}

function shown({ method, url, headers, body }) {
  const text = body === null || typeof body === "string" ? body : new TextDecoder().decode(body);
  let value = text;
  try {
    if (text !== null) value = JSON.parse(text);
  } catch {
    // It is no JSON, and is shown as it is.
  }
  return { method, url, headers: Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value])), body: value };
}

function same(one, other) {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const keys = Object.keys(one).filter((key) => one[key] !== undefined);
  const others = Object.keys(other).filter((key) => other[key] !== undefined);
  return keys.length === others.length && keys.every((key) => Object.hasOwn(other, key) && same(one[key], other[key]));
}

return { helpers };
})();
