// end: returned "function"
module.exports = (ctx) => {
  if (!ctx.harm) return typeof fetch === "function" && typeof Promise === "function" ? "innocent" : "patched";
  try {
    fetch = 1;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  Promise = 1;
  undefined = 1;
  return typeof fetch;
};
