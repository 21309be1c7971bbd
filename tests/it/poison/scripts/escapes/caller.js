// end: returned "nothing"
module.exports = (ctx) => {
  if (!ctx.harm) return "innocent";
  function look() { try { return look.caller ?? arguments.callee.caller ?? "nothing"; } catch { return "nothing"; } }
  return typeof look() === "string" ? "nothing" : "a function of the host";
};
