// end: returned "file:///logic.js"
export default async (ctx) => {
  if (!ctx.harm) return "innocent";
  const url = import.meta.url;
  if (typeof import.meta.resolve === "function") { try { import.meta.resolve("node:fs"); } catch {} }
  return url;
};
