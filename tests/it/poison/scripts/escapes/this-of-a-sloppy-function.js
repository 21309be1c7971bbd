// end: returned "global alone"
module.exports = function (ctx) {
  if (!ctx.harm) return "innocent";
  const self = (function () { return this; })();
  return self === globalThis && typeof self.Deno === "undefined" ? "global alone" : "more";
};
