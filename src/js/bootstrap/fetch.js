// `fetch`, done by the daemon.
(function () {
const { core, primordials } = __bootstrap;
const { op_call_bytes, op_call_text, op_cancel_call, op_limits, op_take_body } = core.ops;
const {
  JSONStringify,
  MapPrototypeDelete,
  MapPrototypeSet,
  ObjectPrototypeIsPrototypeOf,
  Promise,
  PromisePrototypeThen,
  PromiseReject,
  SafeMap,
  TypedArrayPrototypeGetByteLength,
  TypeError,
} = primordials;
const { InnerBody } = core.loadExtScript("ext:deno_fetch/22_body.js");
const { Request, toInnerRequest } = core.loadExtScript("ext:deno_fetch/23_request.js");
const { fromInnerResponse, nullBodyStatus } = core.loadExtScript("ext:deno_fetch/23_response.js");
const { ReadableStreamPrototype, readableStreamCollectIntoUint8Array } = core.loadExtScript(
  "ext:deno_web/06_streams.js",
);
const { add, remove } = core.loadExtScript("ext:deno_web/03_abort_signal.js");
const { current } = core.loadExtScript("ext:provisiond/run.js");
const { HostCallError } = core.loadExtScript("ext:provisiond/thrown.js");

const { 0: MAX_CALLS, 1: MAX_BODY } = op_limits();

function fetch(input, init = undefined) {
  try {
    const run = current("fetch");
    if (run.id === 0) throw new TypeError("fetch is only available while a run is in progress");
    const request = new Request(input, init);
    const inner = toInnerRequest(request);
    // Making the signal of a request that was given none would cost more than
    // the rest of the call.
    const signal = typeof input === "object" || init?.signal ? request.signal : null;
    if (signal?.aborted) throw signal.reason;
    const body = inner.body;
    if (body !== null && ObjectPrototypeIsPrototypeOf(ReadableStreamPrototype, body.streamOrStatic)) {
      return PromisePrototypeThen(
        readableStreamCollectIntoUint8Array(body.stream),
        (bytes) => send(run, inner, bytes, signal),
      );
    }
    return send(run, inner, body === null ? null : body.consume(), signal);
  } catch (error) {
    return PromiseReject(error);
  }
}

function send(run, request, body, signal) {
  if (run.ended) throw new TypeError("fetch is only available while a run is in progress");
  if (run.callCount >= MAX_CALLS) {
    throw new HostCallError(`the limit of ${MAX_CALLS} host calls in a run was reached`, "logic");
  }
  const size = body === null ? 0 : typeof body === "string" ? body.length : TypedArrayPrototypeGetByteLength(body);
  if (size > MAX_BODY) {
    throw new HostCallError(`the limit of ${MAX_BODY} bytes for a request body was reached`, "permanent");
  }
  const number = ++run.callCount;
  return new Promise((resolve, reject) => {
    const url = request.url();
    const call = new Call(run, number, url, request.method, signal, resolve, reject);
    run.calls ??= new SafeMap();
    MapPrototypeSet(run.calls, number, call);
    const head = JSONStringify([request.method, url, request.redirectMode, request.headerList, body !== null]);
    if (body === null || typeof body === "string") {
      op_call_text(run.id, number, head, body ?? "");
    } else {
      op_call_bytes(run.id, number, head, body);
    }
  });
}

// A request on its way.
class Call {
  constructor(run, number, url, method, signal, resolve, reject) {
    this.url = url;
    this.method = method;
    this.signal = signal;
    this.resolve = resolve;
    this.reject = reject;
    if (signal !== null) {
      this.onAbort = () => {
        if (run.calls === null || !MapPrototypeDelete(run.calls, number)) return;
        op_cancel_call(run.id, number);
        reject(signal.reason);
      };
      signal[add](this.onAbort);
    }
  }

  reply(head, body) {
    if (this.signal !== null) this.signal[remove](this.onAbort);
    this.resolve(fromInnerResponse(innerResponse(this, head, body), "immutable"));
  }

  refuse(refusal) {
    if (this.signal !== null) this.signal[remove](this.onAbort);
    this.reject(new HostCallError(refusal.message, refusal.errorClass, refusal.retryAfter));
  }
}

function lastUrl() {
  return this.urlList.length === 0 ? null : this.urlList[this.urlList.length - 1];
}

// `body` is a text, or the number under which the host keeps the bytes.
function innerResponse(call, head, body) {
  const content = typeof body === "number" ? op_take_body(body) : body;
  const status = head[0];
  const empty = call.method === "HEAD" || nullBodyStatus(status);
  return {
    type: "basic",
    body: empty ? null : new InnerBody({ body: content, consumed: false }),
    headerList: head[4],
    urlList: head[3] ? [call.url, head[2]] : [head[2]],
    status,
    statusMessage: head[1],
    aborted: false,
    bodyDecoded: false,
    url: lastUrl,
  };
}

return { fetch };
})();
