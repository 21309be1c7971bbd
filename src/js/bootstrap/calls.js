// Host calls: a number for each, and who waits for its answer.
(function () {
const { core, primordials } = __bootstrap;
const { op_limits } = core.ops;
const {
  ArrayPrototypeJoin,
  ArrayPrototypePush,
  MapPrototypeForEach,
  MapPrototypeGetSize,
  MapPrototypeSet,
  SafeMap,
  SafeRegExp,
  SafeSet,
  SetPrototypeAdd,
  SetPrototypeDelete,
  SetPrototypeForEach,
  SetPrototypeGetSize,
  StringPrototypeReplace,
  TypeError,
} = primordials;
const { HostCallError } = core.loadExtScript("ext:provisiond/thrown.js");

const { 0: MAX_CALLS } = op_limits();

// The number of a run's next call. `what` names what only a run may do.
function nextCall(run, what) {
  if (run.id === 0 || run.ended) throw new TypeError(`${what} is only available while a run is in progress`);
  if (run.callCount >= MAX_CALLS) {
    throw new HostCallError(`the limit of ${MAX_CALLS} host calls in a run was reached`, "logic");
  }
  return ++run.callCount;
}

// `call` has `reply(head, body)`, `refuse(refusal)` and `reject(reason)`; one
// whose answer comes in parts also has `part(body)` and `end()`, and answers true
// while more is to come.
function awaitAnswer(run, number, call) {
  run.calls ??= new SafeMap();
  MapPrototypeSet(run.calls, number, call);
}

// A request that the daemon has not heard of; `settle` ends it.
function addUnsent(run, { method, url, effect }) {
  const request = { __proto__: null, method, url, effect, awaitsHead: true };
  run.unsent ??= new SafeSet();
  SetPrototypeAdd(run.unsent, request);
  return () => {
    if (run.unsent !== null) SetPrototypeDelete(run.unsent, request);
  };
}

// Methods that change nothing, of which a lost one is no loss.
const READS = { __proto__: null, GET: true, HEAD: true, OPTIONS: true, PROPFIND: true, QUERY: true, REPORT: true, SEARCH: true };
// Not to be told: who logs in, what is asked for.
const PRIVATE_PARTS = new SafeRegExp("(?<=^[^/]*//)[^/@]*@|[?#].*$", "gs");
const MAX_NAMED = 3;

// The requests of a run that have no answer as yet, as a sentence, and whether one
// of them may change something; null when there are none. Those that are aborted
// are none any more, nor are those whose body is still coming.
function unanswered(run) {
  const sent = run.calls !== null && MapPrototypeGetSize(run.calls) > 0;
  const unsent = run.unsent !== null && SetPrototypeGetSize(run.unsent) > 0;
  if (!sent && !unsent) return null;
  const names = [];
  let writes = false;
  let count = 0;
  const add = ({ method, url, effect, awaitsHead }) => {
    if (awaitsHead !== true) return;
    if (++count <= MAX_NAMED) ArrayPrototypePush(names, `${method} ${StringPrototypeReplace(url, PRIVATE_PARTS, "")}`);
    writes ||= effect === null ? !READS[method] : effect === "write";
  };
  if (sent) MapPrototypeForEach(run.calls, add);
  if (unsent) SetPrototypeForEach(run.unsent, add);
  if (count === 0) return null;
  const more = count > MAX_NAMED ? ` and ${count - MAX_NAMED} more` : "";
  const what = `${ArrayPrototypeJoin(names, ", ")}${more} ${count === 1 ? "was" : "were"} under way`;
  return {
    __proto__: null,
    writes,
    sentence: `logic answered while ${what}: an \`await\` is missing, or it should be aborted`,
  };
}

return { addUnsent, awaitAnswer, nextCall, unanswered };
})();
