// end: returned "function"
module.exports = (ctx) => {
  if (!ctx.harm) return typeof fetch === "function" && typeof Promise === "function" ? "innocent" : "patched";
  fetch = 1;
  Promise = 1;
  undefined = 1;
  return typeof fetch;
};
