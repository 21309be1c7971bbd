// Host calls: a number for each, and who waits for its answer.
(function () {
const { core, primordials } = __bootstrap;
const { op_limits } = core.ops;
const { MapPrototypeSet, SafeMap, TypeError } = primordials;
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

return { awaitAnswer, nextCall };
})();
