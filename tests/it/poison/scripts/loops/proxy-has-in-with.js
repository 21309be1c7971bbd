// end: killed cpu
module.exports = (ctx) => {
  if (!ctx.harm) return "innocent";
  with (new Proxy({}, { has() { for (;;) {} } })) { return anything; }
};
