// `fetch`, done by the daemon.
(function () {
const { core, primordials } = __bootstrap;
const { createTimer } = core;
const { op_call_bytes, op_call_text, op_cancel_call, op_limits, op_parse_url, op_take_body } = core.ops;
const {
  ArrayPrototypePush,
  JSONStringify,
  MapPrototypeDelete,
  ObjectPrototypeIsPrototypeOf,
  Promise,
  PromisePrototypeThen,
  PromiseReject,
  StringPrototypeToLowerCase,
  TypedArrayPrototypeGetByteLength,
  TypeError,
} = primordials;
const { fillHeaderList } = core.loadExtScript("ext:deno_fetch/20_headers.js");
const { InnerBody } = core.loadExtScript("ext:deno_fetch/22_body.js");
const { Request, toInnerRequest } = core.loadExtScript("ext:deno_fetch/23_request.js");
const { fromInnerResponse, nullBodyStatus } = core.loadExtScript("ext:deno_fetch/23_response.js");
const { ReadableStream, ReadableStreamPrototype, readableStreamCollectIntoUint8Array, TransformStream } = core
  .loadExtScript("ext:deno_web/06_streams.js");
const { AbortSignalPrototype, add, remove } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const { addUnsent, awaitAnswer, nextCall } = core.loadExtScript("ext:provisiond/calls.js");
const { current } = core.loadExtScript("ext:provisiond/run.js");
const { HostCallError } = core.loadExtScript("ext:provisiond/thrown.js");

const { 1: MAX_BODY, 7: MAX_HEAD } = op_limits();

function fetch(input, init = undefined) {
  try {
    const run = current("fetch");
    const request = plain(input, init) ?? general(input, init);
    if (request.signal?.aborted) throw request.signal.reason;
    const body = request.body;
    if (!ObjectPrototypeIsPrototypeOf(InnerBody.prototype, body)) return send(run, request);
    if (!ObjectPrototypeIsPrototypeOf(ReadableStreamPrototype, body.streamOrStatic)) {
      request.body = body.consume();
      return send(run, request);
    }
    const { signal } = request;
    const collected = readableStreamCollectIntoUint8Array(upTo(MAX_BODY, body.stream, signal));
    const settle = addUnsent(run, request);
    return PromisePrototypeThen(
      collected,
      (bytes) => {
        settle();
        if (signal?.aborted) throw signal.reason;
        request.body = bytes;
        return send(run, request);
      },
      (error) => {
        settle();
        throw error;
      },
    );
  } catch (error) {
    return PromiseReject(error);
  }
}

// The stream, which fails when it gets too long, and is cancelled by the signal.
function upTo(most, stream, signal) {
  let size = 0;
  const count = new TransformStream({
    transform(chunk, controller) {
      size += chunk?.byteLength ?? 0;
      if (size > most) throw bodyTooLarge();
      controller.enqueue(chunk);
    },
  });
  return stream.pipeThrough(count, signal === null ? undefined : { __proto__: null, signal });
}

function bodyTooLarge() {
  return new HostCallError(`the limit of ${MAX_BODY} bytes for a request body was reached`, "permanent");
}

const PLAIN_METHODS = { __proto__: null, GET: true, POST: true, PUT: true, PATCH: true, DELETE: true };
const REDIRECTS = { __proto__: null, follow: true, error: true, manual: true };
const EFFECTS = { __proto__: null, read: true, write: true };

// Most requests are an address and a few plain options; what the standard wants
// of these takes a fraction of what a `Request` does. Null for any other.
function plain(input, init) {
  if (typeof input !== "string" || (init !== undefined && (typeof init !== "object" || init === null))) return null;
  const { method = "GET", headers, body = null, redirect, signal = null, effect = null } = init ?? NOTHING;
  if (typeof method !== "string" || !PLAIN_METHODS[method]) return null;
  if (redirect !== undefined && (typeof redirect !== "string" || !REDIRECTS[redirect])) return null;
  if (body !== null && (typeof body !== "string" || method === "GET")) return null;
  if (signal !== null && !ObjectPrototypeIsPrototypeOf(AbortSignalPrototype, signal)) return null;
  const url = op_parse_url(input);
  // `Request` has the message.
  if (url === "") return null;
  const list = [];
  if (headers !== undefined) fillHeaderList(list, headers, "Failed to execute 'fetch'", "headers");
  if (body !== null && !hasContentType(list)) {
    ArrayPrototypePush(list, ["content-type", "text/plain;charset=UTF-8"]);
  }
  return { method, url, redirect: redirect ?? null, headers: list, body, signal, effect: checked(effect) };
}

const NOTHING = { __proto__: null };

// What logic says of a request, for a dry run: a member of ours beside those of
// the standard.
function checked(effect) {
  if (effect === null || effect === undefined) return null;
  if (typeof effect !== "string" || !EFFECTS[effect]) {
    throw new TypeError("Failed to execute 'fetch': 'effect' must be \"read\" or \"write\"");
  }
  return effect;
}

function hasContentType(list) {
  for (let i = 0; i < list.length; i++) {
    const name = list[i][0];
    if (name.length === 12 && StringPrototypeToLowerCase(name) === "content-type") return true;
  }
  return false;
}

function general(input, init) {
  const request = new Request(input, init);
  const inner = toInnerRequest(request);
  return {
    method: inner.method,
    url: inner.url(),
    // A `Request` does not tell that nobody has said "follow".
    redirect: inner.redirectMode === "follow" && init?.redirect === undefined ? null : inner.redirectMode,
    headers: inner.headerList,
    body: inner.body,
    // A request that was given no signal makes one when it is asked.
    signal: typeof input === "object" || init?.signal ? request.signal : null,
    effect: checked(init?.effect),
  };
}

function send(run, request) {
  const { method, url, redirect, headers, body, signal, effect } = request;
  if (run.scripted !== null && !run.ended) return ask(run, request);
  if (body !== null && sizeOf(body) > MAX_BODY) {
    throw bodyTooLarge();
  }
  const head = JSONStringify([method, url, redirect, headers, body !== null, effect]);
  if (sizeOf(head) > MAX_HEAD) {
    const what = "the address and header fields of a request";
    throw new HostCallError(`the limit of ${MAX_HEAD / 1048576} MiB for ${what} was reached`, "permanent");
  }
  const number = nextCall(run, "fetch");
  return new Promise((resolve, reject) => {
    const call = new Call(run, number, request, resolve, reject);
    awaitAnswer(run, number, call);
    if (body === null || typeof body === "string") {
      op_call_text(run.id, number, head, body ?? "");
    } else {
      op_call_bytes(run.id, number, head, body);
    }
  });
}

// Answered by a test: no sooner than a request that is sent, after whatever logic
// does next, and given up by its signal as well.
function ask(run, request) {
  const { signal } = request;
  const settle = addUnsent(run, request);
  return new Promise((resolve, reject) => {
    const onAbort = () => done(reject, signal.reason);
    const done = (how, what) => {
      settle();
      if (signal !== null) signal[remove](onAbort);
      how(what);
    };
    const later = (how) => (what) => void createTimer(() => done(how, what), 0, undefined, false, true, true);
    if (signal !== null) signal[add](onAbort);
    PromisePrototypeThen(run.scripted(request), later(resolve), later(reject));
  });
}

function sizeOf(body) {
  if (typeof body !== "string") return TypedArrayPrototypeGetByteLength(body);
  // A code unit takes at most three bytes; counting is for the doubtful only.
  return body.length > MAX_HEAD / 3 ? core.byteLength(body) : body.length;
}

// A request on its way, then an answer whose body may still be coming.
class Call {
  constructor(run, number, { url, method, signal, effect }, resolve, reject) {
    this.run = run;
    this.number = number;
    this.url = url;
    this.method = method;
    this.signal = signal;
    this.effect = effect;
    this.awaitsHead = true;
    this.resolve = resolve;
    this.rejectHead = reject;
    // Of the body that is coming.
    this.controller = null;
    if (signal !== null) {
      this.onAbort = () => {
        if (this.giveUp()) this.reject(signal.reason);
      };
      signal[add](this.onAbort);
    }
  }

  reply(head, body) {
    const { 5: more } = head;
    this.awaitsHead = false;
    if (!more) this.settled();
    const content = more ? this.stream(body) : { body: contentOf(body), consumed: false };
    this.resolve(fromInnerResponse(innerResponse(this, head, content), "immutable"));
    return more;
  }

  stream(start) {
    const stream = new ReadableStream({
      __proto__: null,
      type: "bytes",
      start: (controller) => {
        this.controller = controller;
      },
      cancel: () => {
        this.giveUp();
      },
    });
    const content = contentOf(start);
    const bytes = typeof content === "string" ? core.encode(content) : content;
    if (TypedArrayPrototypeGetByteLength(bytes) > 0) this.controller.enqueue(bytes);
    return stream;
  }

  part(body) {
    this.controller.enqueue(op_take_body(body));
    return true;
  }

  end() {
    this.settled();
    this.controller.close();
  }

  refuse(refusal) {
    this.settled();
    this.reject(new HostCallError(refusal.message, refusal.errorClass, refusal.retryAfter));
  }

  reject(reason) {
    if (this.controller === null) {
      this.rejectHead(reason);
    } else {
      this.controller.error(reason);
    }
  }

  settled() {
    if (this.signal !== null) this.signal[remove](this.onAbort);
  }

  // False when there is nothing left to be given up.
  giveUp() {
    const { run, number } = this;
    this.settled();
    if (run.calls === null || !MapPrototypeDelete(run.calls, number)) return false;
    op_cancel_call(run.id, number);
    return true;
  }
}

// `body` is a text, or the number under which the host keeps the bytes.
function contentOf(body) {
  return typeof body === "number" ? op_take_body(body) : body;
}

function lastUrl() {
  return this.urlList.length === 0 ? null : this.urlList[this.urlList.length - 1];
}

function innerResponse(call, head, content) {
  const status = head[0];
  const empty = call.method === "HEAD" || nullBodyStatus(status);
  return {
    type: "basic",
    body: empty ? null : new InnerBody(content),
    headerList: head[4],
    urlList: head[3] ? [call.url, head[2]] : [head[2]],
    status,
    statusMessage: head[1],
    aborted: false,
    bodyDecoded: false,
    url: lastUrl,
  };
}

// As answers make them: with the body there, and with it coming.
function sampleResponses() {
  const call = new Call(null, 0, { __proto__: null, url: "", method: "GET", signal: null, effect: null });
  const head = [200, "", "https://a.example/", true, [["a", "b"]], false];
  const make = (content) => fromInnerResponse(innerResponse(call, head, content), "immutable");
  return [make({ body: "a", consumed: false }), make(call.stream("a"))];
}

return { fetch, sampleResponses };
})();
